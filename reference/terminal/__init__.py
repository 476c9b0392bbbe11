"""Text on the terminal: nothing that is shown can style, break or steer it."""
