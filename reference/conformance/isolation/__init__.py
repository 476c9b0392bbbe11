"""The processes in which strangers' code runs, one copy for each opening of a subject."""
