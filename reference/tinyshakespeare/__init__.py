"""Tiny Shakespeare: its embedded twin, and the download of the real text."""
