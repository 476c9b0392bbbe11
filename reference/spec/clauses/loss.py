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
    model_with,
    notes_corpus,
    table_of,
    tokens,
)
from reference.spec.causes.loss import another_number
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import Broken, expect, expect_close, expect_refused, observe, shown
from reference.spec.measures import exactly, loss_of, oracle, pairs, tolerance
from reference.spec.randomness import seed_torch
from reference.spec.subject import Model, Output, Part, Subject, SubjectError

LOSS = (Part.LOSS,)
SETTABLE = (Part.LOSS, Part.TABLE)


def expect_loss(model: Model, case: LossCase, *, cause: str) -> None:
    """Hold the loss of a case against the oracle's."""
    idx, targets = case.tensor(), case.target_tensor()
    expect_close(
        loss_of(model, idx, targets),
        oracle(model, idx, targets),
        tolerance=tolerance(model.table(), idx.numel()),
        what="loss",
        cause=cause,
    )


@clause("loss.scalar", LOSS, PROFILES, needs=("forward.returns",))
def scalar(subject: Subject, case: LossCase) -> None:
    """With targets the second of the pair is the loss: a tensor with one number and no dimension.

    Formula: loss is of shape ().
    Source: loss = F.cross_entropy( > returned from the forward function
    """
    answer = observe(lambda: case.model(subject).answer(case.tensor(), case.target_tensor()))
    if isinstance(answer, SubjectError):
        raise Broken(
            expected="m(idx, targets): a pair (logits, loss)",
            seen=answer.said,
            cause="forward takes no targets"
            if isinstance(answer.original, TypeError)
            else f"forward fails where it is given targets: it {answer.said}",
        )
    seen, cause = shown(answer), "forward does not give the loss beside the logits"
    right = False
    if isinstance(answer, tuple) and len(answer) == len(Output._fields):
        loss = answer[1]
        seen = shown(loss)
        if isinstance(loss, Tensor):
            seen = f"shape {tuple(loss.shape)}, {loss.dtype}"
            right = loss.shape == () and loss.is_floating_point()
            cause = "forward does not average over all positions to one number without dimension"
        else:
            cause = "forward gives no loss for targets" if loss is None else _NO_TENSOR
    expect(
        right,
        what="the loss of m(idx, targets)",
        expected="a tensor of shape (), floating-point",
        seen=seen,
        cause=cause,
    )


_NO_TENSOR = "the loss is no tensor, as after .item(): there is no way back to the table"


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
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    expect_close(
        loss_of(model, idx, targets),
        oracle(model, idx, targets),
        tolerance=tolerance(model.table(), idx.numel()),
        what="loss",
        cause=lambda: another_number(subject),
    )


@clause("loss.uniform", SETTABLE, needs=("loss.mean-cross-entropy",))
def uniform(subject: Subject, case: PairsCase) -> None:
    """A model that scores all tokens alike has the loss ln C, whatever the targets are.

    Formula: table[i, j] = a_i gives loss = ln C.
    Tolerance: as for loss.mean-cross-entropy.
    Source: -- measure prediction -- > F.cross_entropy(logits, targets)
    """
    model = subject.model(case.C)
    model.set_table(torch.arange(case.C, dtype=torch.float32)[:, None].expand(case.C, case.C) / 4)
    loss = loss_of(model, case.tensor(), case.target_tensor())
    expect_close(
        loss,
        exactly(math.log(case.C)),
        tolerance=tolerance(model.table(), case.tensor().numel()),
        what=f"loss of a table of equal rows, ln {case.C}",
        cause="a model that knows nothing is not given the loss of guessing",
    )


@clause("loss.non-negative", SETTABLE, needs=("loss.uniform", "loss.floor"))
def non_negative(subject: Subject, case: PairsCase) -> None:
    """The loss is never below 0, and is 0 where the model is certain, and right.

    Formula: 0 <= loss; with P(target | token) = 1 - C e^-80, loss < 1e-30.
    Source: loss between > predictions > actual targets
    """
    model = subject.model(case.C)
    successors = [(3 * token + 1) % case.C for token in range(case.C)]
    model.set_table(certain_table(successors))
    idx = case.tensor()
    loss = float(loss_of(model, idx, torch.tensor(successors)[idx]))
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
    model = subject.model(case.C)
    successors = [(3 * token + 1) % case.C for token in range(case.C)]
    model.set_table(certain_table(successors))
    idx = case.tensor()
    others = (torch.tensor(successors)[idx] + 1) % case.C
    loss = loss_of(model, idx, others)
    expect_close(
        loss,
        exactly(80.0 if case.C > 1 else 0.0),
        tolerance=tolerance(model.table(), idx.numel()),
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
    table = model.table()
    model.set_table(table + 1e4 * signs)
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
    sorted_idx = idx.flatten()[order].reshape(idx.shape)
    sorted_targets = targets.flatten()[order].reshape(idx.shape)
    expect_close(
        loss_of(model, sorted_idx, sorted_targets),
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
    loss = loss_of(model, idx, targets)
    least = entropy_floor(counts)
    expect_close(
        loss,
        exactly(least),
        tolerance=tolerance(model.table(), 1),
        what="loss of the counted frequencies, their entropy H(y|x)",
        cause="the loss goes below what any bigram model can reach"
        if loss.item() < least
        else "the loss does not get down to the entropy: unlikely tokens keep some probability",
    )


@clause("loss.live", SETTABLE, needs=("loss.mean-cross-entropy", "embedding.live"))
def live(subject: Subject, case: LossCase) -> None:
    """The loss is that of this call: of its tokens, and of the table as it is now.

    Tolerance: as for loss.mean-cross-entropy.
    Source: loss > used during training to update the model's weights
    """
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    loss_of(model, idx, targets)
    others = (idx + 1) % case.C
    for what, cause in (
        ("loss of other tokens", "the loss is kept from an earlier call"),
        ("loss after the table was changed", "something of the table from before is kept"),
    ):
        expect_close(
            loss_of(model, others, targets),
            oracle(model, others, targets),
            tolerance=tolerance(model.table(), idx.numel()),
            what=what,
            cause=cause,
        )
        model.set_table(table_of(case.C, case.table + 1))


@clause("loss.modes", LOSS, level=SHOULD, needs=("loss.mean-cross-entropy", "forward.modes"))
def modes(subject: Subject, case: LossCase) -> None:
    """The loss is the same in training and in evaluation mode.

    Tolerance: as for loss.mean-cross-entropy.
    Source: loss > used during training to update the model's weights
    """
    model = case.model(subject)
    model.train(mode=True)
    expect_loss(
        model,
        case,
        cause="the loss is another after train(): smoothed or with dropout in training only",
    )


@clause("loss.any-length", LOSS, needs=("loss.permutation",))
def any_length(subject: Subject, case: LongCase) -> None:
    """Every position of a long sequence counts, however long it is.

    Source: T is the current sequence length > F.cross_entropy(logits, targets)
    """
    expect_loss(
        case.model(subject),
        case,
        cause="positions beyond some length are left out of the loss, or weigh otherwise",
    )


@clause(
    "loss.differentiable",
    (Part.LOSS, Part.TENSORS),
    PROFILES,
    needs=("loss.scalar", "embedding.one-hot"),
)
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
    bad = case.spoilt(case.target_tensor())
    expect_refused(
        lambda: model(case.tensor(), bad),
        what=f"target {case.token}, with {case.C} tokens in the vocabulary",
        cause=lambda: _stands_for(subject, target=-1 if case.token < 0 else 5),
    )
    model(case.tensor(), case.target_tensor())


def _stands_for(subject: Subject, *, target: int, C: int = 5) -> str:
    """Say what a bad target beside a good one counts as."""
    model = model_with(subject, C, 0)
    good = loss_of(model, tokens(((0,),)), tokens(((0,),)))
    answer = observe(lambda: loss_of(model, tokens(((0, 1),)), tokens(((0, target),))))
    cause = "a target that is no token counts"
    if not isinstance(answer, Tensor):
        return f"{cause}, at some places"
    if torch.allclose(answer, good):
        return "a target that is no token is left out of the mean without a word"
    if torch.allclose(answer, good / 2):
        return f"{cause} as a loss of 0"
    counts = [
        token
        for token in range(C)
        if torch.allclose(answer, loss_of(model, tokens(((0, 1),)), tokens(((0, token),))))
    ]
    if counts == [target % C]:
        return f"{cause}: it wraps round, as the index of a bare tensor does"
    return f"{cause} as token {counts[0]}: it is clamped" if counts else cause


@clause("loss.targets.dtype", (Part.LOSS, Part.TENSORS), PROFILES, needs=("loss.scalar",))
def targets_dtype(subject: Subject, case: LossCase) -> None:
    """Targets are integers: as float32 they are refused, as int64 they are not.

    Source: type long > intended to hold integer > values
    """
    model = case.model(subject)
    expect_refused(
        lambda: model(case.tensor(), case.target_tensor().float()),
        what="targets as float32",
        cause="fractions are cut off without a word, or numbers are compared as they are",
    )
    model(case.tensor(), case.target_tensor())


@clause("loss.ignore-index", LOSS, PROFILES, level=CHOICE, needs=("loss.targets.range",))
def ignore_index(subject: Subject, case: Nothing) -> str:
    """A target of -100 may be refused, or be left out of the mean as F.cross_entropy does.

    Source: loss = F.cross_entropy(logits, targets)
    Erratum 10: the notes' line leaves it out, and they do not say so.
    """
    model = subject.model(3)
    idx = tokens(((0, 1),))
    answer = observe(lambda: loss_of(model, idx, tokens(((2, -100),))))
    if isinstance(answer, SubjectError):
        return "refused"
    assert isinstance(answer, Tensor)  # noqa: S101  what loss_of gives
    first = loss_of(model, idx[:, :1], tokens(((2,),)))
    left_out = torch.isclose(answer.double(), first.double())
    return "left out" if left_out else "counted as something"


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
    targets = tokens(((0, 1, 2), (2, 2, 1)), "transposed")
    answer = observe(lambda: loss_of(model, tokens(((0, 1, 2), (1, 1, 0))), targets))
    return "refused" if isinstance(answer, SubjectError) else "accepted"


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
    model = subject.model(figures.vocab_size)
    loss = f"{float(loss_of(model, x, y).detach()):.4f}"
    return "as documented" if loss == figures.loss else loss
