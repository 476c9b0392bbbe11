"""What is promised: every clause, one module per concept of the notes."""
