"""A training run: its steps, its checkpoints, what it shows, and how it stops."""
