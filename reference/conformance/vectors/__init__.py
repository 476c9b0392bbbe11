"""Vectors: questions with their right answers, as JSON that needs nothing of ours to be used."""
