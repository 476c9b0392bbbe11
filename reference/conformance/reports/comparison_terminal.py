"""A comparison on the terminal: a table of signs that fits, and below it what they stand for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from reference.conformance.reports.comparison import EMPTY, Column, Comparison, Row, numbers
from reference.conformance.reports.printing import MIN_WIDTH, STYLES, print_hanging, print_section
from reference.conformance.reports.wording import (
    CHOICE,
    LISTED,
    Mark,
    by_concept,
    counted,
    grouped,
    label,
    mark_of,
)
from reference.errors import printable

GAP = 2
"""Columns between two cells of the table."""


class _Line(NamedTuple):
    """A line of the table; the name of a concept has no marks."""

    name: Text
    marks: tuple[Mark, ...]


def print_comparison(
    console: Console,
    comparison: Comparison,
    *,
    sentences: Mapping[str, str],
    verbose: bool = False,
) -> None:
    """Print which clauses are not kept, by whom and why; those with like marks are counted.

    `sentences` says what each clause promises. `verbose` gives each clause a line of its own.
    """
    _print_subjects(console, comparison)
    console.print()
    lines = list(_lines(comparison, verbose=verbose))
    if lines:
        _print_table(console, len(comparison.columns), lines)
    else:
        console.print(EMPTY)
    for row in comparison.rows:
        if row.found:
            _print_finding(console, comparison, row, row.sentence or sentences.get(row.id, ""))
    _print_untried(console, comparison)
    _print_choices(console, comparison, verbose=verbose)
    _print_summary(console, comparison)


def _print_subjects(console: Console, comparison: Comparison) -> None:
    for column in comparison.columns:
        source = f"  {printable(column.source)}" if column.source else ""
        said = Text.assemble((printable(column.report.subject), "bold"), (source, "dim"))
        print_hanging(console, _number(comparison, column), said)
    if comparison.shared:
        print_hanging(console, Text(), Text(printable(comparison.shared), "dim"))
    for warning in comparison.warnings:
        print_hanging(console, Text("! ", "yellow"), Text(printable(warning), "yellow"))


def _number(comparison: Comparison, column: Column) -> Text:
    width = len(str(len(comparison.columns)))
    return Text(f"{column.number:>{width}}  ", "bold")


def _lines(comparison: Comparison, *, verbose: bool) -> Iterator[_Line]:
    for name, rows in by_concept(comparison.rows).items():
        yield _Line(Text(printable(name), "bold"), ())
        for alike in ([row] for row in rows) if verbose else _folded(rows):
            yield _Line(Text(f"  {_name(alike, rows, verbose=verbose)}"), alike[0].marks)


def _folded(rows: Sequence[Row]) -> list[list[Row]]:
    """Put clauses together that look the same for every subject, but not those to be told of."""
    return list(grouped((row.id if row.found else row.marks, row) for row in rows).values())


def _name(alike: Sequence[Row], rows: Sequence[Row], *, verbose: bool) -> str:
    first = alike[0]
    if verbose or first.found or (len(alike) == 1 and not first.passed):
        return printable(first.id)
    if len(alike) == len(rows):
        return f"all {len(rows)}"
    what = "choice" if CHOICE in first.marks else "clause"
    return f"{len(alike)} {what}{'' if len(alike) == 1 else 's'}"


def _print_table(console: Console, subjects: int, lines: Sequence[_Line]) -> None:
    """Print the marks in words where they fit, or else as signs, some subjects at a time."""
    table = _table(lines, range(subjects), in_words=True)
    room = console.options.update(max_width=console.width + 1)
    if Measurement.get(console, room, table).maximum <= console.width:
        _print_rows(console, table)
        return
    each = GAP + len(str(subjects))
    at_a_time = max(1, (console.width - MIN_WIDTH) // each)
    for start in range(0, subjects, at_a_time):
        if start:
            console.print()
        places = range(start, min(start + at_a_time, subjects))
        _print_rows(console, _table(lines, places, in_words=False), least=MIN_WIDTH + each)
    _print_legend(console, [mark for line in lines for mark in line.marks])


def _table(lines: Sequence[_Line], places: range, *, in_words: bool) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(overflow="fold")
    for at in places:
        table.add_column(str(at + 1), no_wrap=True)
    for line in lines:
        marks = [line.marks[at] for at in places if line.marks]
        cells = [
            (f"{mark.sign} {mark.word}" if in_words else mark.sign, STYLES[mark.tone])
            for mark in marks
        ]
        table.add_row(line.name, *map(Text.assemble, cells))
    return table


def _print_rows(console: Console, table: Table, *, least: int = 0) -> None:
    """Print a table without the spaces that fill its lines, in at least so many columns."""
    options = console.options.update(max_width=max(console.width, least))
    for line in console.render_lines(table, options):
        text = Text.assemble(*((part.text, part.style or "") for part in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def _print_legend(console: Console, marks: Sequence[Mark]) -> None:
    by_sign = grouped((mark.sign, mark) for mark in dict.fromkeys(marks))
    legend = Text("   ").join(
        Text(f"{sign} {' or '.join(mark.word for mark in some)}", STYLES[some[0].tone])
        for sign, some in by_sign.items()
    )
    console.print()
    print_hanging(console, Text(), legend)


def _print_finding(console: Console, comparison: Comparison, row: Row, sentence: str) -> None:
    console.print()
    console.rule(style="dim")
    levels = " or ".join(row.levels)
    print_hanging(console, Text(), Text.assemble((printable(row.id), "bold"), f"  {levels}"))
    if sentence:
        print_hanging(console, Text(), Text(printable(sentence), "italic"))
    alike = grouped(
        ((mark_of(result), label(result), result.cause), column)
        for column, result in comparison.pairs(row)
        if result.verdict in LISTED
    )
    for (mark, name, cause), columns in alike.items():
        _print_of(console, columns, Text(f"{mark.sign} {mark.word}", STYLES[mark.tone]))
        if cause:
            said = Text.assemble((f"{name}: ", "dim"), printable(cause, lines=True))
            print_hanging(console, Text("     "), said)


def _print_of(console: Console, columns: Sequence[Column], said: Text) -> None:
    """Print the numbers of some subjects, and to the right of them, or below, what is said."""
    who = Text(f"  {numbers(columns)}  ", "bold")
    if who.cell_len > MIN_WIDTH:
        print_hanging(console, Text(), who)
        who = Text("     ")
    print_hanging(console, who, said)


def _print_untried(console: Console, comparison: Comparison) -> None:
    untried = comparison.untried()
    if untried:
        print_section(console, "not tried")
    for (because, names), columns in untried.items():
        said = Text.assemble((f"{printable(because)}: ", "bold"), printable(names))
        _print_of(console, columns, said)


def _print_choices(console: Console, comparison: Comparison, *, verbose: bool) -> None:
    rows = [row for row in comparison.rows if CHOICE in row.marks]
    shown = [row for row in rows if verbose or row.differs]
    if not rows:
        return
    print_section(console, "choices")
    print_hanging(console, Text(), Text("the notes leave these open: no answer is wrong"))
    for row in shown:
        print_hanging(console, Text(), Text(printable(row.id), "bold"))
        for answer, columns in comparison.answers(row).items():
            _print_of(console, columns, Text(printable(answer), "cyan"))
    alike = len(rows) - len(shown)
    if alike:
        count = counted(alike, CHOICE)
        print_hanging(console, Text(), Text(f"{count} in which no two subjects differ", "dim"))


def _print_summary(console: Console, comparison: Comparison) -> None:
    print_section(console, "summary")
    for column in comparison.columns:
        said = column.summary
        style = f"bold {STYLES[said.mark.tone]}"
        unfinished = (f"{printable(said.unfinished)}. ", style) if said.unfinished else ""
        name, counts = printable(column.report.subject), f"{said.counts}: "
        line = Text.assemble(f"{name}: ", unfinished, counts, (said.outcome, style))
        print_hanging(console, _number(comparison, column), line)
