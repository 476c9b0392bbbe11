"""Saved cases come back as they were, and one that contradicts itself is refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from reference.conformance.corner_cases import CASES, REPEATED_PAIRS
from reference.spec import cases as c


# beartype, which checks every case that is made, looks at a random place of a list.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@given(st.data())
def test_every_case_that_is_drawn_comes_back_from_json(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([kind for kind in CASES if CASES[kind].more is not None]))
    more = CASES[kind].more
    assert more is not None
    case = data.draw(more)
    saved = json.loads(json.dumps(c.to_json(case)))
    assert c.from_json(type(case), saved) == case


HUGE = 10**5000
WRONG_INTEGERS: tuple[Any, ...] = (-1, 0, 2**31, 2**63, HUGE, True, 2.0, "3", None, [])
FIELDS_OF = {
    kind: sorted(c.to_json(cases.corners[0]))
    for kind, cases in CASES.items()
    if kind is not c.Nothing
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in FIELDS_OF.items() for name in names]
)
def test_a_case_with_a_wrong_field_is_refused_and_the_field_named(
    kind: type[c.Case], name: str
) -> None:
    saved = json.loads(json.dumps(c.to_json(CASES[kind].corners[-1])))
    right = saved[name]
    wrong: list[Any] = [None, {}, -(10**30), HUGE, math.nan, math.inf, "\ud800", ""]
    wrong += [[], [[]], [[], []], [[0], [0, 0]], [[HUGE]], [[math.nan]], [[10**9]]]
    wrong += [1] if isinstance(right, bool) else [True]
    if isinstance(right, int):
        wrong += [str(right), [right], float(right) + 0.5]
    elif isinstance(right, list):
        wrong += [[*right, []], [*right, right], str(right)]
    for value in wrong:
        with pytest.raises(c.CaseError, match=rf"\b{name}\b"):
            c.from_json(kind, saved | {name: value})


@pytest.mark.parametrize(
    ("kind", "change", "name"),
    [
        (c.IndexCase, {"idx": [[7]], "C": 3}, "idx"),
        (c.IndexCase, {"idx": [[0, 1], [0]]}, "idx"),
        (c.IndexCase, {"idx": [[0] * 2**16] * 2}, "idx"),
        (c.IndexCase, {"C": 1025}, "C"),
        (c.IndexCase, {"layout": "sideways"}, "layout"),
        (c.LossCase, {"targets": [[0, 0, 0, 0]]}, "targets"),
        (c.LossCase, {"targets": [[0, 0, 0, 0, 3]]}, "targets"),
        (c.BadTokenCase, {"place": [2, 0]}, "place"),
        (c.BadTokenCase, {"place": [-1, 0]}, "place"),
        (c.BadTokenCase, {"token": 2}, "token"),
        (c.BadTokenCase, {"token": 2**63}, "token"),
        (c.PromptCase, {"n": 0}, "n"),
        (c.ChainCase, {"step": 0}, "step"),
        (c.BatchCase, {"N": 18}, "N"),
        (c.BatchCase, {"batch_size": 0}, "batch_size"),
        (c.TextCase, {"text": "a" * 10_001}, "text"),
        (c.StrangerCase, {"place": 17}, "place"),
        (c.StrangerCase, {"place": 0}, "other"),
        (c.StrangerCase, {"other": "hello"}, "other"),
        (c.StrangerCase, {"other": "hell🜚x"}, "other"),
        (c.LogitsCase, {"rows": [[1.0], [1.0, 2.0]]}, "rows"),
        (c.LogitsCase, {"rows": [[1e7]]}, "rows"),
        (c.LawCase, {"draws": 2**23}, "draws"),
        (c.LawCase, {"draws": 5}, "draws"),
        (c.LawCase, {"C": 1}, "C"),
        (c.JointLawCase, {"C": 33}, "C"),
        (c.ContextLawCase, {"draws": 20}, "draws"),
        (c.ContextLawCase, {"T": 3}, "T"),
        (c.ChainLawCase, {"T": 4000, "n": 4000}, "draws"),
        (c.TrainingCase, {"batches": []}, "batches"),
        (c.TrainingCase, {"batches": [[[[0]], [[0]]]] * 65}, "batches"),
        (c.TrainingCase, {"batches": [[[[0]], [[0]]], [[[0]], [[9]]]]}, "batches"),
    ],
)
def test_a_case_that_contradicts_itself_is_refused(
    kind: type[c.Case], change: dict[str, object], name: str
) -> None:
    corner = REPEATED_PAIRS if kind is c.LossCase else CASES[kind].corners[-1]
    saved = json.loads(json.dumps(c.to_json(corner)))
    c.from_json(kind, saved)
    with pytest.raises(c.CaseError, match=rf"^(batches.*)?{name}\b.* of the case is .*; it must"):
        c.from_json(kind, saved | change)


broken_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.data())
def test_a_case_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(FIELDS_OF, key=lambda kind: kind.__name__)))
    corner = data.draw(st.sampled_from(CASES[kind].corners))
    saved = json.loads(json.dumps(c.to_json(corner)))
    for name in data.draw(st.lists(st.sampled_from(sorted(saved)), max_size=3)):
        saved[name] = data.draw(broken_json | st.sampled_from(WRONG_INTEGERS))
    message, case = "", None
    try:
        case = c.from_json(kind, saved)
    except c.CaseError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 1_000
    if case is not None:
        case.code()
        if isinstance(case, c.TokensCase):
            assert case.tensor().shape == (len(case.idx), len(case.idx[0]))
