"""A comparison as JSON, for a program."""

from reference.conformance.reports.comparison import Column, Comparison
from reference.conformance.reports.schemas import Judged, Run, fields
from reference.conformance.reports.wording import plain, selected
from reference.conformance.verdicts import Verdict


def to_json(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as its JSON Schema has it.

    The smallest cases and the commands that replay them are left out: the reports have them.
    """
    written = {
        "warnings": comparison.warnings,
        "subjects": [_column_to_json(column) for column in comparison.columns],
        "clauses": [
            {
                "id": row.id,
                "passed": row.passed,
                "same": row.same,
                "results": [one and fields(Judged, one) for one in row.results],
            }
            for row in comparison.rows
        ],
    }
    return {name: plain(value) for name, value in written.items()}


def _column_to_json(column: Column) -> dict[str, object]:
    count = column.report.count()
    return {
        "number": column.number,
        "source": column.source,
        **fields(Run, column.report),
        "selection": selected(column.report),
        "conforms": column.summary.conforms,
        "counts": {verdict.value: count[verdict] for verdict in Verdict},
    }
