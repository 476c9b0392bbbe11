"""A report as one HTML page that needs nothing else, and as a fragment for a notebook."""

from collections.abc import Iterable
from dataclasses import dataclass

from reference.conformance.reports.markup import render
from reference.conformance.reports.wording import (
    is_choice,
    reason,
    selected,
    summary,
    uncounted,
    untried,
)
from reference.conformance.verdicts import Report, Result, Verdict
from reference.spec.clause import Clause, Level

TONES = {
    "good": "#22884c",
    "bad": "#dc3d33",
    "odd": "#a56d0e",
    "open": "#2181a6",
    "quiet": "#727a83",
}
"""Colours that can be told from a white paper and from a black one."""


@dataclass(frozen=True, kw_only=True)
class ShownReport(Report):
    """A report that a notebook shows."""

    def _repr_html_(self) -> str:
        return fragment(self)


def to_html(report: Report, clauses: Iterable[Clause], *, level: Level = Level.SHOULD) -> str:
    """Return a page: the outcome, what is not kept, the choices, and every clause by concept.

    The clauses say where in the notes each comes from, and lend a report that was read back
    their sentences. `page.html#loss.scalar` leads to what is known about that clause.
    """
    known = {clause.id: clause for clause in clauses}

    def sentence(result: Result) -> str:
        clause = known.get(result.id)
        return result.sentence or (clause.sentence if clause is not None else "")

    def of_clause(result: Result) -> list[tuple[str, str]]:
        clause = known.get(result.id)
        if clause is None:
            return []
        named = [("formula", clause.remarks.get("Formula", ""))]
        named.append(("in the notes", " > ".join(clause.source)))
        return [(name, text) for name, text in named if text]

    def remark(result: Result) -> str:
        if result.verdict in {Verdict.SKIP, Verdict.BLOCKED}:
            return reason(report, result)
        return result.seen if is_choice(result) else ""

    return render(
        "report.html",
        report=report,
        summary=summary(report, level=level),
        selected=selected(report),
        ignored=uncounted(report, level=level),
        untried=untried(report),
        sentence=sentence,
        of_clause=of_clause,
        remark=remark,
    )


def fragment(report: Report) -> str:
    """Return the outcome, the counts and what is not kept, for the output of a notebook's cell.

    Notebooks drop style sheets, so the styles stand where they are used, and they leave the
    colours of text and paper to the notebook's own theme.
    """
    shown = summary(report, level=Level.SHOULD)
    return render("fragment.html", report=report, summary=shown, TONES=TONES)
