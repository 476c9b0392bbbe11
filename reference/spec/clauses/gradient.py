"""The gradient of the loss by the table: what backward hands to the optimizer."""

import torch

from reference.spec.cases import BulkCase, LossCase
from reference.spec.causes import gradient as causes
from reference.spec.clause import clause
from reference.spec.expect import expect_close, expect_equal
from reference.spec.measures import backward, both_gradients, roundoff
from reference.spec.subject import Part, Subject

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
