"""Clause after clause: draw cases, find the smallest that fails, and say what that means."""

import json
import random
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, Verbosity, given, seed as seeded, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from reference.conformance.corner_cases import Cases, cases_of
from reference.conformance.errors import SubjectCrash, UnknownClauseError, WaiverError
from reference.conformance.subjects.guard import message_of
from reference.conformance.subjects.switches import CASE, PLACES, process, restored
from reference.conformance.subjects.torch_models import Note
from reference.conformance.verdicts import BROKEN, Result, Verdict
from reference.spec.cases import Case, from_json, to_json
from reference.spec.catalogue import catalogue
from reference.spec.clause import BIGRAM, Clause, Level
from reference.spec.expect import Broken, Cause, clipped
from reference.spec.measures import longest
from reference.spec.randomness import seed_all
from reference.spec.subject import Part, Subject, SubjectError

EXAMPLES = 20
"""Cases that Hypothesis draws for a clause, beside its corners."""
UNKNOWN = "no cause was found"
FLAKY = " (not every time: tried again, it passes)"

STOPPED = frozenset(Verdict) - {Verdict.PASS, Verdict.SKIP, Verdict.XPASS}
"""Verdicts of a needed clause that block."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be run, and how."""

    clauses: tuple[Clause, ...]
    profile: str = BIGRAM
    seed: int = 0
    examples: int = EXAMPLES
    smallest: bool = True
    """Whether the smallest failing case is looked for, or the first one found will do."""
    waive: Mapping[str, str] | None = None
    replay: Mapping[str, object] | None = None
    """The one case to try, as JSON holds it, in place of corners and draws."""


def planned(
    wanted: Sequence[str] | None, waive: Mapping[str, str] | None, profile: str | None = BIGRAM
) -> tuple[Clause, ...]:
    """Give the clauses of these ids, or of concepts such as "loss", and all that they need.

    All are of the profile, or, without one, of any.

    Raises: UnknownClauseError where there is no such clause; WaiverError where a waiver has no
        reason.
    """
    every = catalogue(profile)
    for name, reason in (waive or {}).items():
        check_id(name, every)
        if not reason.strip():
            raise WaiverError(f"the waiver of {name} has no reason; give one: {name}=REASON")
    if wanted is None:
        return every
    chosen: set[str] = set()
    for name in wanted:
        of_concept = {clause.id for clause in every if clause.concept == name}
        if not of_concept:
            check_id(name, every)
        chosen |= of_concept or {name}
    for clause in reversed(every):
        if clause.id in chosen:
            chosen |= set(clause.needs)
    return tuple(clause for clause in every if clause.id in chosen)


def check_id(name: str, every: Sequence[Clause]) -> None:
    """Refuse an id that no clause has.

    Raises: UnknownClauseError.
    """
    ids = [clause.id for clause in every]
    if name not in ids:
        near = get_close_matches(name, ids, n=3, cutoff=0.4)
        hint = f"; near it: {', '.join(near)}" if near else ""
        other = [clause for clause in catalogue(None) if clause.id == name]
        if other:
            hint = f" in this profile, but there is in {' and '.join(other[0].profiles)}"
        raise UnknownClauseError(f"there is no clause {name!r}{hint} (`bigram spec` lists them)")


def notes_of(subject: Subject, notes: Sequence[Note], profile: str) -> tuple[str, ...]:
    """Return what a report of this profile says of a subject, which says `notes` of itself."""
    if profile == BIGRAM or Part.TABLE in subject.parts:
        return tuple(note.text for note in notes)
    others = [note.text for note in notes if not note.of_table]
    if Part.PARAMETERS in subject.parts:
        others.append(
            "the kit writes numbers of its own into the model's weights, where clauses are about "
            "what comes before: a new model says nearly the same of every token"
        )
    return tuple(others)


def run(
    subject: Subject,
    plan: Plan,
    *,
    done: Mapping[str, Result] | None = None,
    started: Callable[[Clause], None] | None = None,
    found: Callable[[Result], None] | None = None,
) -> Iterator[Result]:
    """Judge the planned clauses in order, after those that are done already.

    `found` is called with a failure before its cause is looked for: that calls the subject again.
    """
    results = dict(done or {})
    for clause in plan.clauses:
        if clause.id in results:
            continue
        if started is not None:
            started(clause)
        begin = time.perf_counter()
        result = waived(_judge(clause, subject, plan, results, found), plan.waive or {})
        result = replace(result, seconds=time.perf_counter() - begin)
        results[clause.id] = result
        yield result


def blank(
    clause: Clause, verdict: Verdict, *, cause: str = "", expected: str = "", seen: str = ""
) -> Result:
    """Give a result with what the clause says of itself."""
    return Result(
        id=clause.id,
        level=clause.level,
        verdict=verdict,
        sentence=clause.sentence,
        cause=cause,
        expected=expected,
        seen=seen,
    )


def blocked(clause: Clause, results: Mapping[str, Result]) -> Result | None:
    """Give the verdict on a clause that needs one which is not kept, and name that one."""
    for need in clause.needs:
        if need in results and results[need].verdict in STOPPED:
            root = results[need].cause if results[need].verdict is Verdict.BLOCKED else need
            return blank(clause, Verdict.BLOCKED, cause=root)
    return None


def waived(result: Result, waive: Mapping[str, str]) -> Result:
    """Take a waiver into account: a broken clause is then expected to be, a kept one is not."""
    if result.id not in waive:
        return result
    reason = waive[result.id]
    if result.verdict in BROKEN - {Verdict.XPASS}:
        return replace(result, verdict=Verdict.XFAIL, cause=f"waived: {reason} ({result.cause})")
    if result.verdict is Verdict.PASS:
        return replace(
            result,
            verdict=Verdict.XPASS,
            cause=f"it was waived ({reason}) and is kept: take the waiver back",
        )
    return result


def _judge(
    clause: Clause,
    subject: Subject,
    plan: Plan,
    results: Mapping[str, Result],
    found: Callable[[Result], None] | None,
) -> Result:
    stopped = blocked(clause, results)
    if stopped is not None:
        return stopped
    with isolated_streams():
        try:
            missing = [part for part in clause.parts if part not in subject.parts]
            if missing:
                return blank(clause, Verdict.SKIP, cause=f"the subject has no {missing[0]}")
            return _search(clause, subject, plan, found)
        except SubjectCrash as crash:
            return blank(clause, crash.verdict, cause=str(crash))
        except Exception as error:  # noqa: BLE001  whatever it is, the other clauses go on
            *_, (frame, line) = traceback.walk_tb(error.__traceback__)
            said = f"{message_of(error)} ({frame.f_code.co_filename}:{line})"
            return blank(clause, Verdict.KIT_ERROR, cause=f"the kit failed: {said}")


def _search(
    clause: Clause, subject: Subject, plan: Plan, tell: Callable[[Result], None] | None
) -> Result:
    seen: list[str] = []

    def attempt(case: Case) -> Broken | None:
        answer = try_case(clause, subject, case, plan.seed)
        if isinstance(answer, Broken):
            return answer
        seen.append(answer)
        return None

    with ordinary():
        most = None if plan.profile == BIGRAM else longest(subject)
    cases = cases_of(clause.case, longest=most)
    if plan.replay is not None:
        cases = Cases(corners=(from_json(clause.case, dict(plan.replay)),))
    found = _smallest(attempt, cases, plan)
    if clause.level is Level.CHOICE:
        if found is not None:
            seen.append(found[1].seen)
        return blank(
            clause, Verdict.PASS, seen=clipped("; ".join(dict.fromkeys(filter(None, seen))))
        )
    if found is None:
        return blank(clause, Verdict.PASS)
    case, failure = found
    always = isinstance(try_case(clause, subject, case, plan.seed), Broken)
    result = replace(
        blank(clause, Verdict.FAIL, expected=failure.expected, seen=failure.seen),
        cause=UNKNOWN,
        case=to_json(case),
        code=case.code(),
    )
    if tell is not None:
        tell(result)
    cause = clipped(_likely(failure.cause, plan.seed))
    return replace(result, cause=cause + ("" if always else FLAKY))


def _likely(cause: Cause, seed: int) -> str:
    """Look for the cause of a finding, which stands whatever happens here."""
    if isinstance(cause, str):
        return cause
    seed_all(seed)
    try:
        with ordinary():
            return cause()
    except (Broken, SubjectError, SubjectCrash) as error:
        return f"{UNKNOWN}: asked once more to find it, the subject failed ({error})"
    except Exception as error:  # noqa: BLE001  a diagnosis decides nothing
        return f"{UNKNOWN}: the kit failed while looking for it ({message_of(error)})"


def _smallest(
    attempt: Callable[[Case], Broken | None], cases: Cases, plan: Plan
) -> tuple[Case, Broken] | None:
    tried = ((corner, attempt(corner)) for corner in cases.corners)
    found = next(((corner, failure) for corner, failure in tried if failure is not None), None)
    if found is not None and not plan.smallest:
        return found
    if cases.more is not None:
        drawn = _draw(attempt, cases.more, plan)
        if drawn is not None and (found is None or _size(drawn[0]) < _size(found[0])):
            found = drawn
    while plan.smallest and plan.replay is None and found is not None:
        tried = ((case, attempt(case)) for case in found[0].shorter())
        smaller = next(((case, failure) for case, failure in tried if failure is not None), None)
        if smaller is None:
            break
        found = smaller
    return found


def try_case(clause: Clause, subject: Subject, case: Case, seed: int) -> Broken | str:
    """Check one case; give how it fails, or what was recorded."""
    seed_all(seed)
    try:
        with ordinary():
            return clause.check(subject, case) or ""
    except Broken as broken:
        return broken.with_traceback(None)  # which would keep the subject's tensors
    except SubjectError as error:
        cause = f"{error.operation} {error.said}"
        return Broken(expected="no error", seen=str(error), cause=cause)


def _draw(
    attempt: Callable[[Case], Broken | None], strategy: SearchStrategy[Case], plan: Plan
) -> tuple[Case, Broken] | None:
    """Try the drawn cases, and if one of them fails, look for the smallest that does."""
    if not any(attempt(case) for case in _drawn(strategy, plan.seed, plan.examples)):
        return None
    last: tuple[Case, Broken] | None = None

    class FoundError(Exception):
        pass

    def trial(case: Case) -> None:
        nonlocal last
        failure = attempt(case)
        if failure is not None:
            last = case, failure
            raise FoundError

    phases = (Phase.generate, Phase.shrink) if plan.smallest else (Phase.generate,)
    try:
        _search_with(trial, strategy, plan.seed, plan.examples, phases)
    except (FoundError, Flaky, BaseExceptionGroup):
        if last is None:
            raise
    return last


@lru_cache(maxsize=64)
def _drawn(strategy: SearchStrategy[Case], seed: int, examples: int) -> tuple[Case, ...]:
    """Draw the cases that every clause about this type of case is tried on: it takes some time."""
    cases: list[Case] = []

    def keep(case: Case) -> None:
        cases.append(case)

    _search_with(keep, strategy, seed, examples, (Phase.generate,))
    return tuple(cases)


def _search_with(
    trial: Callable[[Case], None],
    strategy: SearchStrategy[Case],
    seed: int,
    examples: int,
    phases: tuple[Phase, ...],
) -> None:
    search = seeded(seed)(
        settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=False,
            phases=phases,
            verbosity=Verbosity.quiet,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )(given(strategy)(trial))
    )
    search()


def _size(case: Case) -> int:
    return len(json.dumps(to_json(case)))


@contextmanager
def ordinary() -> Iterator[None]:
    """Undo what one case does to torch as a whole, and let the subject warn of what it likes."""
    with restored(CASE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def isolated_streams() -> Iterator[None]:
    """Leave the caller's random streams and all that a process shares as they were.

    Inside, torch works on one thread: these tensors are too small for two, which on busy cores only
    wait for each other.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002  the shared one
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with restored(CASE, PLACES, process()), torch.random.fork_rng(devices=devices):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002  the shared one
            random.setstate(python_state)
