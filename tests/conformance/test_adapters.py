"""Models that are called otherwise: over arrays, or with logits of the last position only."""
# ruff: noqa: ARG001  a mistake is made with the arguments that the right one has

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from reference.conformance import Verdict, check
from reference.conformance.errors import AdapterError
from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.runner import Plan
from reference.conformance.target import Target
from reference.conformance.verdicts import Report
from reference.spec.catalogue import catalogue

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")

HERE = Path(__file__).parent
Array = NDArray[Any]
NO_PART = {
    "embedding.one-hot",
    "embedding.reproducible",
    "embedding.single-parameter",
    "embedding.table-shape",
    "forward.logits.dtype",
    "history.arguments",
    "history.frozen",
    "index.dtype",
    "loss.differentiable",
    "loss.targets.dtype",
    "training.loop",
}
"""Musts that arrays have no part for."""


def checked_tokens(tokens: Array, C: int) -> Array:
    if tokens.min(initial=0) < 0 or tokens.max(initial=0) >= C:
        raise IndexError(f"tokens must be in 0 to {C - 1}")
    return tokens


def np_softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def np_forward(table: Array, idx: Array, targets: Array | None = None) -> tuple[Array, Any]:
    logits = table[checked_tokens(idx, len(table))]  # (B, T, C)
    if targets is None:
        return logits, None
    if targets.shape != idx.shape:
        raise ValueError(f"targets are {targets.shape}, idx is {idx.shape}")
    flat = logits.reshape(-1, len(table))  # (B*T, C)
    chosen = np_softmax(flat.astype(np.float64))[
        np.arange(len(flat)), checked_tokens(targets, len(table)).reshape(-1)
    ]
    return flat, -np.log(chosen).mean()


def np_gradient(table: Array, idx: Array, targets: Array) -> Array:
    flat, _loss = np_forward(table, idx, targets)
    slope = np_softmax(flat.astype(np.float64))  # (B*T, C)
    slope[np.arange(len(flat)), targets.reshape(-1)] -= 1
    gradient = np.zeros(table.shape)
    np.add.at(gradient, idx.reshape(-1), slope / len(flat))
    return gradient.astype(table.dtype)


def np_generate(table: Array, idx: Array, max_new_tokens: int, rng: np.random.Generator) -> Array:
    idx = idx.copy()
    for _ in range(max_new_tokens):
        probs = np_softmax(np_forward(table, idx)[0][:, -1].astype(np.float64))  # (B, C)
        drawn = (probs.cumsum(axis=1) < rng.random((len(idx), 1))).sum(axis=1, keepdims=True)
        idx = np.concatenate([idx, drawn.clip(max=len(table) - 1)], axis=1)  # (B, T+1)
    return idx


def np_init(vocab_size: int) -> Array:
    return np.random.default_rng().normal(size=(vocab_size, vocab_size)).astype(np.float32)


def np_get_batch(
    data: Array, block_size: int, batch_size: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    ix = rng.integers(len(data) - block_size, size=batch_size)
    x = np.stack([data[i : i + block_size] for i in ix])
    return x, np.stack([data[i + 1 : i + block_size + 1] for i in ix])


def np_train_step(table: Array) -> Callable[[Array, Array], Array]:
    """Take AdamW's steps, and give the new table each time."""
    now, m, v, n = table.astype(np.float64), np.zeros(table.shape), np.zeros(table.shape), 0

    def step(xb: Array, yb: Array) -> Array:
        nonlocal now, m, v, n
        g, n = np_gradient(now, xb, yb), n + 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        now = now * (1 - 1e-5) - 1e-3 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        return now.astype(np.float32)

    return step


class NumPyBigram:
    """The same as a class."""

    def __init__(self, vocab_size: int) -> None:
        self.weights = np_init(vocab_size)

    def forward(self, idx: Array, targets: Array | None = None) -> tuple[Array, Any]:
        return np_forward(self.weights, idx, targets)

    def gradient(self, idx: Array, targets: Array) -> Array:
        return np_gradient(self.weights, idx, targets)

    def generate(self, idx: Array, max_new_tokens: int, rng: np.random.Generator) -> Array:
        return np_generate(self.weights, idx, max_new_tokens, rng)


def functional(clauses: tuple[str, ...] | None = None, **changed: Any) -> Report:
    parts: dict[str, Any] = {
        "forward": np_forward,
        "gradient": np_gradient,
        "generate": np_generate,
        "get_batch": np_get_batch,
        "train_step": np_train_step,
        "softmax": np_softmax,
    }
    factory = changed.pop("factory", np_init)
    return check(factory, adapter="arrays", clauses=clauses, examples=3, **parts | changed)


def skipped(report: Report) -> set[str]:
    return {one.id for one in report.of(Verdict.SKIP) if one.level == "must"}


def test_plain_functions_over_numpys_arrays_keep_every_clause() -> None:
    report = functional()
    assert report.conforms(), report.broken()
    lacking = {one for one in skipped(report) if not one.startswith("vocabulary")}
    assert lacking == NO_PART | {"batch.split"}
    assert report.notes == ("the table is all that the factory gives",)


def test_a_class_over_numpys_arrays_keeps_every_clause() -> None:
    report = check(
        NumPyBigram, adapter="arrays", clauses=["gradient", "generate.alone"], examples=3
    )
    assert report.conforms(), report.broken()
    assert skipped(report) == {"embedding.one-hot", "forward.logits.dtype", "loss.differentiable"}
    assert report.notes == ("the table is its weights",)


def wraps_round(table: Array, idx: Array, targets: Array | None = None) -> tuple[Array, Any]:
    return table[idx], None


def writes_into_idx(table: Array, idx: Array, targets: Array | None = None) -> tuple[Array, Any]:
    answer = np_forward(table, idx, targets)
    idx[:] = 0
    return answer


def is_the_table(table: Array, idx: Array, targets: Array | None = None) -> tuple[Array, Any]:
    """Give the table's own memory where one token is asked for."""
    answer = np_forward(table, idx, targets)
    one = idx.size == 1 and targets is None
    return (table[idx[0, 0] : idx[0, 0] + 1][None], None) if one else answer


def of_the_sum(table: Array, idx: Array, targets: Array) -> Array:
    return np_gradient(table, idx, targets) * idx.size


def forgets(table: Array) -> Callable[[Array, Array], None]:
    return lambda xb, yb: None


def same_seed(table: Array, idx: Array, max_new_tokens: int, rng: np.random.Generator) -> Array:
    return np_generate(table, idx, max_new_tokens, np.random.default_rng(0))


def halves(table: Array, idx: Array, max_new_tokens: int, rng: np.random.Generator) -> Array:
    return np_generate(table / 2, idx, max_new_tokens, rng)


@pytest.mark.parametrize(
    ("clause", "cause", "changed"),
    [
        ("index.range", "it wraps round, as the index of a bare tensor", {"forward": wraps_round}),
        ("forward.pure.inputs", "forward writes into the tensors", {"forward": writes_into_idx}),
        ("forward.pure.table", "the logits are the table's own memory", {"forward": is_the_table}),
        ("gradient.value", "the gradient is 8 times what it should be", {"gradient": of_the_sum}),
        ("training.step", "the step does not change the table", {"train_step": forgets}),
        ("generate.stream", "draws nothing at random", {"generate": same_seed}),
        ("generate.law", "likely tokens are drawn too seldom: a temperature", {"generate": halves}),
    ],
)
def test_a_mistake_over_arrays_is_named(
    clause: str, cause: str, changed: dict[str, Callable[..., object]]
) -> None:
    broken = {one.id: one.cause for one in functional((clause,), **changed).broken()}
    assert list(broken) == [clause]
    assert cause in broken[clause]


def test_draws_from_elsewhere_cannot_be_repeated_and_their_law_is_judged() -> None:
    def global_stream(table: Array, idx: Array, max_new_tokens: int) -> Array:
        rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002  the shared one is meant
        return np_generate(table, idx, max_new_tokens, rng)

    report = functional(("generate.law", "generate.reproducible"), generate=global_stream)
    verdicts = {one.id: one.verdict for one in report.clauses}
    assert verdicts["generate.law"] is Verdict.PASS
    assert verdicts["generate.reproducible"] is Verdict.SKIP
    assert report.conforms()


def test_without_a_gradient_there_is_none_to_judge() -> None:
    report = functional(("gradient", "loss.mean-cross-entropy"), gradient=None)
    assert report.conforms()
    verdicts = {one.id: one.verdict for one in report.clauses}
    assert verdicts["gradient.value"] is Verdict.SKIP
    assert verdicts["loss.mean-cross-entropy"] is Verdict.PASS


def test_a_table_among_others_is_reached_by_functions() -> None:
    def two(vocab_size: int) -> dict[str, Array]:
        return {"other": np_init(vocab_size), "table": np_init(vocab_size)}

    def forward(
        state: dict[str, Array], idx: Array, targets: Array | None = None
    ) -> tuple[Array, Any]:
        return np_forward(state["table"], idx, targets)

    def put(state: dict[str, Array], table: Array) -> None:
        state["table"] = table

    def judged(**more: Any) -> Report:
        return check(
            two, forward=forward, adapter="arrays", clauses=["embedding"], examples=3, **more
        )

    assert judged().notes[0].startswith("the table cannot be set")
    reached = judged(get_table=lambda state: state["table"], set_table=put)
    assert reached.notes == ("the table is get_table and set_table",)
    lookup = {one.id: one.verdict for one in reached.clauses}["embedding.row-lookup"]
    assert lookup is Verdict.PASS


def test_functions_by_themselves_go_with_arrays_only() -> None:
    with pytest.raises(AdapterError, match="goes with the adapter arrays only"):
        check(nn.Linear, forward=np_forward)  # type: ignore[arg-type]  # which is not called
    with pytest.raises(AdapterError, match="must be one of pair, .*nanogpt, transformers, arrays"):
        check(nn.Linear, adapter="numpy")  # type: ignore[arg-type]  # likewise


# -- JAX, in a process of its own --


def verdicts_alone(file: str, factory: str, parts: str, *few: str) -> dict[str, str]:
    """Judge these clauses without what they need: each new shape takes JAX its time."""
    target = Target(
        target=f"{HERE / file}:{factory}",
        parts=dict(part.split("=") for part in parts.split()),
        adapter="arrays",
    )
    clauses = tuple(clause for clause in catalogue() if clause.id in few)
    plan = Plan(clauses=clauses, examples=1)
    told = IsolatedRun(target, plan, timeout=3600)  # on a busy machine JAX takes minutes to compile
    return {one.id: f"{one.verdict} {one.cause}".strip() for one in told}


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_bare_functions_over_jaxs_arrays_are_judged() -> None:
    parts = "forward=forward generate=generate gradient=gradient"
    few = ("gradient.row-sum", "generate.reproducible", "index.range", "embedding.live")
    told = verdicts_alone("jax_models.py", "init", parts, *few)
    assert told == dict.fromkeys(few, "PASS")
    (clamped,) = verdicts_alone("jax_models.py", "init", "forward=clamps", "index.range").values()
    assert clamped == "FAIL a token that is none is looked up all the same: it is clamped"


@pytest.mark.skipif(find_spec("flax") is None, reason="Flax is not installed: pip install flax")
def test_a_module_of_flaxs_is_reached_by_functions() -> None:
    parts = "forward=forward get_table=get set_table=put"
    told = verdicts_alone("flax_models.py", "make", parts, "embedding.live")
    assert told == {"embedding.live": "PASS"}


# -- nanoGPT's way --


class LastOnly(nn.Module):
    """Scores the last position only where there are no targets, as nanoGPT's GPT does."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.wte(idx)  # (B, T, C)
        if targets is None:
            return logits[:, [-1], :], None
        if targets.shape != idx.shape:
            raise ValueError("idx and targets differ in shape")
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)
            probs = F.softmax(logits[:, -1, :], dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
        return idx.clone()


def test_logits_of_the_last_position_only_are_asked_for_with_targets() -> None:
    report = check(LastOnly, adapter="nanogpt", examples=3)
    assert report.conforms(), report.broken()
    as_it_is = check(LastOnly, clauses=["forward.logits.shape"], examples=3)
    (broken,) = as_it_is.broken()
    assert broken.cause == "only the last position is scored: all of them are asked for"


def test_a_fast_path_that_scores_otherwise_is_told() -> None:
    class Other(LastOnly):
        def forward(
            self, idx: Tensor, targets: Tensor | None = None
        ) -> tuple[Tensor, Tensor | None]:
            logits, loss = super().forward(idx, targets)
            return (logits / math.sqrt(2) if targets is None else logits), loss

    report = check(Other, adapter="nanogpt", clauses=["forward.returns"], examples=3)
    (broken,) = report.broken()
    assert "other logits for the last position without targets than with them" in broken.cause


def test_a_loss_without_targets_is_told_of_nanogpts_kind_too() -> None:
    class Zero(LastOnly):
        def forward(
            self, idx: Tensor, targets: Tensor | None = None
        ) -> tuple[Tensor, Tensor | None]:
            logits, loss = super().forward(idx, targets)
            return logits, torch.zeros(()) if targets is None else loss

    report = check(Zero, adapter="nanogpt", clauses=["forward.loss.none"], examples=3)
    assert [one.id for one in report.broken()] == ["forward.loss.none"]


def test_a_table_that_cannot_be_read_is_the_subjects_fault() -> None:
    def get(model: object) -> Tensor:
        raise RuntimeError("no table today")

    report = check(
        LastOnly,
        get_table=get,
        set_table=lambda model, table: None,
        clauses=["forward.pure.table"],
        examples=2,
    )
    (broken,) = report.broken()
    assert broken.verdict is Verdict.FAIL
    assert broken.cause == "get_table raised RuntimeError: no table today"
