"""A walkthrough's rows and a training run's progress, on the terminal."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reference.walkthrough.rows import Mark, Row

LOOK = {
    Mark.MATCH: ("✓", "green", "as documented"),
    Mark.ERRATUM: ("≠", "yellow", "the notes are wrong or silent here, and this is so"),
    Mark.SHOWN: ("·", "dim", "nothing documented"),
    Mark.DIFFERS: ("✗", "bold red", "did not come back"),
}
NAME_WIDTH = 24


def legend() -> Text:
    """Say what the marks mean."""
    text = Text()
    for sign, style, meaning in LOOK.values():
        text.append(f"{sign} ", style).append(f"{meaning}   ")
    return text


def print_rows(console: Console, rows: Iterable[Row]) -> list[Row]:
    """Print rows as they come, under a heading for each section, and give them back."""
    printed: list[Row] = []
    for row in rows:
        if not printed or printed[-1].section != row.section:
            console.print()
            console.rule(Text(row.section, "bold"), align="left", characters="─")
        _print_row(console, row)
        printed.append(row)
    return printed


def print_summary(console: Console, rows: list[Row]) -> None:
    """Count the marks, and name every figure that did not come back."""
    count = Counter(row.mark for row in rows)
    console.print()
    console.rule(Text("summary", "bold"), align="left")
    for mark, (sign, style, meaning) in LOOK.items():
        console.print(Text(f"{sign} {count[mark]:3} {meaning}", style))
    for row in rows:
        if row.mark is Mark.DIFFERS:
            console.print(Text(f"  {row.section}: {row.name}", "bold red"))


def _print_row(console: Console, row: Row) -> None:
    sign, style, _meaning = LOOK[row.mark]
    width = (console.width - NAME_WIDTH - 4) // 2
    lines = [*row.documented.splitlines(), *row.computed.splitlines()]
    is_wide_block = len(lines) > 2 and max(map(len, lines)) > width  # noqa: PLR2004  several lines
    if is_wide_block:
        console.print(Text.assemble((sign, style), " ", (row.name, "bold")))
        for label, value in (("documented", row.documented), ("computed", row.computed)):
            if value:
                console.print(Text(f"  {label}", "dim"))
                console.print(Padding(Text(value, overflow="fold"), (0, 0, 0, 4)))
    else:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=1)
        grid.add_column(width=NAME_WIDTH, overflow="fold")
        grid.add_column(width=width, overflow="fold")
        grid.add_column(width=width, overflow="fold")
        grid.add_row(
            Text(sign, style), Text(row.name, "bold"), Text(row.documented, "cyan"), row_text(row)
        )
        console.print(grid)
    if row.remark:
        console.print(Padding(Text(row.remark, "dim italic"), (0, 0, 0, 2)))


def row_text(row: Row) -> Text:
    """Give the computed figure in its mark's colour."""
    return Text(row.computed, LOOK[row.mark][1] if row.mark is not Mark.SHOWN else "")
