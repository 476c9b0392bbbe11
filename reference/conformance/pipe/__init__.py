"""A subject in any language, asked over a pair of file descriptors, one JSON object a line."""
