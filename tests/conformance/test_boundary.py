"""Whatever a stranger's function does, there is a verdict on the subject, and none on the kit."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings, strategies as st
from torch import Tensor, nn

from reference.conformance.reports.report_json import from_json, to_json
from reference.conformance.runner import Plan, isolated_streams, notes_of, planned, run
from reference.conformance.subjects.build import subject_of
from reference.conformance.subjects.own import train_step
from reference.conformance.verdicts import Report, Verdict
from reference.spec.cases import table_of
from reference.spec.catalogue import VERSION, catalogue
from reference.vocabulary import Vocabulary
from tests.conformance.hostile.misbehaviour import EVERY
from tests.conformance.right_model import Right

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")

DRAWS = int(os.environ.get("BIGRAM_DRAWS", "150"))
"""How many misbehaviours are drawn: many more by hand than in CI."""


@dataclass
class Fault:
    """What one function does from its call `at` on, or at that call only."""

    part: str
    how: str
    at: int
    always: bool
    calls: int = field(default=0)

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is, or, of the part at fault, one that misbehaves."""
        if part != self.part:
            return function

        def faulty(*given: Any, **named: Any) -> Any:
            call, self.calls = self.calls, self.calls + 1
            if call == self.at or (self.always and call > self.at):
                act = EVERY[self.how]
                return act(None if self.how.startswith("raises") else function(*given, **named))
            return function(*given, **named)

        return faulty


METHODS = (
    "forward", "generate", "state_dict", "named_parameters", "named_modules", "train", "eval",
)  # fmt: skip


def model(C: int, fault: Fault) -> nn.Module:
    """Make a model as in the notes, one of whose methods may misbehave."""
    made = Right(C)
    for name in METHODS:
        if fault.part == name:
            object.__setattr__(made, name, fault.wrap(name, getattr(made, name)))
    if fault.part == "a hook":
        made.register_forward_hook(lambda *_: fault.wrap("a hook", lambda: None)())
    if fault.part == "backward":
        table = made.token_embedding_table.weight
        table.register_hook(fault.wrap("backward", lambda gradient: gradient))
    return made


class Words:
    def __init__(self, text: str, fault: Fault) -> None:
        self.raw = Vocabulary.from_text(text)
        self.encode = fault.wrap("encode", lambda text: self.raw.encode(text).tolist())
        self.decode = fault.wrap("decode", self.raw.decode)
        self.fault = fault

    def __len__(self) -> int:
        size: int = self.fault.wrap("len(vocabulary)", lambda: len(self.raw))()
        return size


def windows(data: Tensor, block_size: int, batch_size: int) -> tuple[Tensor, Tensor]:
    ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    return x, torch.stack([data[i + 1 : i + block_size + 1] for i in ix])


def stepping(made: nn.Module, fault: Fault) -> Callable[[Tensor, Tensor], object]:
    return fault.wrap("the step", train_step(made))  # type: ignore[arg-type]  # like the reference's


def of_arrays(fault: Fault) -> dict[str, Any]:
    """Return the parts of a bigram model over NumPy's arrays, whose state is its table."""

    def forward(table: Any, idx: Any, targets: Any = None) -> tuple[Any, Any]:
        if (idx < 0).any():
            raise IndexError(f"token {idx.min()}")
        logits = table[idx]
        if targets is None:
            return logits, None
        rows = logits.reshape(-1, len(table)).astype(np.float64)
        chances = np.exp(rows - rows.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        loss = -np.log(chances[np.arange(len(rows)), targets.ravel()]).mean()
        return rows.astype(np.float32), np.float32(loss)

    def gradient(table: Any, idx: Any, targets: Any) -> Any:
        del idx, targets
        return np.zeros_like(table)

    def generate(table: Any, idx: Any, max_new_tokens: int, rng: Any) -> Any:
        new = rng.integers(0, len(table), (len(idx), max_new_tokens))
        return np.concatenate([idx, new], axis=1)

    return {
        "adapter": "arrays",
        "forward": fault.wrap("an array's forward", forward),
        "gradient": fault.wrap("an array's gradient", gradient),
        "generate": fault.wrap("an array's generate", generate),
    }


def parts(fault: Fault) -> dict[str, Any]:
    """Return the parts of a subject, one of which misbehaves."""
    if fault.part.startswith("an array's"):
        return of_arrays(fault)
    table = fault.wrap("get_table", lambda made: made.token_embedding_table.weight)
    write = fault.wrap("set_table", lambda made, new: made.token_embedding_table.weight.copy_(new))
    free = fault.wrap(fault.part, lambda made, idx, n: made.generate(idx, n))
    windows_of = fault.wrap("get_batch", windows)
    more: dict[str, dict[str, Any]] = {
        "get_table": {"get_table": table, "set_table": write},
        "set_table": {"get_table": table, "set_table": write},
        "the adapter": {"adapter": fault.wrap("the adapter", lambda answer: answer)},
        "free generate": {"generate": free},
        "plain generate": {"plain_generate": free},
        "get_batch(split)": {"get_batch": of_a_split(fault)},
    }
    return {
        "get_batch": windows_of,
        "vocabulary": fault.wrap("vocabulary", lambda text: Words(text, fault)),
        "softmax": fault.wrap("softmax", lambda logits: logits.softmax(dim=1)),
        "train_step": fault.wrap("train_step", lambda made: stepping(made, fault)),
    } | more.get(fault.part, {})


def of_a_split(fault: Fault) -> Callable[..., Any]:
    """Return the notes' own get_batch, over globals that the kit sets."""
    scope: dict[str, Any] = {
        "windows": windows,
        "faulty": lambda give: fault.wrap(fault.part, give)(),
    }
    exec(NOTES_GET_BATCH, scope)  # noqa: S102  so that it has globals of its own
    made: Callable[..., Any] = scope["get_batch"]
    return made


NOTES_GET_BATCH = """
def get_batch(split):
    data = train_data if split == "train" else val_data
    return faulty(lambda: windows(data, block_size, batch_size))
"""


OF_A_MODEL = ("forward", "index", "embedding", "loss", "gradient", "generate", "causal", "training")
PARTS: dict[str, tuple[str, ...]] = (
    dict.fromkeys(("factory", "forward", "the adapter", "get_table", "set_table"), OF_A_MODEL)
    | dict.fromkeys(("train", "eval", "named_parameters", "named_modules", "a hook"), OF_A_MODEL)
    | dict.fromkeys(("generate", "free generate", "plain generate"), ("generate", "causal"))
    | dict.fromkeys(("vocabulary", "encode", "decode", "len(vocabulary)"), ("vocabulary",))
    | dict.fromkeys(("train_step", "the step", "state_dict"), ("training",))
    | dict.fromkeys(("an array's forward", "an array's table"), OF_A_MODEL)
    | dict.fromkeys(("get_batch", "get_batch(split)"), ("batch",))
    | {"backward": ("gradient", "embedding", "training"), "softmax": ("softmax",)}
    | {"an array's gradient": ("gradient",), "an array's generate": ("generate", "causal")}
)
"""What may misbehave, and the concepts whose clauses meet it."""
HEAVY = {"training.converges", "generate.law", "causal.chain", "causal.law", "training.documented"}
"""Clauses that draw or train much: tried less often."""


@st.composite
def faults(draw: Callable[..., Any]) -> tuple[Fault, str, str]:
    """Draw a fault, a profile, and a clause of it that may meet the fault."""
    part = draw(st.sampled_from(sorted(PARTS)))
    profile = draw(st.sampled_from(["bigram", "causal-lm"]))
    clauses = [one.id for one in catalogue(profile) if one.concept in PARTS[part]]
    if not clauses:  # of the gradient, say, which the other profile does not ask for
        profile = "bigram"
        clauses = [one.id for one in catalogue(profile) if one.concept in PARTS[part]]
    light = [name for name in clauses if name not in HEAVY]
    names = clauses if draw(st.integers(0, 9)) == 0 else light
    # A hook of a tensor that returns such a thing ends the process inside of torch: `bigram check`,
    # which has a process for the subject, calls that a CRASH.
    hows = sorted(EVERY.keys() - ({"returns no class"} if part == "backward" else set()))
    fault = Fault(
        part=part,
        how=draw(st.sampled_from(hows)),
        at=draw(st.sampled_from([0, 0, 0, 1, 2, 3, 5, 9, 30])),
        always=draw(st.booleans()),
    )
    return fault, profile, draw(st.sampled_from(names))


@settings(
    max_examples=DRAWS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(drawn=faults())
@example(  # found by 20,000 draws
    (Fault("get_table", "changes it: whole numbers", 0, True), "bigram", "loss.mean-cross-entropy")
)
def test_whatever_a_function_does_has_a_verdict_that_does_not_blame_the_kit(
    drawn: tuple[Fault, str, str],
) -> None:
    fault, profile, clause = drawn
    report = judged(fault, profile, clause)
    (result,) = report.clauses
    assert result.verdict is not Verdict.KIT_ERROR, result.cause
    written = json.dumps(to_json(report), allow_nan=False)
    assert len(written) < 2**16
    assert from_json(json.loads(written)).clauses[0].verdict is result.verdict


def judged(fault: Fault, profile: str, clause: str) -> Report:
    """Judge one clause by itself: what it needs may be broken too."""
    arrays = fault.part.startswith("an array's")
    make = (lambda C: table_of(C, 1).numpy()) if arrays else partial(model, fault=fault)
    factory = fault.wrap("an array's table" if arrays else "factory", make)
    subject = subject_of(factory, **parts(fault))
    clauses = tuple(one for one in planned([clause], None, profile) if one.id == clause)
    plan = Plan(clauses=clauses, profile=profile, examples=1, smallest=False)
    with isolated_streams():
        results = tuple(run(subject, plan))
        notes = notes_of(subject, subject.notes, profile)
    return Report(
        subject="a stranger",
        contract=VERSION,
        profile=profile,
        seed=0,
        planned=1,
        clauses=results,
        notes=notes,
    )
