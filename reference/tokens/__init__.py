"""Texts as token files: what `bigram prepare` writes, and what reads it."""
