import json
import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from allowed import FINE, REASONS, allowance, kind_of_change
from instrument import SITES, Fault, Site, Visits, copy_of
from judging import Task, Tried, faults_at, judge, judged, tried
from operators import Call
from processes import in_children
from record import Judged, grouped, kills, record, shares, text_of
from trial import ANY, DRAWS, ERRORS, NUMBERS, START, Right

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.spec.catalogue import catalogue
from reference.spec.clause import Level

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def right() -> Right:
    data = copy_of("faulted_data_for_a_test", ROOT / "reference/data.py")
    given = {"get_batch": data.get_batch}
    make = partial(TorchSubject, factory=BigramLanguageModel, given=given)
    return Right(name="get_batch", make=make, concepts=("batch",))


@pytest.fixture(scope="module")
def trial(right: Right) -> Tried:
    found = tried(right, twice=True)
    assert found is not None
    return found


def task(right: Right, trial: Tried, text: str, operator: str) -> Task:
    """Return a fault at the expression of get_batch that has this text."""
    for number, kind in trial.sites:
        if SITES[number].text == text and SITES[number].function.endswith(":get_batch"):
            return Task(right, trial.steps, Fault(number, kind, operator, "always"))
    raise AssertionError(text)


def test_a_call_that_hangs_or_crashes_ends_alone() -> None:
    calls: list[Callable[[], object]] = [
        partial(time.sleep, 60),
        partial(os._exit, 3),
        partial(pow, 3, 2),
    ]
    found = dict(in_children(calls, workers=2, limit=1.5))
    assert isinstance(found[0], TimeoutError)
    assert isinstance(found[1], EOFError)
    assert found[2] == 9


def test_a_fault_is_killed_by_the_clause_that_it_breaks(right: Right, trial: Tried) -> None:
    wrong = task(right, trial, "len(data)", "halve")
    ((_task, found),) = judged([wrong], 1, 0)
    assert found["outcome"] == "killed"
    assert found["clauses"][0].startswith("batch.")


def test_a_fault_that_changes_no_bit_is_equivalent(right: Right, trial: Tried) -> None:
    same = task(right, trial, "len(data)", "at_least_0")
    assert judge(same, by_all=False)["outcome"] == "equivalent"


def test_a_draw_that_nobody_uses_is_allowed_and_a_seed_is_not(right: Right, trial: Tried) -> None:
    draws, seeds = (task(right, trial, "len(data)", one).fault for one in ("extra_draw", "reseed"))
    assert allowance(right, draws, kind_of_change(right, draws)) == (DRAWS, "")
    reason, gap = allowance(right, seeds, kind_of_change(right, seeds))
    assert not reason
    assert "seeds the stream" in gap


def test_a_clause_that_allows_something_is_a_choice_or_states_its_power() -> None:
    choices = {one.id for one in catalogue(None) if one.level is Level.CHOICE}
    powers = {one.id for one in catalogue(None) if "Power:" in (one.check.__doc__ or "")}
    for kind, reason in REASONS.items():
        named = re.findall(r"[a-z]+\.[a-z-]+", reason)
        assert set(named) <= (powers if kind == FINE else choices)
        assert named or kind in {NUMBERS, START, ERRORS, ANY}


def test_faults_that_change_no_number_are_left_out() -> None:
    visits = Visits()
    for T in (3, 70):
        visits.add(5, Call(T=T))
    faults = list(faults_at(0, "int", visits))
    assert {fault.condition for fault in faults} == {"always", "T > 64"}
    assert "plus_1" in {fault.operator for fault in faults}
    assert "cap_8" not in {fault.operator for fault in faults}


def outcome(name: str, function: str, operator: str = "zeros", **found: object) -> Judged:
    site = Site("m.py", f"m.py:{function}", 3, "x + 1")
    fault = Fault(0, "float", operator, "always")
    return Judged("a model", None, site, fault, {"outcome": name, **found})


EVERY = [
    outcome("killed", "M.forward", clauses=["loss.scalar"], by_all=True),
    outcome("killed", "M.forward", clauses=["loss.scalar", "loss.live"], by_all=True),
    outcome("killed", "M.forward", "ones", clauses=["loss.scalar"], by_all=False),
    outcome("never", "M.__init__"),
    outcome("allowed", "M.generate", reason="streams", gap=""),
    outcome("survived", "M.generate", reason="", gap="the law"),
]


def test_a_record_counts_by_part_operator_and_clause() -> None:
    seen = record(EVERY, "2fe0", faults=90, expressions=9)
    assert seen["outcomes"] == "3 killed, 1 allowed, 1 survived, 1 equivalent, 0 kit-error"
    assert seen["by part"]["construction"] == [0, 0, 0, 1, 0]
    assert seen["by operator"]["ones"] == [1, 0, 0, 0, 0]
    assert kills(EVERY) == {"loss.scalar": [3, 1]}
    assert seen["by all clauses"] == {"killed": 2, "median": 1.5, "95th percentile": 2}
    assert seen["allowed"]["streams"]["count"] == 1
    assert seen["allowed"]["streams"]["in"] == {"m.py:M.generate": "x + 1: zeros"}
    assert seen["survived"] == {"m.py m.py:M.generate: x + 1 | zeros, always": "the law"}
    assert json.loads(text_of(seen)) == seen
    assert '"loss.scalar": [ 3, 1 ]' in text_of(seen)


def test_the_share_that_is_killed_is_told_of_faults_that_break_something() -> None:
    assert shares({"killed": 3, "survived": 1, "allowed": 4}).startswith("75.00% of 4")
    assert "37.50% of 8" in shares({"killed": 3, "survived": 1, "allowed": 4})


def test_groups_are_sorted_by_name() -> None:
    assert list(grouped([("b", "killed"), ("a", "killed")])) == ["a", "b"]
