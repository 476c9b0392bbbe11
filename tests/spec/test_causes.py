"""What a report says is likely wrong, of mistakes that look like one another."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from reference.conformance.runner import Plan, planned, run
from reference.conformance.verdicts import Verdict

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")


@pytest.fixture(scope="module", autouse=True)
def _zoo() -> Iterator[None]:
    folder = str(Path(__file__).parents[1] / "mutants")
    sys.path.insert(0, folder)
    import_module("zoo").specimens()
    yield
    sys.path.remove(folder)


NAMED = {
    "adds up the gradients of micro-batches of one row each": "3 micro-batches were added up",
    "adds up the gradients of micro-batches of two rows or one": "2 and 1 rows are added up",
    "averages micro-batches of two rows or one, whatever their sizes": "averaged without regard",
    "has a start token in front of each window": "tokens of the text become others",
    "masks the last target of each window": "the last target of each row is not the token after",
    "is made on the meta device, where its table has no numbers": "on the meta device, where",
    "gives its loss on the meta device": "the loss is on the meta device",
    "gives logits in thousandths, as whole numbers": "cast to whole numbers",
    "rounds the scores to 3 decimals": "nearly, not to the bit: rounded",
    "rounds the scores to 6 decimals": "nearly, not to the bit: rounded",
    "adds the loss up over the batch": "the loss is added up over the batch",
    "does not clear the gradient": "zero_grad is missing",
    "keeps the text in uint16, in which a token of 65,536 is 0": "are kept in uint16",
    "keeps the text in int16, in which tokens wrap round": "are kept in int16",
    "keeps the text in bfloat16, which rounds tokens": "are kept in bfloat16",
    "keeps the targets in uint8, in which tokens wrap round": "are kept in uint8",
}
"""Specimens by what they do, and how the cause names it."""


@pytest.mark.parametrize("name", NAMED)
def test_a_cause_names_the_mistake(name: str) -> None:
    (one,) = (one for one in import_module("zoo").specimens() if one.name == name)
    plan = Plan(clauses=planned((one.breaks,), None, one.profile), profile=one.profile, examples=4)
    (broken,) = (result for result in run(one.make(), plan) if result.verdict is Verdict.FAIL)
    assert broken.id == one.breaks
    assert NAMED[name] in broken.cause
