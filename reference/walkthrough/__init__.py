"""The notes from top to bottom: beside each figure that they print, the one computed just now."""
