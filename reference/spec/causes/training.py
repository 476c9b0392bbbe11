"""Why a step or its gradient may be wrong: which table other mistakes would have left."""

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


def another_gradient(seen: Tensor, want: Tensor) -> str:
    """Say what a gradient has to do with that of its own batch."""
    factor = float((seen * want).sum() / (want * want).sum().clamp(min=1e-12))
    if torch.allclose(seen, factor * want, atol=1e-5):
        how = "the loss is added up over the batch" if factor > 1 else "clipped, or scaled down"
        return f"the gradient is {factor:.3g} times that of the mean loss: {how}"
    return "gradients of earlier batches are still in it: zero_grad is missing"
