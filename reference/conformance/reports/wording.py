"""What all faces of a report say in the same words, so that none tells another story."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from reference.conformance.verdicts import BROKEN, Report, Result, Selection, Verdict
from reference.spec.clause import ID, Level


@runtime_checkable
class Named(Protocol):
    """What is about one clause."""

    @property
    def id(self) -> str:
        """The clause's id."""


One = TypeVar("One", bound=Named)
K = TypeVar("K")
V = TypeVar("V")


class Mark(NamedTuple):
    """How a verdict looks: the word says the same as the sign and the tone."""

    sign: str
    word: str
    tone: str


MARKS = {
    Verdict.FAIL: Mark("✗", "not kept", "bad"),
    Verdict.CRASH: Mark("✗", "crashed", "bad"),
    Verdict.TIMEOUT: Mark("✗", "out of time", "bad"),
    Verdict.MALFORMED: Mark("✗", "harness at fault", "bad"),
    Verdict.XPASS: Mark("✗", "waived, yet kept", "bad"),
    Verdict.KIT_ERROR: Mark("!", "kit at fault", "bad"),
    Verdict.XFAIL: Mark("≠", "waived", "odd"),
    Verdict.BLOCKED: Mark("-", "blocked", "quiet"),
    Verdict.SKIP: Mark("-", "skipped", "quiet"),
    Verdict.PASS: Mark("✓", "kept", "good"),
}
CHOICE = Mark("·", "choice", "open")

ABSENT = Mark("?", "not in this report", "quiet")
"""Look of a clause on which one report has no verdict and another has."""

LISTED = (
    Verdict.FAIL,
    Verdict.CRASH,
    Verdict.TIMEOUT,
    Verdict.MALFORMED,
    Verdict.XPASS,
    Verdict.KIT_ERROR,
    Verdict.XFAIL,
)
"""The verdicts that are shown one by one, with all that is known."""


def mark_of(result: Result) -> Mark:
    """Give a result's mark: a choice that passes is neither kept nor broken."""
    return CHOICE if is_choice(result) else MARKS[result.verdict]


def is_choice(result: Result) -> bool:
    """Tell whether the result says which of the legal behaviours the subject shows."""
    return result.verdict is Verdict.PASS and result.level is Level.CHOICE


def label(result: Result) -> str:
    """Name what the cause of a result is: of a failure it is a guess."""
    return "likely" if result.verdict is Verdict.FAIL else "cause"


def facts(result: Result) -> list[tuple[str, str]]:
    """Return what is known of the cause, and of what was expected and seen, with their names."""
    every = ((label(result), result.cause), ("expected", result.expected), ("saw", result.seen))
    return [(name, text) for name, text in every if text]


def behaviour(result: Result) -> str:
    """Return what a subject does that the notes leave open."""
    return result.seen or "nothing was recorded"


def concept(one: Named) -> str:
    """Give the part of the id before the first dot."""
    return one.id.split(".")[0]


def grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    """Return the values of each key, the keys in the order in which they first come."""
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def by_concept(every: Sequence[One]) -> dict[str, list[One]]:
    """Group by concept, in the order of the notes: each ends where its last clause stands.

    It may begin earlier, with a clause that another concept needs.
    """
    groups = grouped((concept(one), one) for one in reversed(every))
    return {name: group[::-1] for name, group in reversed(groups.items())}


def reason(report: Report, result: Result) -> str:
    """Say why there is this verdict; the cause of a blocked clause is another clause's id."""
    cause = result.cause.rstrip(".: ") or "no reason is given"
    verdicts = {other.id: other.verdict for other in report.clauses}
    if result.verdict is Verdict.BLOCKED and ID.fullmatch(cause):
        judged = verdicts.get(cause) is not Verdict.KIT_ERROR
        return f"because {cause} {'is not kept' if judged else 'could not be judged'}"
    return cause


def untried(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield each reason once: the word for blocked or skipped, the reason, and which clauses."""
    for verdict in (Verdict.BLOCKED, Verdict.SKIP):
        groups = grouped((reason(report, result), result) for result in report.of(verdict))
        for because, results in groups.items():
            yield MARKS[verdict].word, because, names_of(report.clauses, results)


def names_of(every: Sequence[One], some: Sequence[One]) -> str:
    """List the ids of some, and of a concept that is there as a whole only its name."""
    groups = by_concept(every)
    names: list[str] = []
    for one in some:
        whole = groups[concept(one)]
        if len(whole) > 1 and all(other in some for other in whole):
            names.append(f"{concept(one)} (all {len(whole)})")
        else:
            names.append(one.id)
    return ", ".join(dict.fromkeys(names))


def listed(report: Report) -> list[Result]:
    """Give what is shown one by one, concept by concept; what is waived comes last."""
    in_order = [result for group in by_concept(report.clauses).values() for result in group]
    wanted = [result for result in in_order if result.verdict in LISTED]
    return sorted(wanted, key=lambda result: result.verdict is Verdict.XFAIL)


def tally(results: Iterable[Result]) -> list[tuple[int, Mark]]:
    """Count the marks, those that there are: good ones first, then bad ones, then choices."""
    order = (MARKS[Verdict.PASS], *(MARKS[verdict] for verdict in LISTED), CHOICE)
    order += (MARKS[Verdict.BLOCKED], MARKS[Verdict.SKIP])
    marks = [mark_of(result) for result in results]
    return [(marks.count(mark), mark) for mark in order if mark in marks]


def counted(count: int, mark: Mark) -> str:
    """Write a count in words: 2 choices, 1 not kept."""
    return f"{count} {mark.word}{'s' if mark is CHOICE and count != 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a report comes to."""

    conforms: bool
    """Whether the whole profile was judged, and nothing that counts is broken."""
    passed: bool
    """Whether it conforms or, of a run of selected clauses, those are kept."""
    unfinished: str
    """What is said before all else: why the run is no whole one. Empty where it is."""
    counts: str
    outcome: str
    meaning: str
    """The outcome in a sentence, for those who do not know the words."""

    @property
    def mark(self) -> Mark:
        """The look of the outcome."""
        return MARKS[Verdict.PASS if self.passed else Verdict.FAIL]

    @property
    def line(self) -> str:
        """The counts and the outcome, after what is said before all else."""
        first = f"{self.unfinished}. " if self.unfinished else ""
        return f"{first}{self.counts}: {self.outcome}"


def summary(report: Report, *, level: Level) -> Summary:
    """Sum a report up at a level; MUST leaves the shoulds out."""
    count = report.count()
    counts = (
        f"{report.planned} planned, {report.ran} ran, "
        f"{count[Verdict.SKIP]} skipped, {count[Verdict.BLOCKED]} blocked"
    )
    if count[Verdict.XFAIL]:
        counts += f", {count[Verdict.XFAIL]} waived"
    broken = report.broken(level=level)
    unfinished = _unfinished(report)
    if broken:
        by_level, meaning = _broken(broken, level)
        outcome = f"does not conform: {by_level}"
    elif unfinished:
        outcome = "no pass"
        meaning = "Nothing was found, but not every clause was judged."
    elif not report.ran:
        outcome = "no pass"
        meaning = "No clause was tried, so nothing is known."
    elif report.selection is None:
        outcome = "conforms"
        meaning = _kept(report, level)
    else:
        limits, untouched = _limits(report.selection, report.planned)
        outcome, meaning = f"kept, {limits}", f"{_kept(report, level)} {untouched}"
    return Summary(
        conforms=outcome == "conforms",
        passed=outcome == "conforms" or outcome.startswith("kept"),
        unfinished=unfinished,
        counts=counts,
        outcome=outcome,
        meaning=meaning,
    )


def _unfinished(report: Report) -> str:
    if report.ended:
        return f"ended early: {report.ended.rstrip('.')}"
    if len(report.clauses) != report.planned:
        return f"not complete: {len(report.clauses)} of {report.planned} clauses have a verdict"
    faults = report.of(Verdict.KIT_ERROR)
    if faults:
        return f"not complete: the kit itself is at fault in {_ids(faults)}"
    return ""


def _broken(broken: list[Result], level: Level) -> tuple[str, str]:
    """Return how many are broken, and in a sentence which."""
    needless = [result for result in broken if result.verdict is Verdict.XPASS]
    others = [result for result in broken if result.verdict is not Verdict.XPASS]
    levels = [result.level for result in others]
    counting = (Level.MUST,) if level is Level.MUST else (Level.MUST, Level.SHOULD)
    counts = [f"{levels.count(each)} {each}" for each in counting]
    which = [f"Not kept: {_ids(others)}."] if others else []
    if needless:
        waivers = "1 waiver" if len(needless) == 1 else f"{len(needless)} waivers"
        counts.append(f"{waivers} to be taken back")
        which.append(f"Waived, yet kept, so that the waiver must go: {_ids(needless)}.")
    return ", ".join(counts), " ".join(which)


def _ids(results: list[Result]) -> str:
    return ", ".join(result.id for result in results)


def _kept(report: Report, level: Level) -> str:
    which = "must" if level is Level.MUST else "must and every should"
    waived = len(report.of(Verdict.XFAIL))
    but = f", but for {waived} that {'is' if waived == 1 else 'are'} waived" if waived else ""
    return f"Every {which} that could be tried is kept{but}."


def _limits(selection: Selection, planned: int) -> tuple[str, str]:
    """Return what was selected, and in a sentence what was not."""
    if selection.replayed:
        return "with one case replayed", "Only one saved case was tried."
    rest = max(0, selection.of - planned)
    return (
        f"with {planned} of {selection.of} clauses selected",
        f"The other {rest} {'clause was' if rest == 1 else 'clauses were'} not selected.",
    )


def selected(report: Report) -> str:
    """Say what a run was limited to; nothing for a run of the whole profile."""
    selection = report.selection
    if selection is None:
        return ""
    names = ", ".join(selection.wanted)
    if selection.replayed:
        return f"one saved case of {names}"
    return f"{report.planned} of {selection.of} clauses, selected by {names or 'an empty list'}"


def uncounted(report: Report, *, level: Level) -> frozenset[str]:
    """Give the ids of clauses that are broken, and do not count at this level."""
    counting = {result.id for result in report.broken(level=level)}
    return frozenset({result.id for result in report.of(*BROKEN)} - counting)


def example(result: Result) -> str:
    """Give the smallest case: as lines of Python, or, in a report read back, as JSON."""
    if result.code or not result.case:
        return result.code
    return json.dumps(plain(result.case), allow_nan=False)


def plain(value: object) -> object:
    """Make a value one that JSON, and UTF-8, can hold; what they cannot is written as text."""
    if isinstance(value, dict):
        return {str(plain(str(name))): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
