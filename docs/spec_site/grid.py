"""A generated table, as docutils has it."""

from collections.abc import Iterable, Sequence

from docutils import nodes

Cell = Sequence[nodes.Node]
Row = Sequence[Cell]


def table(heads: Sequence[str], rows: Iterable[Row], widths: Sequence[int]) -> nodes.Node:
    """Return a table with a line of headings, its columns as wide as these numbers say."""
    columns = [nodes.colspec(colwidth=width) for width in widths]
    group = nodes.tgroup("", *columns, cols=len(heads))
    group += nodes.thead("", _row([[nodes.Text(head)] for head in heads]))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["generated"])


def _row(cells: Row) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        row += nodes.entry("", nodes.paragraph("", "", *cell))
    return row
