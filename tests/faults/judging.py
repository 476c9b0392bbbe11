"""What becomes of each fault: each is tried and judged in its own process."""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from allowed import allowance, kind_of_change
from instrument import Fault, Visits, faulty, watching
from operators import OPERATORS, changes_a_number
from processes import in_children
from trial import ANY, ERRORS, NUMBERS, START, STREAMS, Right, differs, digest_of

from reference.conformance.runner import Plan, planned, run
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.verdicts import BROKEN, Result, Verdict
from reference.spec.clause import Level

EXAMPLES = 4
"""Cases that Hypothesis draws for a clause: as few as in the kill matrix."""
SLOW = ("generate.law", "causal.law")
"""Clauses that draw hundreds of thousands of tokens."""
PLAIN = {STREAMS, ERRORS, START, NUMBERS, ANY}
"""Kinds of change for which it is seen first whether they are allowed: no law is changed."""
NOWHERE = Fault(site=-1, kind="float", operator="zeros", condition="always")
"""A fault at no expression, which must change nothing."""


@dataclass(frozen=True)
class Tried:
    """What a trial of right code showed."""

    steps: tuple[str, ...]
    sites: dict[tuple[int, str], Visits]
    """What was seen at each site, by the kind of its values."""


@dataclass(frozen=True)
class Task:
    """One fault to judge."""

    right: Right
    before: tuple[str, ...]
    """The digests of a trial of the right code."""
    fault: Fault


def tried(right: Right, *, twice: bool) -> Tried | None:
    """Try right code as it is, and with a fault elsewhere; None if the two trials differ."""
    warnings.simplefilter("ignore")
    with watching() as seen:
        before = digest_of(right.make, whole=right.whole)
    with faulty(NOWHERE):
        same = not twice or not differs(right.make, before, whole=right.whole)
    return Tried(tuple(before), seen) if same else None


def faults_at(site: int, kind: str, visits: Visits) -> Iterator[Fault]:
    """Yield each operator at a site, always and under a condition that holds now and then.

    Those that leave every number as it is are not faults.
    """
    conditions = visits.now_and_then
    for place, operator in enumerate(OPERATORS[kind]):
        if visits.numbers is not None and not changes_a_number(operator, visits.numbers):
            continue
        yield Fault(site, kind, operator, "always")
        if conditions:
            condition = conditions[(site * 7 + place) % len(conditions)]
            yield Fault(site, kind, operator, condition)


def judge(task: Task, *, by_all: bool) -> dict[str, object]:
    """Return what becomes of one fault: by all clauses, or by the first that it breaks."""
    warnings.simplefilter("ignore")
    right, begin = task.right, time.perf_counter()
    with faulty(task.fault) as state:
        different = differs(right.make, list(task.before), whole=right.whole)
        applied = state.applied
    trial = time.perf_counter() - begin
    if not different:
        return {"outcome": "equivalent" if applied else "never", "seconds": [trial]}
    soon, late = plans_of(right)
    subject = right.make()
    results = clauses_on(subject, soon, task.fault, {}, by_all=by_all)
    kind = reason = gap = ""
    if not any(map(ends, results)):
        kind = kind_of_change(right, task.fault)
        if kind in PLAIN:
            reason, gap = allowance(right, task.fault, kind)
    if by_all or not (reason or any(map(ends, results))):
        done = {one.id: one for one in results}
        results += clauses_on(subject, late, task.fault, done, by_all=by_all)
    if kind and kind not in PLAIN and not any(map(ends, results)):
        reason, gap = allowance(right, task.fault, kind)
    broken = [one.id for one in results if breaks(one)]
    kit = [one.cause for one in results if one.verdict is Verdict.KIT_ERROR]
    outcome = "kit-error" if kit else "killed" if broken else "allowed" if reason else "survived"
    return {
        "outcome": outcome,
        "clauses": broken,
        "kit": kit,
        "seconds": [trial, time.perf_counter() - begin - trial],
        "by_all": by_all,
        "reason": reason,
        "gap": gap,
    }


def clauses_on(
    subject: TorchSubject, plan: Plan, fault: Fault, done: dict[str, Result], *, by_all: bool
) -> list[Result]:
    """Return what clauses say of a fault: all of them, or those up to the first that it breaks."""
    results: list[Result] = []
    with faulty(fault):
        for result in run(subject, plan, done=done):
            results.append(result)
            if ends(result) and not by_all:
                break
    return results


def ends(result: Result) -> bool:
    """Return whether nothing more need be asked."""
    return breaks(result) or result.verdict is Verdict.KIT_ERROR


def breaks(result: Result) -> bool:
    """Return whether a clause that binds is broken."""
    return result.verdict in BROKEN and result.level is not Level.CHOICE


def plans_of(right: Right) -> tuple[Plan, Plan]:
    """Plan all clauses for right code: in a second plan those that take long, and their heirs."""
    clauses = planned(right.concepts, None, right.profile)
    late = set(SLOW)
    for one in clauses:
        if late & set(one.needs):
            late.add(one.id)

    def plan(*, is_late: bool) -> Plan:
        chosen = tuple(one for one in clauses if (one.id in late) == is_late)
        return Plan(clauses=chosen, profile=right.profile, examples=EXAMPLES, smallest=False)

    return plan(is_late=False), plan(is_late=True)


def judged(
    tasks: Sequence[Task], workers: int, by_all: int
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Judge each fault, `workers` at a time, and the first ones by all clauses.

    One that ends its process is killed.
    """
    ends = {TimeoutError: "hang", EOFError: "crash"}
    calls = [partial(judge, task, by_all=number < by_all) for number, task in enumerate(tasks)]
    for number, found in in_children(calls, workers):
        if type(found) in ends:
            yield tasks[number], {"outcome": "killed", "clauses": [ends[type(found)]]}
        elif isinstance(found, Exception):
            yield tasks[number], {"outcome": "kit-error", "clauses": [], "kit": [str(found)]}
        else:
            yield tasks[number], found
