"""Why a step or its gradient may be wrong: which table other mistakes would have left."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from reference.oracle.counts import Weights
from reference.oracle.learning import AdamW, adamw_step, gradient
from reference.spec.cases import TrainingCase, tokens
from reference.spec.measures import pairs, step_tolerance, trained
from reference.spec.subject import Subject, SubjectError

TRIED = TrainingCase(C=4, table=7, batches=((((0, 1, 2), (3, 1, 0)), ((2, 3, 1), (0, 2, 2))),))
"""A batch on which one mistake can be told from another."""

MADE_AGAIN = (
    "the optimizer does not hold the parameters that the model uses: forward makes them again, or "
    "something else changes them"
)


def another_step(subject: Subject) -> str:
    """Say which step is taken instead, if it is one of those that people take."""
    model = TRIED.model(subject)
    start = model.table()
    now = trained(subject, model, TRIED.batches)
    table, seen, near = start.double().numpy(), now.double().numpy(), step_tolerance(start)
    idx, targets = map(tokens, TRIED.batches[0])

    def slope(xb: Tensor, yb: Tensor, at: Weights = table) -> Weights:
        return gradient(at, pairs(xb, yb, TRIED.C))

    def after(derivative: Weights, weight_decay: float = 0.01) -> Weights:
        return adamw_step(table, derivative, AdamW(weight_decay=weight_decay))[0]

    g = slope(idx, targets)
    g_last = slope(idx[:, -1:], targets[:, -1:])
    once, state = adamw_step(table, g, AdamW())
    others = {
        "the step does not change the table": table,
        "the table only decays: its gradient is cleared before the step": after(0 * g),
        "the step goes uphill, with the gradient and not against it": after(-g),
        "the table does not decay: Adam's step, where AdamW also decays by 0.01": after(g, 0.0),
        "the decay is in the gradient, as in Adam, and not apart": after(g + 0.01 * table, 0.0),
        "plain gradient descent: SGD, where the notes take AdamW": table - 1e-3 * g,
        "two steps are taken for one": adamw_step(once, slope(idx, targets, once), state)[0],
        "inputs and targets have changed places": after(slope(targets, idx)),
        "the model learns its own inputs, and not the targets": after(slope(idx, idx)),
        "only the last position of each sequence counts": after(g_last),
        "only the first sequence counts": after(slope(idx[:1], targets[:1])),
    }
    for cause, other in others.items():
        if np.abs(seen - other).max() <= near:
            return cause
    decay = float((table * (after(g, 0.0) - seen)).sum() / (1e-3 * (table * table).sum()))
    if np.abs(seen - after(g, decay)).max() <= near:
        return f"the weight decay is {decay:.3g}, where AdamW's is 0.01"
    # Every entry tells the learning rate, as it moves by that times its sign and its decay.
    rates = (table - seen) / (np.sign(g) + 0.01 * table)
    rate = float(np.median(rates))
    if np.abs(rates - rate).max() < rate / 20 and abs(rate - 1e-3) > near:
        return f"entries move by {rate:.4g}, where the learning rate is 0.001"
    if (rates < 0).any():
        return "some entries do not go against their gradient: the loss is another than forward's"
    return "the step is not AdamW's with lr 1e-3 and weight decay 0.01"


def failing_loop(error: SubjectError) -> str:
    """Say why a step of the notes' loop may raise an error."""
    if "sparse" in error.said:
        return (
            "the gradient of an embedding is sparse (sparse=True), which AdamW does not take: "
            "leave sparse=False"
        )
    return f"{error.operation} fails on this model's parameters: {error.said}"


def slope_of(table: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
    """Return the oracle's gradient of the loss by the table.

    Shape: (C, C), (B, T), (B, T) -> (C, C), float64.
    """
    return torch.tensor(gradient(table.double().numpy(), pairs(idx, targets, len(table))))


def another_gradient(
    seen: Tensor, earlier: Tensor, table: Tensor, idx: Tensor, targets: Tensor
) -> str:
    """Say what a gradient has to do with those of its own batch and of the batch before.

    Shape: (C, C), (C, C), (C, C), (B, T), (B, T); the table is that of before the step.
    """
    slope = partial(slope_of, table)
    if torch.allclose(seen, slope(idx, targets) + earlier, atol=1e-5):
        return "gradients of earlier batches are still in it: zero_grad is missing"
    factor = _times(seen, slope(idx, targets))
    B = len(idx)
    if factor is not None:
        times = f"the gradient is {factor:.3g} times that of the mean loss"
        if 1 < round(factor) <= B and abs(factor - round(factor)) < NEAR and B % round(factor) == 0:
            number = round(factor)
            return (
                f"{times}, as if those of {number} micro-batches were added up: divide the loss of "
                f"each by {number}"
            )
        how = "the loss is added up over the batch" if factor > 1 else "clipped, or scaled down"
        return f"{times}: {how}"
    for size in range(1, B):
        parts = list(zip(idx.split(size), targets.split(size), strict=True))
        share = _times(seen, sum((slope(*part) for part in parts), torch.zeros(())))
        if share is None:
            continue
        sizes = f"{len(parts)} micro-batches of {' and '.join(str(len(xb)) for xb, _yb in parts)}"
        if abs(share * len(parts) - 1) < NEAR:
            return (
                f"the gradients of {sizes} rows are averaged without regard to their sizes: weigh "
                "each by its rows"
            )
        return (
            f"the gradients of {sizes} rows are added up: weigh each by its share of the {B} rows"
        )
    return "the gradient is another: rows are left out or weighed, or earlier ones fade slowly"


NEAR = 1e-3
"""How far a factor may be from a whole number."""


def _times(seen: Tensor, other: Tensor) -> float | None:
    """Return how many times another gradient the one seen is, or None if it is none of that."""
    factor = float((seen * other).sum() / (other * other).sum().clamp(min=1e-12))
    return factor if torch.allclose(seen, factor * other, atol=1e-5) else None
