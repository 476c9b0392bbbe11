"""forward(idx, targets=None) -> (logits, loss): the scores of every next token."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor

from reference.spec.cases import FlatCase, IndexCase, LayoutCase, LossCase, tokens
from reference.spec.causes import forward as causes
from reference.spec.clause import PROFILES, SHOULD, clause
from reference.spec.expect import (
    expect,
    expect_close,
    expect_equal,
    expect_refused,
    kind_of,
    observe,
)
from reference.spec.measures import expect_no_draws, expect_no_seed, logits_of, pair_of, rounding
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Part, Subject, SubjectError

LOSS = (Part.LOSS,)


@clause("forward.returns", profiles=PROFILES)
def returns(subject: Subject, case: IndexCase) -> None:
    """forward gives a pair: the logits, a tensor, and the loss.

    Source: return logits > returned from the forward function
    Audit: where is it returned to
    """
    answer = case.model(subject).answer(case.tensor())
    expect(
        isinstance(answer, tuple) and len(answer) == 2,  # noqa: PLR2004  as said
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
        cause=causes.unreadable(answer[0], "what forward returns first")
        or "forward does not return the logits first",
    )


@clause("forward.logits.shape", profiles=PROFILES, needs=("forward.returns",))
def logits_shape(subject: Subject, case: IndexCase) -> None:
    """Without targets the logits are (B, T, C): C scores at every position of every sequence.

    Source: logits = self.token_embedding_table(idx) # (B,T,C)
    """
    shape = tuple(case.model(subject)(case.tensor()).logits.shape)
    B, T = case.tensor().shape
    what = f"shape of the logits of idx {(B, T)}"
    expect_equal(shape, (B, T, case.C), what=what, cause=lambda: causes.layout(subject))


@clause("forward.logits.floating", profiles=PROFILES, needs=("forward.logits.shape",))
def logits_floating(subject: Subject, case: IndexCase) -> None:
    """The logits are floating-point numbers, from which probabilities can be made.

    Source: RAW + UNBOUNDED > values have no min/max
    """
    logits = case.model(subject)(case.tensor()).logits
    expect(
        logits.is_floating_point(),
        what="dtype of the logits",
        expected="a floating-point type",
        seen=str(logits.dtype),
        cause="the logits are cast to whole numbers or to true and false",
    )


@clause("forward.logits.dtype", (Part.TENSORS,), needs=("forward.logits.floating",))
def logits_dtype(subject: Subject, case: IndexCase) -> None:
    """The logits are floating-point numbers of the table's own type.

    Source: RAW + UNBOUNDED > values have no min/max
    """
    model = case.model(subject)
    logits = logits_of(model, case.tensor())
    dtypes = [value.dtype for value in model.parameters().values()]
    want = dtypes[0] if len(dtypes) == 1 else torch.get_default_dtype()
    cause = "the logits are converted to another type than the table's"
    expect_equal(logits.dtype, want, what="dtype of the logits", cause=cause)


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
    needs=("forward.logits.floating", "forward.pure.inputs", "forward.pure.table"),
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

    def expect_again(what: str) -> None:
        again, near = logits_of(model, idx).clone(), rounding(subject, model, copy)
        cause = partial(causes.changing, model, idx)
        expect_close(again, copy, tolerance=near, what=what, cause=cause)

    expect_again("logits of the second call with the same idx")
    after = logits_of(model, other).clone()
    what = "logits of the first call, after the later ones"
    cause = "a call writes over the logits of the call before: both share their memory"
    expect_equal(first, copy, what=what, cause=cause)
    if model.can_be_set:
        seed_all(0)  # so that this one was made like the other
        anew = logits_of(case.model(subject), other)
        what = "logits of other tokens, asked after the first, against a new model's"
        expect_equal(after, anew, what=what, cause=causes.KEPT)
    expect_again("logits of the fourth call, with the first call's idx")


@clause("forward.modes", level=SHOULD, needs=("forward.repeatable",))
def modes(subject: Subject, case: IndexCase) -> None:
    """Training and evaluation mode give the same logits: the table is all there is.

    Source: forward() > how input is > passed through the layers
    """
    model, idx = case.model(subject), case.tensor()
    model.train(mode=False)
    expected = logits_of(model, idx).clone()
    model.train(mode=True)
    for call in ("first", "second"):
        expect_close(
            logits_of(model, idx),
            expected,
            tolerance=rounding(subject, model, expected),
            what=f"logits of the {call} call after train(), against eval()",
            cause="dropout, or another layer that works in training only, changes the logits",
        )


@clause("forward.stream", profiles=PROFILES, level=SHOULD, needs=("forward.repeatable",))
def stream(subject: Subject, case: LossCase) -> None:
    """forward seeds nothing: what is drawn after it follows from the user's own seed.

    Source: set the seed for generating random numbers
    """
    model = case.model(subject)
    for mode in (True, False):
        with suppress(SubjectError):  # of an eval() that fails, forward.modes tells
            model.train(mode=mode)
        expect_no_seed(_both_ways(subject, model, case), what="forward")


@clause("forward.pure.stream", profiles=PROFILES, level=SHOULD, needs=("forward.stream",))
def pure_stream(subject: Subject, case: LossCase) -> None:
    """In evaluation forward draws nothing: it leaves the random streams as they were.

    Source: set the seed for generating random numbers
    """
    model = case.model(subject)
    logits_of(model, case.tensor())  # a model may make its weights at the first call
    if not any(model.modes().values()):  # of an eval() that fails, forward.modes tells
        expect_no_draws(_both_ways(subject, model, case), what="forward")


def _both_ways(subject: Subject, model: Model, case: LossCase) -> Callable[[], object]:
    """Return a function that calls the model without targets, and with them."""

    def ask() -> None:
        logits_of(model, case.tensor())
        if Part.LOSS in subject.parts:  # loss.scalar tells if it cannot be called
            observe(lambda: model.answer(case.tensor(), case.target_tensor()))

    return ask


@clause("forward.batch-independent", profiles=PROFILES, needs=("forward.repeatable",))
def batch_independent(subject: Subject, case: IndexCase) -> None:
    """The logits of a sequence do not depend on the other sequences of the batch.

    Formula: logits of idx[b:b+1] = logits of idx, at b.
    Source: batch_size > num_rows = [ 4 ] > (per batch)
    """
    model, idx = case.model(subject), case.tensor()
    whole = logits_of(model, idx)
    alone = torch.cat([logits_of(model, idx[b : b + 1]) for b in range(len(idx))])
    expect_close(
        whole,
        alone,
        tolerance=rounding(subject, model, whole),
        what="logits of the batch against those of its rows one by one",
        cause=lambda: causes.influence(subject),
    )


@clause("forward.memoryless", needs=("forward.repeatable",))
def memoryless(subject: Subject, case: IndexCase) -> None:
    """The logits at a position depend on the token there and on no other, before or after.

    Formula: logits[b, t] is a function of idx[b, t].
    Source: indexes > token > vector representation
    """
    model, idx = case.model(subject), case.tensor()
    whole = logits_of(model, idx)
    T = idx.shape[1]
    for t in range(T):
        alone = logits_of(model, idx[:, t : t + 1])[:, 0]
        expect_close(
            whole[:, t],
            alone,
            tolerance=rounding(subject, model, whole),
            what=f"logits at position {t} of {T} against those of its token alone",
            cause=partial(causes.seen_from, model, idx, t, whole[:, t]),
        )


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
        tolerance=rounding(subject, model, straight),
        what=f"logits of a {case.layout} idx",
        cause="the tokens are read in the order of memory, not by their places",
    )


@clause("forward.call", profiles=PROFILES, needs=("forward.repeatable",))
def call(subject: Subject, case: IndexCase) -> None:
    """Calling the model is calling its forward: m(idx) is m.forward(idx).

    Source: m.forward(xb, yb) > pytorch allows us to call a model like a function
    """
    model = case.model(subject)
    seen, want = model.forward(case.tensor()).logits, logits_of(model, case.tensor())
    cause = "__call__ or a hook does something that forward does not"
    expect_equal(seen, want, what="logits of m.forward(idx) against m(idx)", cause=cause)


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
    cause = "forward changes the table: max_norm, or a normalisation in place"
    expect_equal(model.table(), before, what="the table after a call", cause=cause)
    if isinstance(logits, Tensor):
        with suppress(RuntimeError):  # of logits that cannot be written into, as expanded ones
            logits.detach().fill_(7.0)
    what = "the table after writing into the logits"
    cause = "the logits are the table's own memory: whoever changes them changes it"
    expect_equal(model.table(), before, what=what, cause=cause)


@clause("forward.logits.flattened", LOSS, needs=("forward.repeatable", "loss.scalar"))
def logits_flattened(subject: Subject, case: FlatCase) -> None:
    """With targets the logits are the same numbers as (B*T, C), sequence after sequence.

    Formula: flat[b*T + t, :] = logits[b, t, :].
    Source: logits = logits.view(B * T, C) > ( 4 * 8 , 65 ) = ( 32* 65 )
    Audit: input v logit
    """
    model = case.model(subject)
    logits = logits_of(model, case.tensor())  # (B, T, C)
    flat = logits_of(model, case.tensor(), case.target_tensor())
    want, cause = logits.flatten(0, 1), partial(causes.flattening, flat, logits)
    expect_equal(flat, want, what="logits with targets", cause=cause)


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
            partial(model, idx, wrong),
            what=f"targets {tuple(wrong.shape)} for idx {tuple(idx.shape)}",
            cause="targets that do not match idx are cut, repeated or broadcast without a word",
        )
    model(idx, targets)
