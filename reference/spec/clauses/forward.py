"""forward(idx, targets=None) -> (logits, loss): the scores of every next token."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from reference.spec.cases import IndexCase, LayoutCase, LossCase, tokens
from reference.spec.clause import PROFILES, SHOULD, clause
from reference.spec.expect import (
    expect,
    expect_close,
    expect_equal,
    expect_refused,
    kind_of,
    observe,
)
from reference.spec.measures import logits_of, pair_of, rounding
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Output, Part, Subject

LOSS = (Part.LOSS,)


@clause("forward.returns", profiles=PROFILES)
def returns(subject: Subject, case: IndexCase) -> None:
    """forward gives a pair: the logits, a tensor, and the loss.

    Source: return logits > returned from the forward function
    Audit: where is it returned to
    """
    answer = case.model(subject).answer(case.tensor())
    expect(
        isinstance(answer, tuple) and len(answer) == len(Output._fields),
        what="what m(idx) returns",
        expected="a pair (logits, loss)",
        seen=kind_of(answer),
        cause="forward returns something else; if that is meant, name an adapter "
        "(--adapter logits, or --adapter output for an object with .logits and .loss)",
    )
    assert isinstance(answer, tuple)  # noqa: S101  just asked
    expect(
        isinstance(answer[0], Tensor),
        what="the first of what m(idx) returns",
        expected="a tensor, the logits",
        seen=kind_of(answer[0]),
        cause="forward does not return the logits first",
    )


@clause("forward.logits.shape", profiles=PROFILES, needs=("forward.returns",))
def logits_shape(subject: Subject, case: IndexCase) -> None:
    """Without targets the logits are (B, T, C): C scores at every position of every sequence.

    Source: logits = self.token_embedding_table(idx) # (B,T,C)
    """
    logits = case.model(subject)(case.tensor()).logits
    B, T = case.tensor().shape
    expect_equal(
        tuple(logits.shape),
        (B, T, case.C),
        what=f"shape of the logits of idx {(B, T)}",
        cause=lambda: _layout(subject),
    )


def _layout(subject: Subject) -> str:
    """Say how the logits lie instead, from a call in which B, T and C all differ."""
    B, T, C = 2, 3, 5
    shape = tuple(subject.model(C)(tokens(((0, 1, 2), (3, 4, 0)))).logits.shape)
    if len(shape) == 3 and shape[:2] == (B, T) and shape[2] > C:  # noqa: PLR2004  B, T and C
        return "there are scores for more tokens than the vocabulary has"
    likely = {
        (B, T, C): "a dimension of size 1 is lost: squeeze",
        (B, 1, C): "only the last position is scored: all of them are asked for",
        (B, C): "only the last position is scored: all of them are asked for",
        (B * T, C): "the logits are flattened to (B*T, C) without targets too",
        (B, C, T): "the logits are turned to (B, C, T), as F.cross_entropy takes them",
        (T, B, C): "time comes before batch",
    }
    return likely.get(shape, "the logits are not laid out as (B, T, C)")


@clause("forward.logits.dtype", (Part.TENSORS,), needs=("forward.logits.shape",))
def logits_dtype(subject: Subject, case: IndexCase) -> None:
    """The logits are floating-point numbers of the table's own type.

    Source: RAW + UNBOUNDED > values have no min/max
    """
    model = case.model(subject)
    logits = logits_of(model, case.tensor())
    parameters = [value.dtype for value in model.parameters().values()]
    want = parameters[0] if len(parameters) == 1 else torch.get_default_dtype()
    expect_equal(
        logits.dtype,
        want,
        what="dtype of the logits",
        cause="the logits are converted to another type than the table's",
    )


@clause("forward.loss.none", profiles=PROFILES, needs=("forward.returns",))
def loss_none(subject: Subject, case: IndexCase) -> None:
    """Without targets there is no loss: it is None.

    Source: targets == None: > loss = None
    Audit: how is this function getting *loss*
    Erratum 5: the notes' `targets == None` asks the tensor's own ==; `is None` is meant.
    """
    model = case.model(subject)
    what = "the loss of m(idx)"
    cause = "forward gives a loss where nothing was to be predicted"
    for _ in range(2):
        _logits, loss = pair_of(model, case.tensor())
        expect(loss is None, what=what, expected="None", seen=loss, cause=cause)
        observe(lambda: model.answer(case.tensor(), case.tensor()))
        what += " after a call with targets"
        cause = "forward gives the loss of an earlier call, which it has kept"


@clause(
    "forward.repeatable",
    profiles=PROFILES,
    needs=("forward.logits.shape", "forward.pure.inputs", "forward.pure.table"),
)
def repeatable(subject: Subject, case: LossCase) -> None:
    """What a call gives depends on no call before it, and no later call changes it.

    Formula: logits of idx are the same numbers at the first call, the second, and after others.
    Source: forward() > how input is > passed through the layers
    """
    seed_all(0)
    model = case.model(subject)
    idx, other = case.tensor(), case.target_tensor()
    first = logits_of(model, idx)
    copy = first.clone()
    _expect_again(model, idx, copy, what="logits of the second call with the same idx")
    after = logits_of(model, other).clone()
    expect_equal(
        first,
        copy,
        what="logits of the first call, after the later ones",
        cause="a call writes over the logits of the call before: both share their memory",
    )
    if model.can_be_set:
        seed_all(0)  # so that this one was made like the other
        expect_equal(
            after,
            logits_of(case.model(subject), other),
            what="logits of other tokens, asked after the first, against a new model's",
            cause=_KEPT,
        )
    _expect_again(model, idx, copy, what="logits of the fourth call, with the first call's idx")


_KEPT = "forward keeps something from one call to the next"


def _expect_again(model: Model, idx: Tensor, logits: Tensor, *, what: str) -> None:
    again = logits_of(model, idx).clone()
    near = rounding(model, logits)
    expect_close(again, logits, tolerance=near, what=what, cause=lambda: _changing(model, idx))


def _changing(model: Model, idx: Tensor) -> str:
    """Say whether what changes from call to call comes from the random streams."""
    seeded = []
    for seed in (0, 0, 1, 2, 3, 4, 5, 6, 7):
        seed_all(seed)
        seeded.append(logits_of(model, idx).clone())
    same = [torch.equal(seeded[0], one) for one in seeded]
    if same[1] and not all(same):
        return "forward is random: noise, or dropout that evaluation does not turn off"
    return _KEPT


@clause("forward.modes", level=SHOULD, needs=("forward.repeatable",))
def modes(subject: Subject, case: IndexCase) -> None:
    """Training and evaluation mode give the same logits: the table is all there is.

    Source: forward() > how input is > passed through the layers
    """
    model = case.model(subject)
    idx = case.tensor()
    model.train(mode=False)
    expected = logits_of(model, idx).clone()
    model.train(mode=True)
    for call in ("first", "second"):
        expect_close(
            logits_of(model, idx),
            expected,
            tolerance=rounding(model, expected),
            what=f"logits of the {call} call after train(), against eval()",
            cause="dropout, or another layer that works in training only, changes the logits",
        )


@clause("forward.batch-independent", profiles=PROFILES, needs=("forward.repeatable",))
def batch_independent(subject: Subject, case: IndexCase) -> None:
    """The logits of a sequence do not depend on the other sequences of the batch.

    Formula: logits of idx[b:b+1] = logits of idx, at b.
    Source: batch_size > num_rows = [ 4 ] > (per batch)
    """
    model = case.model(subject)
    idx = case.tensor()
    whole = logits_of(model, idx)
    alone = torch.cat([logits_of(model, idx[b : b + 1]) for b in range(len(idx))])
    expect_close(
        whole,
        alone,
        tolerance=rounding(model, whole),
        what="logits of the batch against those of its rows one by one",
        cause=lambda: _influence(subject),
    )


def _influence(subject: Subject) -> str:
    """Say whether one of two sequences is scored otherwise when the other one changes."""
    model = subject.model(5)
    a, b, other = (0, 1), (2, 3), (4, 2)
    logits = logits_of(model, tokens((a, b)))
    first, second = logits_of(model, tokens((a, other)))[0], logits_of(model, tokens((other, b)))[1]
    if torch.equal(first, logits[0]) and torch.equal(second, logits[1]):
        return "a sequence is scored by where it stands in the batch, or by how great the batch is"
    return "sequences of one batch influence each other"


@clause("forward.memoryless", needs=("forward.repeatable",))
def memoryless(subject: Subject, case: IndexCase) -> None:
    """The logits at a position depend on the token there and on no other, before or after.

    Formula: logits[b, t] is a function of idx[b, t].
    Source: indexes > token > vector representation
    """
    model = case.model(subject)
    idx = case.tensor()
    whole = logits_of(model, idx)
    T = idx.shape[1]
    for t in range(T):
        alone = logits_of(model, idx[:, t : t + 1])[:, 0]
        expect_close(
            whole[:, t],
            alone,
            tolerance=rounding(model, whole),
            what=f"logits at position {t} of {T} against those of its token alone",
            cause=partial(_seen_from, model, idx, t, whole[:, t]),
        )


def _seen_from(model: Model, idx: Tensor, t: int, logits: Tensor) -> str:
    """Say what position t looks at, by changing the tokens after it, and those before it."""
    others = {
        "after": torch.cat([idx[:, : t + 1], (idx[:, t + 1 :] + 1) % model.C], dim=1),
        "before": torch.cat([(idx[:, :t] + 1) % model.C, idx[:, t:]], dim=1),
    }
    seen = [
        where
        for where, other in others.items()
        if not torch.allclose(logits_of(model, other)[:, t], logits)
    ]
    if "after" in seen:
        return "a position sees tokens that come after it: the future leaks"
    if "before" in seen:
        return (
            "a position sees the tokens before it: that is no bigram model (--profile causal-lm is "
            "for others)"
        )
    return "a position is scored by where it stands, or by how long the sequence is"


@clause("forward.non-contiguous", profiles=PROFILES, needs=("forward.repeatable",))
def non_contiguous(subject: Subject, case: LayoutCase) -> None:
    """An idx that lies otherwise in memory, as a transposed or sliced one, is the same idx.

    Source: idx > hold a sequence of tokens > (B, T) > indices
    """
    model = case.model(subject)
    straight = logits_of(model, tokens(case.idx))
    expect_close(
        logits_of(model, case.tensor()),
        straight,
        tolerance=rounding(model, straight),
        what=f"logits of a {case.layout} idx",
        cause="the tokens are read in the order of memory, not by their places",
    )


@clause("forward.call", profiles=PROFILES, needs=("forward.repeatable",))
def call(subject: Subject, case: IndexCase) -> None:
    """Calling the model is calling its forward: m(idx) is m.forward(idx).

    Source: m.forward(xb, yb) > pytorch allows us to call a model like a function
    """
    model = case.model(subject)
    expect_equal(
        model.forward(case.tensor()).logits,
        logits_of(model, case.tensor()),
        what="logits of m.forward(idx) against m(idx)",
        cause="__call__ or a hook does something that forward does not",
    )


@clause("forward.pure.inputs", profiles=PROFILES, needs=("forward.returns",))
def pure_inputs(subject: Subject, case: LossCase) -> None:
    """forward leaves idx and targets as they were.

    Source: forward (self, idx
    """
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    cause = "forward writes into the tensors that it is given"
    for given in ((idx, targets), (idx,)) if Part.LOSS in subject.parts else ((idx,),):
        observe(partial(model.answer, *given))  # loss.scalar tells if it cannot be called
        expect_equal(idx, tokens(case.idx), what="idx afterwards", cause=cause)
        expect_equal(targets, tokens(case.targets), what="targets afterwards", cause=cause)


@clause("forward.pure.table", (Part.TABLE,), needs=("forward.returns",))
def pure_table(subject: Subject, case: LossCase) -> None:
    """forward leaves the table as it was: only the optimizer changes it.

    Source: -- side effect -- > a lookup table
    """
    model = case.model(subject)
    before = model.table()
    if Part.LOSS in subject.parts:
        observe(lambda: model.answer(case.tensor(), case.target_tensor()))
    logits, _loss = pair_of(model, case.tensor())
    expect_equal(
        model.table(),
        before,
        what="the table after a call",
        cause="forward changes the table: max_norm, or a normalisation in place",
    )
    if isinstance(logits, Tensor):
        with suppress(RuntimeError):  # of logits that cannot be written into, as expanded ones
            logits.detach().fill_(7.0)
    expect_equal(
        model.table(),
        before,
        what="the table after writing into the logits",
        cause="the logits are the table's own memory: whoever changes them changes it",
    )


@clause("forward.logits.flattened", LOSS, needs=("forward.repeatable", "loss.scalar"))
def logits_flattened(subject: Subject, case: LossCase) -> None:
    """With targets the logits are the same numbers as (B*T, C), sequence after sequence.

    Formula: flat[b*T + t, :] = logits[b, t, :].
    Source: logits = logits.view(B * T, C) > ( 4 * 8 , 65 ) = ( 32* 65 )
    Audit: input v logit
    """
    model = case.model(subject)
    logits = logits_of(model, case.tensor())  # (B, T, C)
    flat = logits_of(model, case.tensor(), case.target_tensor())
    B, T = case.tensor().shape
    expect_equal(
        flat,
        logits.reshape(B * T, case.C),
        what="logits with targets",
        cause=lambda: _flattening(flat, logits),
    )


def _flattening(flat: Tensor, logits: Tensor) -> str:
    if flat.ndim == logits.ndim:
        return "with targets the logits are not flattened: left (B, T, C), or turned to (B, C, T)"
    if torch.equal(flat, logits.transpose(0, 1).flatten(0, 1)):
        return "with targets the logits are flattened position after position: index t*B + b"
    if flat.shape != logits.flatten(0, 1).shape:
        return "with targets there are logits for more or fewer positions than B*T"
    return "with targets the logits are other numbers: probabilities, or changed for the loss"


@clause("forward.targets.mismatch", LOSS, PROFILES, needs=("loss.scalar",))
def targets_mismatch(subject: Subject, case: LossCase) -> None:
    """Targets for more or fewer positions than idx has are refused; as many are not.

    Source: targets.view(B * T) > results in a 1D tensor : (B, T) => (B * T)
    """
    model = case.model(subject)
    idx, targets = case.tensor(), case.target_tensor()
    wrongs = [
        torch.cat([targets, targets[:, :1]], dim=1),  # (B, T+1)
        torch.cat([targets, targets]),  # (2B, T)
        targets[:1],  # (1, T)
        targets[:, :1].contiguous(),  # (B, 1)
    ]
    for wrong in (wrong for wrong in wrongs if wrong.shape != idx.shape):
        expect_refused(
            _calling(model, idx, wrong),
            what=f"targets {tuple(wrong.shape)} for idx {tuple(idx.shape)}",
            cause="targets that do not match idx are cut, repeated or broadcast without a word",
        )
    model(idx, targets)


def _calling(
    model: Callable[[Tensor, Tensor], Output], idx: Tensor, targets: Tensor
) -> Callable[[], Output]:
    return lambda: model(idx, targets)
