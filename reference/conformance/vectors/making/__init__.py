"""What maintainers make the vectors with."""
