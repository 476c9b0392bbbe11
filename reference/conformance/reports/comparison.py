"""Reports of several subjects side by side: each clause a row, each report a column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reference.conformance.errors import TooFewReportsError
from reference.conformance.reports.wording import (
    ABSENT,
    LISTED,
    Mark,
    Summary,
    behaviour,
    by_concept,
    grouped,
    is_choice,
    mark_of,
    names_of,
    selected,
    summary,
    untried,
)
from reference.conformance.verdicts import Report, Result, Verdict
from reference.spec.clause import Level

EMPTY = "No report has a verdict on any clause."

LONG = 3
"""Numbers in a row that are written as a range."""

# Reports that are not alike are compared all the same. An id is never reused for another promise:
# two verdicts on it are about one sentence, whichever version or part of the contract was asked
# for. And two versions side by side are what somebody wants who asks what has changed. But readers
# have to know, so each difference is said, and what it means.
ALIKE = {
    "contract": (
        "the versions of the contract differ",
        "An id means the same promise in each of them; one may have clauses that another lacks.",
    ),
    "profile": ("the profiles differ", "Each leaves out other clauses."),
    "seed": ("the seeds differ", "One subject may have met a case that another has not."),
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One report among others; its number tells it from another one with the same name."""

    number: int
    report: Report
    source: str = ""
    """Where it was read from."""

    @property
    def summary(self) -> Summary:
        """What the report comes to by itself."""
        return summary(self.report, level=Level.SHOULD)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What each report says of one clause."""

    id: str
    results: tuple[Result | None, ...]
    """In the order of the columns; None where a report has no verdict on this clause."""

    @property
    def marks(self) -> tuple[Mark, ...]:
        """How each result looks."""
        return tuple(ABSENT if one is None else mark_of(one) for one in self.results)

    @property
    def levels(self) -> tuple[Level, ...]:
        """How much the clause binds: more than one, where versions of the contract differ."""
        there = {one.level for one in self.results if one is not None}
        return tuple(level for level in Level if level in there)

    @property
    def passed(self) -> bool:
        """Whether every subject passes."""
        return all(one is not None and one.verdict is Verdict.PASS for one in self.results)

    @property
    def same(self) -> bool:
        """Whether all have the same verdict, and, where the notes leave it open, do the same."""
        seen = {one and (one.verdict, one.seen if is_choice(one) else "") for one in self.results}
        return len(seen) == 1

    @property
    def found(self) -> bool:
        """Whether some subject has a verdict that is told with all that is known."""
        return any(one is not None and one.verdict in LISTED for one in self.results)

    @property
    def differs(self) -> bool:
        """Whether two subjects do different things that the notes leave open."""
        return len({one.seen for one in self.results if one and is_choice(one)}) > 1

    @property
    def told(self) -> bool:
        """Whether the row is one of the few that a page shows at first."""
        return self.found or self.differs

    @property
    def sentence(self) -> str:
        """The clause's sentence, where a report has it; one that was read from a file has not."""
        return next((one.sentence for one in self.results if one and one.sentence), "")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two reports or more, and every clause of any of them, concept by concept."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """In what the reports are not alike or not whole."""
        return tuple(_warnings(self))

    @property
    def shared(self) -> str:
        """The version of the contract, the profile and the seed, as far as all have the same."""
        reports = [column.report for column in self.columns]
        same = [name for name in ALIKE if len({getattr(one, name) for one in reports}) == 1]
        return ", ".join(f"{name} {getattr(reports[0], name)}" for name in same)

    def pairs(self, row: Row) -> Iterator[tuple[Column, Result]]:
        """Give the results that there are on a clause, each with its column."""
        for column, result in zip(self.columns, row.results, strict=True):
            if result is not None:
                yield column, result

    def answers(self, row: Row) -> dict[str, list[Column]]:
        """Give what subjects do where the notes leave it open, and which of them do it."""
        pairs = self.pairs(row)
        return grouped((behaviour(one), column) for column, one in pairs if is_choice(one))

    def others(self, row: Row) -> dict[Mark, list[Column]]:
        """Return the reports in which a clause is not listed with all that is known, by mark."""
        return grouped(
            (mark, column)
            for column, result, mark in zip(self.columns, row.results, row.marks, strict=True)
            if result is None or result.verdict not in LISTED
        )

    def lacking(self, column: Column) -> list[Row]:
        """Give the clauses on which a report has no verdict, and another has."""
        return [row for row in self.rows if row.results[column.number - 1] is None]

    def untried(self) -> dict[tuple[str, str], list[Column]]:
        """Give why which clauses were not tried, as a sentence and their names, and on whom."""
        return grouped((told, column) for column in self.columns for told in self._untried(column))

    def _untried(self, column: Column) -> Iterator[tuple[str, str]]:
        for word, because, names in untried(column.report):
            yield f"{word}, {because}", names
        if lacking := self.lacking(column):
            yield ABSENT.word, names_of(self.rows, lacking)


def compare(reports: Sequence[Report], *, sources: Sequence[str] = ()) -> Comparison:
    """Put reports side by side, numbered from 1; `sources` says where each was read from.

    Reports of other versions of the contract, of other profiles and seeds, and reports that are not
    whole are taken as well; the warnings say so.

    Raises: TooFewReportsError where there are not two.
    """
    if len(reports) < 2:  # noqa: PLR2004  as the error says
        found = f"there is one, {sources[0]}" if sources else f"there are {len(reports)}"
        raise TooFewReportsError(f"a comparison needs two reports or more; {found}")
    columns = tuple(
        Column(number=number, report=report, source=source)
        for number, (report, source) in enumerate(
            zip(reports, sources or [""] * len(reports), strict=True), start=1
        )
    )
    by_id = [{result.id: result for result in report.clauses} for report in reports]
    rows = [
        Row(id=name, results=tuple(results.get(name) for results in by_id))
        for name in _merged(reports)
    ]
    in_order = tuple(row for group in by_concept(rows).values() for row in group)
    return Comparison(columns=columns, rows=in_order)


def numbers(columns: Sequence[Column]) -> str:
    """Name columns by their numbers, which rise: 1, 3 to 5 and 8."""
    runs: list[list[int]] = []
    for column in columns:
        if runs and column.number == runs[-1][-1] + 1:
            runs[-1].append(column.number)
        else:
            runs.append([column.number])
    words: list[str] = []
    for run in runs:
        words += map(str, run) if len(run) < LONG else [f"{run[0]} to {run[-1]}"]
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _merged(reports: Sequence[Report]) -> list[str]:
    """Give each id once, in the order of the longest report.

    An id that it lacks comes after the one that stands before it in its own report.
    """
    merged: list[str] = []
    for report in sorted(reports, key=lambda report: -len(report.clauses)):
        place = 0
        for result in report.clauses:
            if result.id in merged:
                place = merged.index(result.id) + 1
            else:
                merged.insert(place, result.id)
                place += 1
    return merged


def _warnings(comparison: Comparison) -> Iterator[str]:
    for field, (differ, meaning) in ALIKE.items():
        values = _by_field(comparison, field)
        if len(values) > 1:
            told = "; ".join(f"{value} in {numbers(some)}" for value, some in values.items())
            yield f"{differ}: {told}. {meaning}"
    for name, some in _by_field(comparison, "subject").items():
        if len(some) > 1:
            yield f"{numbers(some)} have the same name: {name}. Their numbers tell them apart."
    limited = [(what, one) for one in comparison.columns if (what := selected(one.report))]
    for what, some in grouped(limited).items():
        yield f"{numbers(some)} {'is' if len(some) == 1 else 'are'} not of a whole profile: {what}."
    for column in comparison.columns:
        if column.summary.unfinished:
            yield f"{column.number} is no whole report: {column.summary.unfinished}."
        lacking, every = len(comparison.lacking(column)), len(comparison.rows)
        if lacking:
            yield f"{column.number} has no verdict on {lacking} of the {every} clauses."


def _by_field(comparison: Comparison, field: str) -> dict[str, list[Column]]:
    return grouped((str(getattr(column.report, field)), column) for column in comparison.columns)
