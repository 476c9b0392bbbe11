"""The loss: the mean over all positions of -ln P(target | token), in nats."""

import math

import numpy as np
import torch
from torch import Tensor

from reference.notes import Figures
from reference.oracle.counts import counting_optimum, entropy_floor
from reference.spec.cases import (
    BadTokenCase,
    BulkCase,
    BulkPairsCase,
    LayoutCase,
    LongCase,
    LossCase,
    Nothing,
    PairsCase,
    certain_table,
    notes_corpus,
    table_of,
    tokens,
)
from reference.spec.causes import loss as causes
from reference.spec.causes.forward import unreadable
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import (
    Broken,
    Cause,
    expect,
    expect_close,
    expect_refused,
    observe,
    or_refused,
    shown,
)
from reference.spec.measures import exactly, loss_of, oracle, pairs, tolerance
from reference.spec.randomness import seed_torch
from reference.spec.subject import Model, Output, Part, Subject, SubjectError

LOSS = (Part.LOSS,)
SETTABLE = (Part.LOSS, Part.TABLE)
TENSORS = (Part.LOSS, Part.TENSORS)


def expect_loss(  # noqa: PLR0913  all but two by name
    model: Model,
    case: PairsCase,
    *,
    cause: Cause,
    what: str = "loss",
    want: float | None = None,
    idx: Tensor | None = None,
    targets: Tensor | None = None,
) -> None:
    """Raise unless the loss of the case (or of the given tokens) is the oracle's, or `want`."""
    idx = case.tensor() if idx is None else idx
    targets = case.target_tensor() if targets is None else targets
    loss = loss_of(model, idx, targets)
    right = oracle(model, idx, targets) if want is None else exactly(want)
    allowed = tolerance(model.table(), idx.numel())
    expect_close(loss, right, tolerance=allowed, what=what, cause=cause)


def certain(subject: Subject, C: int) -> tuple[Model, Tensor]:
    """Make a model that is certain of each token's successor, and return the successors, (C,)."""
    model, successors = subject.model(C), [(3 * token + 1) % C for token in range(C)]
    model.set_table(certain_table(successors))
    return model, torch.tensor(successors)


@clause("loss.scalar", LOSS, PROFILES, needs=("forward.returns",))
def scalar(subject: Subject, case: LossCase) -> None:
    """With targets the second of the pair is the loss: a tensor with one number and no dimension.

    Formula: loss is of shape ().
    Source: loss = F.cross_entropy( > returned from the forward function
    """
    answer = observe(lambda: case.model(subject).answer(case.tensor(), case.target_tensor()))
    if isinstance(answer, SubjectError):
        expected = "m(idx, targets): a pair (logits, loss)"
        raise Broken(expected=expected, seen=answer.said, cause=lambda: causes.no_scalar(answer))
    loss, seen = None, answer
    if isinstance(answer, tuple) and len(answer) == len(Output._fields):
        loss = seen = answer[1]
    expect(
        isinstance(loss, Tensor) and loss.shape == () and loss.is_floating_point(),
        what="the loss of m(idx, targets)",
        expected="a tensor of shape (), floating-point",
        seen=f"shape {tuple(loss.shape)}, {loss.dtype}"
        if isinstance(loss, Tensor)
        else shown(seen),
        cause=lambda: unreadable(seen, "the loss") or causes.no_scalar(answer),
    )


@clause(
    "loss.mean-cross-entropy",
    LOSS,
    needs=(
        "loss.scalar",
        "forward.memoryless",
        "forward.batch-independent",
        "embedding.row-lookup",
    ),
)
def mean_cross_entropy(subject: Subject, case: LossCase) -> None:
    """The loss is the mean over all B*T positions of the cross-entropy of the target.

    Formula: loss = -1/(B*T) sum over b, t of ln softmax(table[idx[b, t]])[targets[b, t]].
    Tolerance: u ((C + 2) + 4 m + (n + 1) (2 m + ln C)) for n = B*T logits up to m, u = eps/2.
    Source: loss = F.cross_entropy(logits, targets) > cross entropy loss function
    Audit: what is the purpose of `F`
    """
    expect_loss(case.model(subject), case, cause=lambda: causes.wrong_number(subject))


@clause("loss.uniform", SETTABLE, needs=("loss.mean-cross-entropy",))
def uniform(subject: Subject, case: PairsCase) -> None:
    """A model that scores all tokens alike has the loss ln C, whatever the targets are.

    Formula: table[i, j] = a_i gives loss = ln C.
    Tolerance: as for loss.mean-cross-entropy.
    Source: -- measure prediction -- > F.cross_entropy(logits, targets)
    """
    model = subject.model(case.C)
    model.set_table(torch.arange(case.C, dtype=torch.float32)[:, None].expand(case.C, case.C) / 4)
    what = f"loss of a table of equal rows, ln {case.C}"
    cause = "a model that knows nothing is not given the loss of guessing"
    expect_loss(model, case, want=math.log(case.C), what=what, cause=cause)


@clause("loss.non-negative", SETTABLE, needs=("loss.uniform", "loss.floor"))
def non_negative(subject: Subject, case: PairsCase) -> None:
    """The loss is never below 0, and is 0 where the model is certain, and right.

    Formula: 0 <= loss; with P(target | token) = 1 - C e^-80, loss < 1e-30.
    Source: loss between > predictions > actual targets
    """
    model, successors = certain(subject, case.C)
    loss = float(loss_of(model, case.tensor(), successors[case.tensor()]))
    expect(
        0 <= loss < 1e-30,  # noqa: PLR2004  as said
        what="loss of a model that is certain and right",
        expected="0",
        seen=loss,
        cause="a constant, a penalty or a term against log(0) is added to the loss",
    )


@clause("loss.unbounded", SETTABLE, needs=("loss.non-negative",))
def unbounded(subject: Subject, case: PairsCase) -> None:
    """The loss has no ceiling: where the model is certain, and wrong, it is as great as the gap.

    Formula: with P(target | token) = e^-80, loss = 80.
    Tolerance: as for loss.mean-cross-entropy, with m = 80.
    Source: RAW + UNBOUNDED > values have no min/max > loss between > actual targets
    """
    model, successors = certain(subject, case.C)
    expect_loss(
        model,
        case,
        targets=(successors[case.tensor()] + 1) % case.C,
        want=80.0 if case.C > 1 else 0.0,
        what="loss of a model that is certain and wrong",
        cause="the probability of a target is kept above some small number, as in log(p + 1e-8), "
        "or the loss below some great one",
    )


@clause("loss.row-shift", SETTABLE, needs=("loss.mean-cross-entropy",))
def row_shift(subject: Subject, case: LossCase) -> None:
    """Adding a number to all scores of a token changes no loss, however great it is.

    Formula: table[i, :] + a_i gives the same loss; here a_i is 10,000 or -10,000.
    Tolerance: as for loss.mean-cross-entropy, with m = 10,003, plus the rounding of the shift.
    Source: values have no min/max > F.softmax(logits, dim=1)
    """
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    before = loss_of(model, idx, targets).detach().double()
    signs = torch.where(torch.arange(case.C) % 2 == 0, 1.0, -1.0)[:, None]
    model.set_table(model.table() + 1e4 * signs)
    expect_close(
        loss_of(model, idx, targets),
        before,
        tolerance=2 * tolerance(model.table(), 1),
        what="loss after adding 10,000 to some rows",
        cause="great scores overflow, low ones vanish, or both are clamped: each row's own "
        "greatest is to be taken away before exp, as F.cross_entropy does",
    )


@clause("loss.permutation", LOSS, needs=("loss.mean-cross-entropy", "index.any-length"))
def permutation(subject: Subject, case: BulkCase) -> None:
    """The order of the positions does not matter: shuffled pairs have the same loss.

    Formula: the loss depends on how often each pair (token, target) occurs, and on nothing else.
    Tolerance: twice that of loss.mean-cross-entropy.
    Source: unfolds to purely words (blocks)
    """
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    order = torch.argsort(idx.flatten() * case.C + targets.flatten(), stable=True)
    in_order = (rows.flatten()[order].reshape(idx.shape) for rows in (idx, targets))
    expect_close(
        loss_of(model, *in_order),
        loss_of(model, idx, targets).detach().double(),
        tolerance=2 * tolerance(model.table(), idx.numel()),
        what="loss of the same pairs in another order",
        cause="some positions weigh more than others, as when means of unequal parts are averaged",
    )


@clause("loss.floor", SETTABLE, needs=("loss.permutation",))
def floor(subject: Subject, case: BulkPairsCase) -> None:
    """The loss is never below the entropy of the batch's own pairs, and reaches it by counting.

    Formula: with table[i, j] = ln(count[i, j] / count[i]), loss = H(y | x).
    Tolerance: as for loss.mean-cross-entropy, with m = 50 for pairs that do not occur.
    Source: loss > used during training to update the model's weights
    """
    model = subject.model(case.C)
    idx, targets = case.tensor(), case.target_tensor()
    counts = pairs(idx, targets, case.C)
    model.set_table(torch.tensor(np.maximum(counting_optimum(counts), -50.0)).float())
    loss, least = loss_of(model, idx, targets), entropy_floor(counts)
    expect_close(
        loss,
        exactly(least),
        tolerance=tolerance(model.table(), 1),
        what="loss of the counted frequencies, their entropy H(y|x)",
        cause=lambda: causes.off_the_floor(loss.item(), least),
    )


@clause("loss.live", SETTABLE, needs=("loss.mean-cross-entropy", "embedding.live"))
def live(subject: Subject, case: LossCase) -> None:
    """The loss is that of this call: of its tokens, and of the table as it is now.

    Tolerance: as for loss.mean-cross-entropy.
    Source: loss > used during training to update the model's weights
    """
    model = case.model(subject)
    loss_of(model, case.tensor(), case.target_tensor())
    others = (case.tensor() + 1) % case.C
    for what, cause in (
        ("loss of other tokens", "the loss is kept from an earlier call"),
        ("loss after the table was changed", "something of the table from before is kept"),
    ):
        expect_loss(model, case, idx=others, what=what, cause=cause)
        model.set_table(table_of(case.C, case.table + 1))


@clause("loss.modes", LOSS, level=SHOULD, needs=("loss.mean-cross-entropy", "forward.modes"))
def modes(subject: Subject, case: LossCase) -> None:
    """The loss is the same in training and in evaluation mode.

    Tolerance: as for loss.mean-cross-entropy.
    Source: loss > used during training to update the model's weights
    """
    model = case.model(subject)
    model.train(mode=True)
    cause = "the loss is another after train(): smoothed or with dropout in training only"
    expect_loss(model, case, cause=cause)


@clause("loss.any-length", LOSS, needs=("loss.permutation",))
def any_length(subject: Subject, case: LongCase) -> None:
    """Every position of a long sequence counts, however long it is.

    Source: T is the current sequence length > F.cross_entropy(logits, targets)
    """
    cause = "positions beyond some length are left out of the loss, or weigh otherwise"
    expect_loss(case.model(subject), case, cause=cause)


@clause("loss.differentiable", TENSORS, PROFILES, needs=("loss.scalar", "embedding.one-hot"))
def differentiable(subject: Subject, case: LossCase) -> None:
    """The loss carries the way back to the table, for backward to follow.

    Source: grad_fn=<'NllLossBackward0'> > NllLossBackward0 (backpropagation)
    """
    loss = loss_of(case.model(subject), case.tensor(), case.target_tensor())
    expect(
        loss.requires_grad and loss.grad_fn is not None,
        what="loss.requires_grad",
        expected="True, with a grad_fn",
        seen=f"{loss.requires_grad}, grad_fn {loss.grad_fn}",
        cause="the loss is detached, or computed under no_grad: backward learns nothing",
    )


@clause("loss.targets.range", LOSS, PROFILES, needs=("loss.scalar", "causal.loss"))
def targets_range(subject: Subject, case: BadTokenCase) -> None:
    """A target outside 0 to C - 1 is refused with an error; without it, the targets are not.

    Formula: 0 <= targets[b, t] < C; -100 is a matter of its own.
    Source: where each element is the "true next token"
    """
    model = case.model(subject)
    expect_refused(
        lambda: model(case.tensor(), case.spoilt(case.target_tensor())),
        what=f"target {case.token}, with {case.C} tokens in the vocabulary",
        cause=lambda: causes.bad_target(subject, case.token),
    )
    model(case.tensor(), case.target_tensor())


@clause("loss.targets.dtype", TENSORS, PROFILES, needs=("loss.scalar",))
def targets_dtype(subject: Subject, case: LossCase) -> None:
    """Targets are integers: as float32 they are refused, as int64 they are not.

    Source: type long > intended to hold integer > values
    """
    model = case.model(subject)
    cause = "fractions are cut off without a word, or numbers are compared as they are"
    floats = case.target_tensor().float()
    expect_refused(lambda: model(case.tensor(), floats), what="targets as float32", cause=cause)
    model(case.tensor(), case.target_tensor())


@clause("loss.ignore-index", LOSS, PROFILES, level=CHOICE, needs=("loss.targets.range",))
def ignore_index(subject: Subject, case: Nothing) -> str:
    """A target of -100 may be refused, or be left out of the mean as F.cross_entropy does.

    Source: loss = F.cross_entropy(logits, targets)
    Erratum 10: the notes' line leaves it out, and they do not say so.
    """
    model, idx = subject.model(3), tokens(((0, 1),))

    def told(loss: Tensor) -> str:
        first = loss_of(model, idx[:, :1], tokens(((2,),)))
        left_out = torch.isclose(loss.double(), first.double())
        return "left out" if left_out else "counted as something"

    return or_refused(lambda: loss_of(model, idx, tokens(((2, -100),))), told)


@clause("loss.layout", LOSS, needs=("loss.mean-cross-entropy", "forward.non-contiguous"))
def layout(subject: Subject, case: LayoutCase) -> None:
    """Targets that lie otherwise in memory, where they are accepted, are the same targets.

    Source: targets = targets.view(B * T)
    """
    model = case.model(subject)
    straight = loss_of(model, tokens(case.idx), tokens(case.targets))
    answer = observe(lambda: loss_of(model, tokens(case.idx), case.target_tensor()))
    if isinstance(answer, Tensor):
        expect_close(
            answer,
            straight.detach().double(),
            tolerance=tolerance(model.table(), straight.numel()),
            what=f"loss with {case.layout} targets",
            cause="the targets are read in the order of memory, not by their places",
        )


@clause("loss.non-contiguous", LOSS, PROFILES, level=CHOICE, needs=("loss.layout", "causal.loss"))
def non_contiguous(subject: Subject, case: Nothing) -> str:
    """Targets that are not contiguous may be refused, as the notes' view does, or accepted.

    Source: targets = targets.view(B * T)
    Erratum 6: a get_batch by gather or unfold gives such targets; reshape accepts them.
    """
    model = subject.model(3)
    idx, targets = tokens(((0, 1, 2), (1, 1, 0))), tokens(((0, 1, 2), (2, 2, 1)), "transposed")
    return or_refused(lambda: loss_of(model, idx, targets), lambda _loss: "accepted")


@clause("loss.documented", LOSS, level=CHOICE, needs=("loss.mean-cross-entropy",))
def documented(subject: Subject, case: Nothing) -> str:
    """Seeded with 1337, a new model's loss on the notes' batch is 4.8948.

    Source: tensor(4.8948, grad_fn=
    Erratum: 13
    """
    figures = Figures()
    corpus = notes_corpus()
    seed_torch(figures.seed)
    x, y = corpus.get_batch("train", figures.block_size, len(figures.batch))
    seed_torch(figures.seed)
    loss = f"{float(loss_of(subject.model(figures.vocab_size), x, y).detach()):.4f}"
    return "as documented" if loss == figures.loss else loss
