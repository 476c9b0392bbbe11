"""A run in which nothing that a subject does ends more than the clause that it does it in.

The subject lives in a copy of a process that has the kit imported (`fork.py`, `worker.py`).
Where a copy ends, by whatever, the clause that it was in has its verdict, and another copy goes on
with the next. It guards against accidents, and not against code that means harm.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from typing import Any

from reference.conformance.errors import SubjectCrash
from reference.conformance.isolation.server import Copy, End, Server, can_copy
from reference.conformance.isolation.unprotected import surviving
from reference.conformance.loading.errors import LoadError
from reference.conformance.process_ends import (
    CUT_OFF,
    FAULT,
    FULL,
    last_line,
    out_of_memory,
    place,
    why,
)
from reference.conformance.runner import UNKNOWN, Plan, blank, blocked, notes_of, run, waived
from reference.conformance.subjects.guard import guarded
from reference.conformance.target import Opened, Target, open_target
from reference.conformance.verdicts import CUT_SHORT, Result, Verdict
from reference.errors import BigramError
from reference.spec.clause import Clause
from reference.spec.subject import SubjectError

TIMEOUT = 60.0
"""Seconds for one clause."""
MEMORY = 4 * 2**30
"""Bytes for the subject, beyond what the kit itself takes."""
SLACK = 10.0
"""Seconds that the copy has besides, where it watches the time itself."""
START = 300.0
"""Seconds for a copy to be there, where it has to import torch for itself."""

SENT = ("profile", "seed", "examples", "replay")
"""Fields of a plan that a copy is told, beside the ids of its clauses."""

UNPROTECTED = (
    "this system cannot copy a process: the subject runs in the kit's own, where neither its time "
    "nor its memory is limited and a crash ends the whole check"
)
CLOSED = "it closed, or wrote to, files of the kit's: descriptors that it had not opened"


@dataclass
class IsolatedRun:
    """One run of a plan: iterate over it for a result of each clause, in order."""

    target: Target
    plan: Plan
    _: KW_ONLY
    timeout: float = TIMEOUT
    memory: int = MEMORY
    started: Callable[[Clause], None] | None = None
    server: Server | None = None
    """Shared with other runs, one at a time: to start one takes seconds."""
    notes: list[str] = field(default_factory=list)
    """What there is to be said of the subject, as far as the run has come."""
    results: dict[str, Result] = field(default_factory=dict)
    opened: bool = False
    again: bool = False
    """Whether an opening of what has been opened before was cut off, and is tried once more."""

    def __iter__(self) -> Iterator[Result]:
        """Judge the clauses; closing the iterator ends the subject.

        Raises: a BigramError where the subject is not to be had, for want of its file, say;
            WorkerError where there can be no process for it.
        """
        if not can_copy():
            yield from self._unprotected()
            return
        with ExitStack() as stack:
            server = self.server or stack.enter_context(Server())
            while self.next is not None:
                with server.copy() as copy:
                    yield from Visit(self, server, copy).results()

    @property
    def next(self) -> Clause | None:
        """The first clause without a verdict."""
        return next((one for one in self.plan.clauses if one.id not in self.results), None)

    def note(self, *notes: str) -> None:
        """Add what has not been said yet."""
        self.notes += [note for note in notes if note not in self.notes]

    def start(self, clause: Clause) -> None:
        """Tell whoever wants to know."""
        if self.started is not None:
            self.started(clause)

    def settle(self, result: Result) -> Result:
        """Take a verdict, or what a waiver makes of it."""
        self.results[result.id] = waived(result, self.plan.waive or {})
        return self.results[result.id]

    def unopened(self, verdict: Verdict, cause: str) -> Iterator[Result]:
        """Settle all that is left, where there is no subject to judge."""
        for clause in self.plan.clauses:
            if clause.id not in self.results:
                self.start(clause)
                result = blocked(clause, self.results) or blank(clause, verdict, cause=cause)
                yield self.settle(result)

    def _unprotected(self) -> Iterator[Result]:
        self.note(UNPROTECTED)
        try:
            with surviving("opening it"):
                subject, notes = guarded(
                    "opening it", lambda: open_target(self.target, self.timeout)
                )
        except SubjectError as error:
            if isinstance(error.original, BigramError):
                raise error.original from None
            yield from self.unopened(Verdict.FAIL, str(error))
            return
        except SubjectCrash as crash:
            yield from self.unopened(Verdict.CRASH, str(crash))
            return
        self.note(*notes)
        while (clause := self.next) is not None:
            self.start(clause)
            yield self.settle(self._judged_here(clause, subject))
        with suppress(Exception, SubjectCrash), surviving("it"):
            self.note(*notes_of(subject, subject.notes, self.plan.profile))

    def _judged_here(self, clause: Clause, subject: Opened) -> Result:
        """Judge the first clause that has no verdict."""
        plan = replace(self.plan, waive=None)
        try:
            with surviving("it"):
                return next(run(subject, plan, done=self.results))
        except SubjectCrash as crash:
            return blank(clause, crash.verdict, cause=str(crash))
        except Exception as error:  # noqa: BLE001  in what the subject has left of the process
            cause = f"the kit failed: {type(error).__name__}: {error}"
            return blank(clause, Verdict.KIT_ERROR, cause=cause)


class Visit:
    """What one copy tells, and what is to be thought of it."""

    def __init__(self, run: IsolatedRun, server: Server, copy: Copy) -> None:
        self.run = run
        self.server = server
        self.copy = copy
        self.opened = False
        self.over = False
        self.judged = 0
        self.current: Clause | None = None
        self.finding: Result | None = None
        """A failure of the current clause, whose cause is being looked for."""
        self.begun = 0.0

    def results(self) -> Iterator[Result]:
        """Give results until the copy has no more, or is not to be trusted with another."""
        self.copy.tell(self._job())
        patience = START
        while not self.over:
            heard = self.server.listen(self.copy, patience)
            # A command's copy tells of the time itself, and what it asked.
            patience = self.run.timeout + (SLACK if self.run.target.command is not None else 0)
            if isinstance(heard, End):
                yield from self._ended(heard)
            else:
                yield from self._step(_parsed(heard))

    def _job(self) -> dict[str, object]:
        run = self.run
        return {
            "target": asdict(run.target),
            "seconds": run.timeout,
            "clauses": [clause.id for clause in run.plan.clauses],
            "plan": {name: getattr(run.plan, name) for name in SENT},
            "memory": run.memory,
            "home": os.getcwd(),  # noqa: PTH109  as text
            "path": [str(entry) for entry in sys.path],
            "done": {name: (one.verdict, one.cause) for name, one in run.results.items()},
            "notes": not run.opened,
        }

    def _step(self, message: object) -> Iterator[Result]:
        match message:
            case {"ready": True}:
                pass
            case {"opened": [*notes]} if not self.opened:
                self.opened = self.run.opened = True
                self.run.note(*map(str, notes))
            case {"unopened": str(verdict), "cause": str(cause)} if verdict in list(Verdict):
                self.over = True
                yield from self.run.unopened(Verdict(verdict), cause)
            case {"cannot": str(said), "kind": str(kind)} if not self.opened:
                self.over = True
                if not self.run.opened:
                    raise error_of(kind, said)
                yield from self.run.unopened(Verdict.CRASH, f"it cannot be opened again: {said}")
            case {"start": str(name)} if self._starts(name):
                pass
            case {"result": str(name), **fields} if self.current and name == self.current.id:
                yield from self._judgement(self.current, {str(key): fields[key] for key in fields})
            case {"notes": [*notes]}:
                self.run.note(*map(str, notes))
            case {"done": True} if self.run.next is None:
                self.over = True
            case _:
                yield from self._ended(End.CUT_OFF)

    def _starts(self, name: str) -> bool:
        clause = self.run.next
        if not self.opened or self.current is not None or clause is None or clause.id != name:
            return False
        self.current, self.finding, self.begun = clause, None, time.monotonic()
        self.run.start(clause)
        return True

    def _or_finding(self, result: Result) -> Result:
        """Return a result, or the finding that it ended the search for the cause of."""
        if self.finding is None:
            return result
        return replace(self.finding, cause=f"{UNKNOWN}: while it was looked for, {result.cause}")

    def _judgement(self, clause: Clause, fields: dict[str, Any]) -> Iterator[Result]:
        try:
            settled = fields.pop("settled")
            result = replace(blank(clause, Verdict(fields.pop("verdict"))), **fields)
        except (KeyError, TypeError, ValueError):
            yield from self._ended(End.CUT_OFF)
            return
        if not settled:
            self.finding = result
            return
        # After a crash, and where the kit fails in what may be the ruins of an earlier clause,
        # another copy goes on.
        self.over = result.verdict in CUT_SHORT | {Verdict.KIT_ERROR}
        self.current = None
        if self.over:
            result = self._or_finding(result)
        if result.verdict is Verdict.KIT_ERROR and self.judged:
            return
        self.judged += 1
        yield self.run.settle(result)

    def _ended(self, end: End) -> Iterator[Result]:
        self.over = True
        verdict, cause = self._meaning(end)
        clause = self.current or self.run.next
        if clause is None:
            return
        if not self.opened and end is End.ORPHANED and self.run.opened and not self.run.again:
            # It has been opened before, and has had no say yet: whoever ended the process, the
            # clauses that are left are not to be lost to a single try.
            self.run.again = True
            self.run.note("the kit's process was ended while the subject was opened again")
        elif not self.opened:
            when = "" if end is End.SILENT else "while it was opened, "
            yield from self.run.unopened(verdict, when + cause)
        elif self.current is None and self.judged:
            self.run.note(f"between two clauses, {cause}")
        else:
            if self.current is None:
                self._starts(clause.id)
            result = self._or_finding(blank(clause, verdict, cause=cause))
            yield self.run.settle(replace(result, seconds=time.monotonic() - self.begun))

    def _meaning(self, end: End) -> tuple[Verdict, str]:
        copy, run = self.copy, self.run
        if end is End.SILENT:
            at = place(self.server.where(copy))
            what = "it" if self.opened else "opening it"
            last = f", last at {at}" if at else ""
            return Verdict.TIMEOUT, (
                f"{what} took longer than {run.timeout:g} s{last}: an endless loop? "
                "--timeout gives more"
            )
        if end is End.ORPHANED:
            return Verdict.CRASH, "it killed the kit's process, which had started its own"
        if end is End.CUT_OFF or copy.status == CUT_OFF:
            return Verdict.CRASH, CLOSED
        if copy.status == FULL:
            return Verdict.CRASH, out_of_memory(run.memory)
        if copy.status == FAULT:
            return Verdict.KIT_ERROR, f"the kit failed: {last_line(str(copy.printed))}"
        assert copy.status is not None  # noqa: S101  it has died
        return Verdict.CRASH, why(copy.status, trace=copy.trace, printed=str(copy.printed))


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def error_of(kind: str, said: str) -> BigramError:
    """Give back the error that opening the subject ended in."""
    kinds: list[type[BigramError]] = [BigramError]
    for each in kinds:
        kinds += each.__subclasses__()
    return next((each for each in kinds if each.__name__ == kind), LoadError)(said)
