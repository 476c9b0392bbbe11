"""A comparison as one HTML page that needs nothing else: a matrix, and what its signs stand for."""

from collections.abc import Iterable

from reference.conformance.reports.comparison import EMPTY, Comparison, Row, numbers
from reference.conformance.reports.markup import render
from reference.conformance.reports.wording import LISTED, is_choice
from reference.conformance.verdicts import Result, Verdict
from reference.spec.clause import Clause


def to_html(comparison: Comparison, clauses: Iterable[Clause]) -> str:
    """Return a page: the subjects, every clause by every subject, why, and the choices.

    The clauses lend their sentences to reports that were read back. `page.html#loss.scalar` leads
    to what is known about that clause.
    """
    known = {clause.id: clause.sentence for clause in clauses}

    def sentence(row: Row) -> str:
        return row.sentence or known.get(row.id, "")

    return render(
        "comparison.html",
        comparison=comparison,
        sentence=sentence,
        target=_target,
        numbers=numbers,
        EMPTY=EMPTY,
    )


def _target(result: Result | None) -> str:
    """Return the id of what says more about a verdict."""
    if result is None or result.verdict in {Verdict.SKIP, Verdict.BLOCKED}:
        return "not-tried"
    return result.id if result.verdict in LISTED or is_choice(result) else ""
