"""The clauses, one module for each concept of the notes."""
