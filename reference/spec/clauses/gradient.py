"""The gradient of the loss by the table: what backward hands to the optimizer."""

from collections.abc import Iterable

import torch
from torch import Tensor

from reference.spec.cases import BulkCase, LossCase, Nothing
from reference.spec.causes import gradient as causes
from reference.spec.clause import CAUSAL, clause
from reference.spec.expect import expect_close, expect_equal
from reference.spec.measures import (
    backward,
    both_gradients,
    exactly,
    longest,
    loss_of,
    roundoff,
    try_training,
    wide_model,
)
from reference.spec.subject import Model, Part, Remake, Subject, SubjectError

PARTS = (Part.LOSS, Part.TABLE, Part.GRADIENT)


@clause(
    "gradient.value",
    PARTS,
    needs=("loss.mean-cross-entropy", "loss.differentiable", "embedding.one-hot"),
)
def value(subject: Subject, case: LossCase) -> None:
    """backward leaves the derivative of the mean loss in the table.

    Formula: (diag(n) softmax(table) - counts) / (B*T), where n[i] counts token i in idx.
    Tolerance: u (C + 4 m + 4 + n) for n = B*T logits up to m, u = eps/2.
    Source: loss.backward() > getting gradient of loss wrt to model parameters
    """
    seen, want, allowed = both_gradients(subject, case)
    expect_close(
        seen,
        want,
        tolerance=allowed,
        what="gradient of the table",
        cause=lambda: causes.wrong_value(subject),
    )


@clause("gradient.untouched-rows", PARTS, needs=("gradient.value",))
def untouched_rows(subject: Subject, case: LossCase) -> None:
    """The row of a token that is not in idx has a gradient of exactly 0.

    Source: loss > used to update model's weight during training
    """
    gradient, _table = backward(subject, case)
    absent = [token for token in range(case.C) if token not in set(sum(case.idx, ()))]
    what = f"gradient of the rows {absent}, which no position looks up"
    cause = "rows that the batch does not use are moved too: a penalty on the whole table"
    rows = gradient[absent]
    expect_equal(rows, torch.zeros_like(rows), what=what, cause=cause)


@clause("gradient.row-sum", PARTS, needs=("gradient.untouched-rows", "loss.permutation"))
def row_sum(subject: Subject, case: BulkCase) -> None:
    """Each row of the gradient sums to 0: what pushes one score up pushes the others down.

    Formula: sum over j of gradient[i, j] = 0.
    Tolerance: u n[i]/N (C + 4 m + 10 + 2 n[i]): the rounding of n[i] rows of probabilities that sum
    to 1, of the division by N and of adding the rows up.
    Source: classify [inputs] > all rows sum to 1.0
    """
    gradient, table = backward(subject, case)
    n = torch.bincount(case.tensor().flatten(), minlength=case.C).double()
    terms = case.C + 4 * float(table.abs().max()) + 10 + 2 * n
    expect_close(
        gradient.double().sum(dim=1),
        torch.zeros(case.C).double(),
        tolerance=roundoff(table) * n / n.sum() * terms,
        what="sum of each row of the gradient",
        cause="the gradient pushes all scores of a token up or down together",
    )


SIZES = ((3, 8), (1, 1), (6, 5), (2, 70))
"""B and T of the batches whose gradient is held against the slope; of the first, parameter by
parameter."""


@clause(
    "gradient.slope",
    (Part.LOSS, Part.PARAMETERS, Part.TENSORS),
    (CAUSAL,),
    needs=("causal.loss", "loss.differentiable"),
)
def slope(subject: Subject, case: Nothing) -> None:
    """backward leaves in each parameter the slope of the loss: how it changes as that does.

    Formula: the sum of gradient * d is (loss(p + h d) - loss(p - h d)) / 2h for any direction d.
    Tolerance: 0.2% of it and 2e-6, in float64. A direction is left out if the loss bends there, or
    is not computed in float64: its slopes differ for h of 1e-8, 1e-6 and 1e-3.
    Power: each parameter has a direction of its own, in which it is seen if its gradient is lost.
    Source: loss.backward() > getting gradient of loss wrt to model parameters
    """
    for number, (B, T) in enumerate(SIZES):
        idx = torch.arange(B * min(T, longest(subject))).view(B, -1) * 4 % 11
        for training in (False, True):
            model = wide_model(subject, 11, 0)
            try:
                model = model.remade(Remake.DOUBLE)
                if training:
                    try_training(model, idx)
                loss = loss_of(model, idx, (idx + 5) % 11)
            except SubjectError:  # it computes in float32 only
                return
            model.backward(loss)
            expect_slope(model, idx, one_by_one=number == 0)


def expect_slope(model: Model, idx: Tensor, *, one_by_one: bool) -> None:
    """Hold the gradients against the slope of the loss: of each parameter, or of all together."""
    trained = {name: one for name, one in model.parameters().items() if one.requires_grad}
    gradients = model.gradients()
    for names in [[name] for name in trained] if one_by_one else [list(trained)]:
        random = torch.Generator().manual_seed(0)
        seen, moved = 0.0, []
        for name in names:
            value = trained[name]
            gradient = gradients.get(name, torch.zeros_like(value)).double()
            d = torch.randn(value.shape, generator=random, dtype=torch.float64)
            d = d / d.norm() + gradient / (gradient.norm() + 1e-30)
            seen += float((gradient * d).sum())
            moved.append((value, d))
        slope = _slope(model, idx, moved)
        if slope is not None:
            near = 2e-3 * max(abs(slope), abs(seen)) + 2e-6
            what = f"slope of the loss along a direction of {', '.join(names)}"
            found = exactly(seen)
            expect_close(found, exactly(slope), tolerance=near, what=what, cause=causes.NO_SLOPE)


STEPS = (1e-8, 1e-6, 1e-3)


def _slope(model: Model, idx: Tensor, moved: Iterable[tuple[Tensor, Tensor]]) -> float | None:
    """Return the slope of the loss where these values move along their directions, if it has one.

    It has none if it bends, on one side or further away, or does not change with the 8th decimal,
    as numbers of 32 bits do not.
    """
    start = [(value, value.detach().clone(), d) for value, d in moved]

    def loss_at(step: float) -> float:
        with torch.no_grad():
            for value, before, d in start:
                value.copy_(before + step * d)
            return float(loss_of(model, idx, (idx + 5) % 11))

    here = loss_at(0.0)
    slopes = [(loss_at(one) - here) / one for step in STEPS for one in (step, -step)]
    loss_at(0.0)
    *near, up, down = slopes
    slope, far = sum(near) / len(near), (up + down) / 2
    steady = all(one and abs(one - slope) <= 1e-3 * abs(slope) + 1e-6 for one in near)
    return slope if steady and abs(far - slope) <= 2e-2 * abs(slope) + 1e-5 else None
