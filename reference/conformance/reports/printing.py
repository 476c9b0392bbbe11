"""What the faces on the terminal have in common: the look of a mark, and how a text is broken."""

from rich.console import Console
from rich.text import Text

from reference.terminal.console import escaped

STYLES = {"good": "green", "bad": "bold red", "odd": "yellow", "open": "cyan", "quiet": "dim"}
"""How the tone of a mark looks."""

MIN_WIDTH = 20
"""Columns that a text gets, however narrow the terminal is."""


def print_hanging(console: Console, name: Text, text: Text) -> None:
    """Print a name and, to the right of it, a text of as many lines as it takes."""
    width = max(console.width - name.cell_len, MIN_WIDTH)
    first = name
    for line in escaped(text).wrap(console, width, overflow="fold"):
        line.rstrip()
        console.print(Text.assemble(first, line), soft_wrap=True)
        first = Text(" " * name.cell_len)


def print_section(console: Console, title: str) -> None:
    """Print the line above a part of the report."""
    console.print()
    console.rule(Text(title, "bold"), align="left", characters="─", style="dim")
