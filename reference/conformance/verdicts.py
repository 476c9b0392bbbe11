"""What a run says: one result for each clause, and the report that holds them."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from reference.spec.clause import Level


class Verdict(StrEnum):
    """How one clause ended."""

    PASS = "PASS"  # noqa: S105  not a password
    FAIL = "FAIL"
    XFAIL = "XFAIL"
    """It fails, and was waived, with a reason."""
    XPASS = "XPASS"
    """It was waived, and is kept: the waiver is to be taken back."""
    SKIP = "SKIP"
    """The subject has no such part."""
    BLOCKED = "BLOCKED"
    """A clause that it needs is not kept."""
    CRASH = "CRASH"
    """The subject ended the process, or tried to."""
    TIMEOUT = "TIMEOUT"
    MALFORMED = "MALFORMED"
    """Its harness, at the other end of a pipe, gave no answer that can be read."""
    KIT_ERROR = "KIT-ERROR"
    """The kit itself is at fault."""


CUT_SHORT = frozenset({Verdict.CRASH, Verdict.TIMEOUT, Verdict.MALFORMED})
"""Verdicts after which nobody knows what is left: the next clause begins afresh."""

BROKEN = frozenset({Verdict.FAIL, Verdict.XPASS}) | CUT_SHORT
"""Verdicts that keep a subject from conforming, at a level that counts."""

RAN = frozenset(Verdict) - {Verdict.SKIP, Verdict.BLOCKED}
"""Verdicts of clauses that were tried."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The verdict on one clause, and what it rests on."""

    id: str
    level: Level
    verdict: Verdict
    sentence: str = ""
    cause: str = ""
    """One sentence: what is likely wrong, or why there was nothing to judge."""
    expected: str = ""
    seen: str = ""
    """What was seen instead; of a choice that passes, what the subject does."""
    case: dict[str, object] | None = None
    """The smallest case found that fails, as JSON holds it."""
    code: str = ""
    """The same case as lines of Python to be tried by hand."""
    replay: str = ""
    """The command that tries it again."""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The part of a profile's clauses that a run was limited to."""

    wanted: tuple[str, ...]
    """Ids of clauses, or concepts, as they were given."""
    of: int
    """Number of clauses in the profile."""
    replayed: bool = False
    """Whether one saved case was tried, and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All results of one run. A run that ended early has fewer than planned, and is no pass."""

    subject: str
    contract: str
    """The version of the clauses."""
    profile: str
    seed: int
    planned: int
    clauses: tuple[Result, ...]
    notes: tuple[str, ...] = ()
    """What the subject's own code left unsaid: statements that were skipped, how it is reached."""
    ended: str = field(default="")
    """Why the run ended early, if it did."""
    selection: Selection | None = None
    """The clauses that were selected; None for a run of the whole profile."""

    @property
    def ran(self) -> int:
        """How many clauses were tried, and not skipped or blocked."""
        return sum(result.verdict in RAN for result in self.clauses)

    @property
    def complete(self) -> bool:
        """Whether every planned clause has a verdict, and none of them a fault of the kit."""
        return len(self.clauses) == self.planned and not self.of(Verdict.KIT_ERROR)

    def of(self, *verdicts: Verdict) -> list[Result]:
        """Give the results with one of these verdicts."""
        return [result for result in self.clauses if result.verdict in verdicts]

    def count(self) -> Counter[Verdict]:
        """Count the verdicts."""
        return Counter(result.verdict for result in self.clauses)

    def broken(self, *, level: Level = Level.SHOULD) -> list[Result]:
        """Give what keeps the subject from conforming; level MUST leaves the shoulds out.

        A waiver that turns out to be wrong counts at every level; a choice never does.
        """
        counting = {Level.MUST} if level is Level.MUST else {Level.MUST, Level.SHOULD}
        return [
            result
            for result in self.of(*BROKEN)
            if result.level in counting or result.verdict is Verdict.XPASS
        ]

    def conforms(self, *, level: Level = Level.SHOULD) -> bool:
        """Tell whether the run is complete, something ran, and nothing that counts is broken.

        For a run of selected clauses, or of one saved case, this says only that those are kept.
        """
        return self.complete and self.ran > 0 and not self.broken(level=level)
