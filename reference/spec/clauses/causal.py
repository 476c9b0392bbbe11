"""What any model keeps that predicts each token from those before it: a bigram model, or a GPT.

A new model says nearly the same of every token. So, where its parameters can be had, the kit writes
its own numbers into them, wide enough that each token, and each position, makes a difference.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from reference.oracle.learning import softmax
from reference.spec.cases import (
    CachedCase,
    ChainLawCase,
    ContextCase,
    ContextLawCase,
    ContextLossCase,
    IndexCase,
    Nothing,
    PaddedCase,
)
from reference.spec.causes import causal as causes
from reference.spec.clause import CAUSAL, CHOICE, SHOULD, clause
from reference.spec.expect import (
    Broken,
    Cause,
    expect,
    expect_close,
    expect_graded,
    expect_law,
    kind_of,
)
from reference.spec.measures import (
    ALARM,
    LONGEST,
    UNLIKE,
    alike,
    continued,
    graded_model,
    law_of,
    logits_of,
    longest,
    loss_of,
    mean_cross_entropy,
    rounding_of_sums,
    try_training,
    wide_model,
)
from reference.spec.randomness import seed_all, streams
from reference.spec.subject import Model, Part, Subject, SubjectError

GENERATE = (Part.GENERATE,)
ONLY = (CAUSAL,)
BINS = 8
"""Parts of the law into which the draws of a step are counted."""


def maker(subject: Subject, case: IndexCase) -> Callable[[], Model]:
    """Return a function that makes the same model each time, or returns one if they all differ."""
    make = partial(wide_model, subject, case.C, case.table)
    first, second = make(), make()
    idx = case.tensor()[:, :1]
    scores = logits_of(first, idx)
    same = alike(logits_of(second, idx), scores, within=rounding_of_sums(first, scores))
    return make if same else lambda: first


def expect_beginning(model: Model, seen: Tensor, whole: Tensor, *, what: str, cause: Cause) -> None:
    """Compare logits with the first of those of the whole sequence.

    Shape: (B, t, C), (B, T, C).
    """
    near = rounding_of_sums(model, whole)
    expect_close(seen, whole[:, : seen.shape[1]], tolerance=near, what=what, cause=cause)


@clause("causal.block-size", profiles=ONLY, level=CHOICE, needs=("forward.returns",))
def block_size(subject: Subject, case: Nothing) -> str:
    """A model may take sequences of any length, or up to a block_size; longer ones are not tried.

    Choice: the longest sequence that it takes is looked for among those of 1 to 128 tokens.
    Source: T is the current sequence length of the context > it can change as new tokens are
    generated
    """
    most = longest(subject)
    return f"at most {most} tokens" if most < LONGEST else f"{LONGEST} tokens, and perhaps more"


@clause("causal.no-future", profiles=ONLY, needs=("forward.repeatable",))
def no_future(subject: Subject, case: ContextCase) -> None:
    """The logits at a position depend on no token after it: what is to be predicted is not seen.

    Formula: logits[:, t] is a function of idx[:, :t + 1].
    Tolerance: 256 eps m for logits up to m.
    Source: where each element is the "true next token"
    """
    model, idx = wide_model(subject, case.C, case.table), case.tensor()
    whole = logits_of(model, idx)
    for t in range(idx.shape[1] - 1):
        other = torch.cat([idx[:, : t + 1], (idx[:, t + 1 :] + 1) % case.C], dim=1)
        seen = logits_of(model, other)[:, : t + 1]
        what = f"logits up to position {t}, when the tokens after it are others"
        expect_beginning(model, seen, whole, what=what, cause=lambda: causes.leaking(subject))


@clause("causal.prefix", profiles=ONLY, needs=("causal.no-future",))
def prefix(subject: Subject, case: ContextCase) -> None:
    """T is the length of idx as it is now: the beginning of a sequence has the logits of the whole.

    Formula: logits of idx[:, :t] = (logits of idx)[:, :t], for every t.
    Tolerance: 256 eps m for logits up to m.
    Source: T is the current sequence length of the context during generation
    """
    make = maker(subject, case)
    model, idx = make(), case.tensor()
    T = idx.shape[1]
    whole = logits_of(model, idx)
    for t in (t for t in dict.fromkeys((1, 2, T // 2, T - 1)) if 0 < t < T):
        # A model of its own for each length: causal.lengths tells of what one call leaves behind.
        expect_beginning(
            model,
            logits_of(make(), idx[:, :t]),
            whole,
            what=f"logits of the first {t} of {T} tokens, by themselves",
            cause="a position is scored by how long the sequence is: positions counted from its "
            "end, or a mean over time",
        )


@clause("causal.lengths", profiles=ONLY, needs=("causal.prefix",))
def lengths(subject: Subject, case: ContextCase) -> None:
    """A sequence has the same logits after calls with shorter ones and with longer ones.

    Tolerance: 256 eps m for logits up to m.
    Source: T is the current sequence length of the context > it can change as new tokens are
    generated
    """
    idx = case.tensor()
    T = idx.shape[1]
    half = max(T // 2, 1)
    make = maker(subject, case)
    whole = logits_of(make(), idx)
    cause = (
        "forward keeps something from the length of an earlier call, such as a mask that is made "
        "only once"
    )
    for first, then in ((1, T), (T, half), (half, T)):
        what = f"logits of {then} tokens, after a call with {first}"
        model = make()
        model(idx[:, :first])
        try:
            seen = logits_of(model, idx[:, :then])
        except SubjectError as error:
            raise Broken(expected=f"{what}: no error", seen=error.said, cause=cause) from error
        expect_beginning(model, seen, whole, what=what, cause=cause)


@clause("causal.modes", profiles=ONLY, level=SHOULD, needs=("causal.lengths",))
def modes(subject: Subject, case: ContextCase) -> None:
    """A model that draws nothing in training, as dropout does, has the logits of evaluation there.

    Tolerance: 256 eps m for logits up to m.
    Source: forward() > how input is > passed through the layers
    """
    model, idx = wide_model(subject, case.C, case.table), case.tensor()
    before = logits_of(model, idx).clone()
    model.train(mode=True)
    stream = streams()
    seen = logits_of(model, idx)
    if streams() == stream:
        near, what = rounding_of_sums(model, before), "logits after train(), against eval()"
        cause = (
            "a layer works otherwise in training, as one that normalises over the batch does: "
            "sequences and positions then depend on each other"
        )
        expect_close(seen, before, tolerance=near, what=what, cause=cause)


@clause("causal.context", profiles=ONLY, level=CHOICE, needs=("causal.lengths",))
def context(subject: Subject, case: ContextCase) -> str:
    """A position may look at the tokens before it, or at its own alone as a bigram model does.

    Source: T is the current sequence length of the context during generation
    """
    model, idx = wide_model(subject, case.C, case.table), case.tensor()
    if idx.shape[1] == 1 or case.C == 1:
        return ""
    whole = logits_of(model, idx)[:, -1]
    other = torch.cat([(idx[:, :-1] + 1) % case.C, idx[:, -1:]], dim=1)
    near = alike(logits_of(model, other)[:, -1], whole, within=rounding_of_sums(model, whole))
    return "its own token alone" if near else "the tokens before it"


@clause("causal.loss", (Part.LOSS,), ONLY, needs=("causal.logits.targets",))
def loss(subject: Subject, case: ContextLossCase) -> None:
    """The loss is the mean cross-entropy of the model's own logits: at position t, of targets[t].

    Formula: loss = -1/(B*T) sum over b, t of ln softmax(logits[b, t])[targets[b, t]].
    Tolerance: that of the logits, twice, and eps (C + B*T + 4) (2 m + ln C) for logits up to m.
    Source: This computes the loss between > the actual targets
    """
    model = wide_model(subject, case.C, case.table)
    idx, targets = case.tensor(), case.target_tensor()
    logits = logits_of(model, idx)
    seen, want = loss_of(model, idx, targets), mean_cross_entropy(logits, targets)
    near, cause = loss_tolerance(model, logits), partial(causes.another_loss, subject)
    expect_close(seen, want, tolerance=near, what="loss", cause=cause)


@clause(
    "causal.logits.targets",
    (Part.LOSS,),
    ONLY,
    needs=("loss.scalar", "causal.lengths", "forward.batch-independent"),
)
def logits_with_targets(subject: Subject, case: ContextLossCase) -> None:
    """With targets the logits are the same numbers, as (B, T, C) or flattened to (B*T, C).

    Tolerance: 256 eps m for logits up to m.
    Source: logits = logits.view(B * T, C) > ( 4 * 8 , 65 ) = ( 32* 65 )
    """
    model, idx = wide_model(subject, case.C, case.table), case.tensor()
    cause = "with targets, forward computes other scores"
    for what in ("logits with targets", "logits with targets, in training"):
        logits = logits_of(model, idx)
        given = model(idx, case.target_tensor()).logits
        B, T, C = logits.shape
        expected, seen = f"{(B, T, C)} or {(B * T, C)}", f"{tuple(given.shape)}"
        expect(
            given.numel() == logits.numel(), what=what, expected=expected, seen=seen, cause=cause
        )
        own = own_logits(given, case)
        if own is not None:  # they may lie otherwise, as (B, C, T)
            near = rounding_of_sums(model, logits)
            expect_close(own, logits, tolerance=near, what=what, cause=cause)
        try_training(model, idx)


@clause("causal.loss.training", (Part.LOSS,), ONLY, level=SHOULD, needs=("causal.loss",))
def loss_in_training(subject: Subject, case: ContextLossCase) -> None:
    """In training mode, too, the loss is that of the logits which come with it.

    Formula: as for causal.loss, of the logits that m(idx, targets) gives, after dropout if any.
    Tolerance: as for causal.loss.
    Source: loss > used during training to update the model's weights
    """
    model = wide_model(subject, case.C, case.table)
    model.train(mode=True)
    idx, targets = case.tensor(), case.target_tensor()
    answer = model(idx, targets)
    logits = own_logits(answer.logits, case)
    if answer.loss is not None and logits is not None:
        want, near = mean_cross_entropy(logits, targets), loss_tolerance(model, logits)
        cause = (
            "in training the loss is of other scores than those that are returned, as by dropout "
            "between them, or is smoothed or weighted"
        )
        expect_close(answer.loss, want, tolerance=near, what="loss in training", cause=cause)


def own_logits(logits: Tensor, case: ContextLossCase) -> Tensor | None:
    """Return the logits that came with a loss as (B, T, C), or None if they are of another form."""
    B, T = case.tensor().shape
    known = tuple(logits.shape) in {(B, T, case.C), (B * T, case.C)}
    return logits.reshape(B, T, case.C) if known and logits.is_floating_point() else None


def loss_tolerance(model: Model, logits: Tensor) -> float:
    """Bound the rounding of the mean cross-entropy of a model's logits.

    Shape: (B, T, C).
    """
    B, T, C = logits.shape
    most = 2 * float(logits.detach().abs().max()) + math.log(C)
    terms = torch.finfo(logits.dtype).eps * (C + B * T + 4)
    return 2 * rounding_of_sums(model, logits) + terms * most


@clause(
    "causal.padding",
    (Part.PADDING,),
    ONLY,
    level=SHOULD,
    needs=("causal.lengths", "forward.batch-independent"),
)
def padding(subject: Subject, case: PaddedCase) -> None:
    """Padding on the left is not seen: a row's tokens have the same logits with and without it.

    Formula: with k masked tokens in front, logits[:, k:] = logits of idx[:, k:] by themselves.
    Tolerance: 256 eps m for logits up to m.
    Source: (B, T) > T is the length of each sequence
    """
    model, idx = wide_model(subject, case.C, case.table), case.tensor()
    T = idx.shape[1]
    rows = [row[: T - b % T] for b, row in enumerate(idx)]
    front = [T + 1 - len(row) for row in rows]  # tokens of padding
    for filling in dict.fromkeys((0, case.C - 1)):
        given = [F.pad(row, (k, 0), value=filling) for row, k in zip(rows, front, strict=True)]
        mask = torch.arange(T + 1) >= torch.tensor(front)[:, None]
        logits = model.padded(torch.stack(given), mask.long())
        for b, (row, k) in enumerate(zip(rows, front, strict=True)):
            alone = logits_of(model, row[None])[0]
            expect_close(
                logits[b, k:],
                alone,
                tolerance=rounding_of_sums(model, alone),
                what=f"logits of row {b}: {len(row)} tokens after {k} of padding, token {filling}",
                cause="padding on the left shows through: masked tokens are looked at, or "
                "positions count them",
            )


@clause(
    "generate.cached",
    (Part.GENERATE, Part.PLAIN_GENERATE),
    ONLY,
    needs=("generate.range", "causal.lengths"),
)
def cached(subject: Subject, case: CachedCase) -> None:
    """A generate with a cache, or otherwise fast, gives the tokens that the plain one gives.

    Formula: generate(idx, n) = plain generate(idx, n), with the likeliest token each time where
    that can be asked for; else on one stream, where their first new token shows that they share it.
    Alarm: at most 1e-9 a run. Rounding turns a token of a call at most once in 100 calls (seen:
    never in 1,440), and a subject is turned down where the two differ after 7 of 12 seeds. Of the
    likeliest tokens, two count as one where their logits are as near as rounding.
    Source: for _ in range(max_new_tokens) > logits, loss = self(idx)
    """
    make = partial(wide_model, subject, case.C, case.table)
    model, idx = make(), case.tensor()
    greedy = Part.GREEDY in subject.parts
    if not (greedy or _share_a_stream(subject)):
        return  # each draws in a way of its own: causal.law and causal.chain judge it

    def agree(idx: Tensor, n: int) -> bool:
        return _apart(make, idx, n, greedy=greedy) is None

    for prompt, what in ((idx, "tokens"), ((idx + 1) % case.C, "tokens of a second call")):
        apart = _apart(lambda: model, prompt, case.n, greedy=greedy)
        if apart is not None:
            fast, plain = apart
            raise Broken(
                expected=f"{what} of the fast generate, against the plain one's: {plain.tolist()}",
                seen=str(fast.tolist()),
                cause=partial(causes.uncached, make, prompt, case.n, greedy=greedy, agree=agree),
            )


FEW, SEEDS, MOST = 2, 12, 6
"""Streams on which both are tried first, and if they differ on one; on how many they may differ."""


def _share_a_stream(subject: Subject) -> bool:
    """Return whether both draw the same first new token for 64 rows, up to rounding."""
    idx = torch.arange(64)[:, None] % 5
    fast, plain = _both(wide_model(subject, 5, 0), idx, 1, 0, greedy=False)
    return fast.shape == plain.shape and int((fast != plain).sum()) <= 1


def _apart(
    make: Callable[[], Model], idx: Tensor, n: int, *, greedy: bool
) -> tuple[Tensor, Tensor] | None:
    """Return what both say if they differ more often than rounding explains, else None."""
    found: list[tuple[Tensor, Tensor]] = []
    for seed in range(1 if greedy else SEEDS):
        if seed == FEW and not found:
            return None
        model = make()
        pair = _both(model, idx, n, seed, greedy=greedy)
        if not _agree(model, *pair, greedy=greedy):
            found.append(pair)
    return found[0] if len(found) > (0 if greedy else MOST) else None


def _both(model: Model, idx: Tensor, n: int, seed: int, *, greedy: bool) -> tuple[Tensor, Tensor]:
    """Continue idx by both, each on the same stream.

    Shape: (B, T) -> (B, T + n), (B, T + n).
    """
    outs = []
    for plain in (False, True):
        seed_all(seed)
        out = model.continued(idx.clone(), n, plain=plain, greedy=greedy)
        if out.dtype != torch.int64 or out.shape[:1] != idx.shape[:1]:
            raise Broken(
                expected="int64 tokens, as generate gives", seen=kind_of(out), cause=UNLIKE
            )
        outs.append(out)
    return outs[0], outs[1]


def _agree(model: Model, fast: Tensor, plain: Tensor, *, greedy: bool) -> bool:
    if not greedy or fast.shape != plain.shape:
        return alike(fast, plain)
    for one, other in zip(fast, plain, strict=True):
        apart = (one != other).nonzero()
        if len(apart):
            t = int(apart[0])
            scores = logits_of(model, one[None, :t])[0, -1]
            if abs(float(scores[one[t]] - scores[other[t]])) > rounding_of_sums(model, scores):
                return False
    return True


def _in_parts(rows: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Call a function on 2^14 tokens at a time, without gradients, to save memory."""
    with torch.no_grad():
        return torch.cat([function(part) for part in rows.split(2**14 // rows.shape[1])])


@clause("causal.law", GENERATE, ONLY, needs=("generate.cached", "generate.stream"))
def law(subject: Subject, case: ContextLawCase) -> None:
    """The next token is drawn from the law that the model's own logits state of the whole prompt.

    Formula: P(next = j | idx) = softmax(m(idx).logits[:, -1])[j].
    Alarm: at most 1e-9 a run: a quarter for each of four cases, shared among its prompts (Agrawal's
    bound), its tokens, its ranks and all ranks from one on, the tokens of the prompt (Hoeffding's)
    and the mean of ln P (Chernoff's).
    Power: a prompt of which only the last token is looked at is noticed; so is every top_k below C,
    for C of 17, 65 and 257, and a temperature of 0.99 or 1.01, or a repetition penalty of 1.05. Of
    a model whose weights the kit cannot write, and which finds all tokens nearly as likely, the
    last two show less.
    Source: F.softmax(logits, dim=1) > torch.multinomial(probs, num_samples=1) > (B, 1)
    """
    prompts = case.prompts()  # (R, T)
    model = graded_model(subject, case.C, case.table, prompts)
    if case.training:
        try_training(model, prompts)
    P = law_of(model, prompts)
    which = torch.arange(case.draws) % len(prompts)
    drawn = _in_parts(prompts[which], lambda part: continued(model, part, 1))[:, -1]
    counts = torch.bincount(which * case.C + drawn, minlength=P.size).reshape(P.shape).numpy()
    cause = partial(causes.another_law, model, prompts, counts, P)
    expect_graded(counts, P, prompts.numpy(), alarm=ALARM / 4, cause=cause)


@clause("causal.chain", GENERATE, ONLY, needs=("causal.law",))
def chain(subject: Subject, case: ChainLawCase) -> None:
    """Every new token is drawn from the law of all before it, the new ones among them.

    Formula: P(out[:, t] = j) = softmax(m(out[:, :t]).logits[:, -1])[j], at every t >= T.
    Alarm: at most 1e-9 a run, by Agrawal's bound: of each of three cases half for its steps and
    half for pairs of them.
    Power: if likelier tokens come first, the draws are spread evenly over eight parts of their law;
    a cache that keeps a wrong position, or nothing, spreads later draws differently.
    Source: for _ in range(max_new_tokens) > self(idx) > torch.cat((idx, idx_next), dim=1)
    """
    C, n = case.C, case.n
    model = wide_model(subject, C, case.table)
    idx = torch.arange(case.draws)[:, None] * torch.arange(1, case.T + 1) // 3 % C  # (B, T)
    out = _in_parts(idx, lambda part: continued(model, part, n))
    logits = _in_parts(out[:, :-1], lambda part: logits_of(model, part)[:, case.T - 1 :])
    P = softmax(logits.double().numpy())  # (B, n, C)
    share = _shares(P, out[:, case.T :].numpy())  # (B, n, BINS)
    for step in range(n):
        expect_law(
            share[:, step].sum(axis=0),
            np.full(BINS, 1 / BINS),
            alarm=ALARM / 6 / n,
            what=f"new token {step}, sorted by how likely it was, in eight parts",
            cause=f"new token {step} is not drawn from the law of all tokens before it"
            + (": a cache that is not what the tokens so far would give" if step else ""),
        )
    if n == 1:  # of a model that takes two tokens at most
        return
    half = share[..., ::2] + share[..., 1::2]  # in four parts
    last = n // 2 * 2  # of pairs that have no token in common
    pairs = np.einsum("bti,btj->ij", half[:, 0:last:2], half[:, 1:last:2])
    expect_law(
        pairs.ravel(),
        np.full((BINS // 2) ** 2, (2 / BINS) ** 2),
        alarm=ALARM / 6,
        what="each two new tokens in a row, sorted likewise, in four parts",
        cause="tokens of one call depend on each other beyond the chain: a draw is used twice",
    )


def _shares(P: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return how much of each draw's interval of probability lies in each of BINS equal parts.

    Likelier tokens come first. If the draws are right, each part gets 1 / BINS on average. A die
    that picks a point of the interval would do for the bound only on average over dice. This is its
    mean, and the bound holds for the mean whatever the draws are, since the divergence is convex.

    Shape: (B, n, C), (B, n) -> (B, n, BINS), summing to 1 for each draw.
    """
    order = np.argsort(-P, axis=-1, kind="stable")
    above = np.cumsum(np.take_along_axis(P, order, axis=-1), axis=-1)
    rank = np.take_along_axis(np.argsort(order, axis=-1), drawn[..., None], axis=-1)
    end = np.take_along_axis(above, rank, axis=-1)
    length = np.take_along_axis(P, drawn[..., None], axis=-1)
    edges = np.linspace(0, 1, BINS + 1)
    edges[0], edges[-1] = -np.inf, np.inf  # for ends that rounding moved
    shares: np.ndarray = np.diff(np.clip((edges - end + length) / np.maximum(length, 1e-12), 0, 1))
    return shares
