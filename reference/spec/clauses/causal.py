"""What any model keeps that predicts each token from those before it: a bigram model, or a GPT.

A new model says nearly the same of every token. So, where its parameters can be had, the kit writes
its own numbers into them, wide enough that each token, and each position, makes a difference.
"""

from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

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
    PaddedCase,
    model_with,
    tokens,
)
from reference.spec.clause import CAUSAL, CHOICE, SHOULD, clause
from reference.spec.expect import Broken, expect, expect_close, expect_law, kind_of, observe
from reference.spec.measures import (
    ALARM,
    UNLIKE,
    alike,
    continued,
    exactly,
    logits_of,
    loss_of,
    rounding_of_sums,
)
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Part, Subject, SubjectError
from reference.spec.tracing import leak, places

GENERATE = (Part.GENERATE,)
ONLY = (CAUSAL,)
WIDTHS = tuple(2.0 ** (1 - step / 4) for step in range(17))
"""How wide the kit's weights may be: the first is taken at which the scores are not too far apart.
"""
APART = 3.0
"""The standard deviation of a position's scores above which a model is sure of nearly all it says.
"""
PART = 2**9
"""Rows that are continued at a time, of many."""
BINS = 8
"""Into which the draws of a step are counted."""


def wide_model(subject: Subject, C: int, seed: int) -> Model:
    """Make a model whose scores differ from token to token and place to place, always the same."""
    if subject not in _WIDTH:
        _WIDTH[subject] = next((width for width in WIDTHS if _fits(subject, width)), None)
    return _widened(subject, C, seed, _WIDTH[subject])


_WIDTH: WeakKeyDictionary[Subject, float | None] = WeakKeyDictionary()
"""For each subject the width that was found for it, or None where its own weights are better."""


def _widened(subject: Subject, C: int, seed: int, width: float | None) -> Model:
    seed_all(seed)  # for what the kit does not write: biases, and models that are no torch's
    model = model_with(subject, C, seed)
    if width is not None and not model.can_be_set:
        model.widen(seed, width)
    return model


def _fits(subject: Subject, width: float) -> bool:
    """Whether a model with weights of this width can still be surprised."""
    idx = tokens(((0, 1, 2, 3, 4, 3, 2, 0), (4, 1, 3, 0, 0, 2, 1, 3)))
    spreads = []
    for seed in range(3):
        answer = observe(lambda seed=seed: logits_of(_widened(subject, 5, seed, width), idx))  # type: ignore[misc]  # bound now
        if isinstance(answer, SubjectError):  # which the clauses will tell
            return True
        assert isinstance(answer, Tensor)  # noqa: S101  logits
        spreads.append(float(answer.detach().double().std(dim=-1).mean()))
    return sum(spreads) / len(spreads) <= APART  # which no infinity is, and no NaN


def maker(subject: Subject, case: IndexCase) -> Callable[[], Model]:
    """Give what makes the same model again and again; or one, where each is another."""
    first, second = wide(subject, case), wide(subject, case)
    idx = case.tensor()[:, :1]
    scores = logits_of(first, idx)
    if alike(logits_of(second, idx), scores, within=rounding_of_sums(first, scores)):
        return lambda: wide(subject, case)
    return lambda: first


def wide(subject: Subject, case: IndexCase) -> Model:
    """Make such a model for a case."""
    return wide_model(subject, case.C, case.table)


@clause("causal.no-future", profiles=ONLY, needs=("forward.repeatable",))
def no_future(subject: Subject, case: ContextCase) -> None:
    """The logits at a position depend on no token after it: what is to be predicted is not seen.

    Formula: logits[:, t] is a function of idx[:, :t + 1].
    Tolerance: 256 eps m for logits up to m.
    Source: where each element is the "true next token"
    """
    model = wide(subject, case)
    idx = case.tensor()
    answer = observe(lambda: logits_of(model, idx))
    if isinstance(answer, SubjectError):
        model(idx[:, :1])  # which is told as it is, where it fails too
        raise Broken(
            expected=f"logits of {idx.shape[1]} tokens",
            seen=answer.said,
            cause=f"the model takes no sequence of {idx.shape[1]} tokens: the clauses are tried "
            "with up to 64, so make it with a block_size of 64 or more",
        )
    assert isinstance(answer, Tensor)  # noqa: S101  logits
    whole = answer
    near = rounding_of_sums(model, whole)
    for t in range(idx.shape[1] - 1):
        other = torch.cat([idx[:, : t + 1], (idx[:, t + 1 :] + 1) % case.C], dim=1)
        expect_close(
            logits_of(model, other)[:, : t + 1],
            whole[:, : t + 1],
            tolerance=near,
            what=f"logits up to position {t}, when the tokens after it are others",
            cause=lambda: _leaking(subject),
        )


def _leaking(subject: Subject) -> str:
    through = leak(wide_model(subject, 5, 0))
    what = "the future leaks: the logits of a position depend on tokens that come after it"
    return f"{what} ({through})" if through else what


@clause("causal.prefix", profiles=ONLY, needs=("causal.no-future",))
def prefix(subject: Subject, case: ContextCase) -> None:
    """T is the length of idx as it is now: the beginning of a sequence has the logits of the whole.

    Formula: logits of idx[:, :t] = (logits of idx)[:, :t], for every t.
    Tolerance: 256 eps m for logits up to m.
    Source: T is the current sequence length of the context during generation
    """
    make = maker(subject, case)
    model = make()
    idx = case.tensor()
    T = idx.shape[1]
    whole = logits_of(model, idx)
    for t in dict.fromkeys((1, 2, T // 2, T - 1)):
        if not 0 < t < T:
            continue
        # A model of its own for each length: causal.lengths tells of what one call leaves behind.
        expect_close(
            logits_of(make(), idx[:, :t]),
            whole[:, :t],
            tolerance=rounding_of_sums(model, whole),
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
    make = maker(subject, case)
    whole = logits_of(make(), idx)
    for first, then, what in (
        (1, T, f"logits of {T} tokens, after a call with 1"),
        (T, max(T // 2, 1), f"logits of {max(T // 2, 1)} tokens, after a call with {T}"),
        (max(T // 2, 1), T, f"logits of {T} tokens, after a call with {max(T // 2, 1)}"),
    ):
        model = make()
        model(idx[:, :first])
        answer = observe(lambda model=model, then=then: logits_of(model, idx[:, :then]))  # type: ignore[misc]  # bound now
        cause = (
            "forward keeps something from the length of an earlier call, such as a mask that is "
            "made only once"
        )
        if isinstance(answer, SubjectError):
            expect(False, what=what, expected="no error", seen=answer.said, cause=cause)
        assert isinstance(answer, Tensor)  # noqa: S101  logits
        expect_close(
            answer,
            whole[:, :then],
            tolerance=rounding_of_sums(model, whole),
            what=what,
            cause=cause,
        )


@clause("causal.context", profiles=ONLY, level=CHOICE, needs=("causal.lengths",))
def context(subject: Subject, case: ContextCase) -> str:
    """A position may look at the tokens before it, or at its own alone as a bigram model does.

    Source: T is the current sequence length of the context during generation
    """
    model = wide(subject, case)
    idx = case.tensor()
    T = idx.shape[1]
    if T == 1 or case.C == 1:
        return ""
    whole = logits_of(model, idx)[:, -1]
    other = torch.cat([(idx[:, :-1] + 1) % case.C, idx[:, -1:]], dim=1)
    near = alike(logits_of(model, other)[:, -1], whole, within=rounding_of_sums(model, whole))
    return "its own token alone" if near else "the tokens before it"


@clause("causal.loss", (Part.LOSS,), ONLY, needs=("loss.scalar", "causal.prefix"))
def loss(subject: Subject, case: ContextLossCase) -> None:
    """The loss is the mean cross-entropy of the model's own logits: at position t, of targets[t].

    Formula: loss = -1/(B*T) sum over b, t of ln softmax(logits[b, t])[targets[b, t]].
    Tolerance: that of the logits, twice, and eps (C + B*T + 4) (2 m + ln C) for logits up to m.
    Source: This computes the loss between > the actual targets
    """
    model = wide(subject, case)
    idx, targets = case.tensor(), case.target_tensor()
    logits = logits_of(model, idx)
    seen, want = loss_of(model, idx, targets), _mean(logits, targets)
    m = float(logits.detach().abs().max())
    eps = torch.finfo(logits.dtype).eps
    near = 2 * rounding_of_sums(model, logits) + eps * (case.C + idx.numel() + 4) * (
        2 * m + float(np.log(case.C))
    )
    expect_close(seen, want, tolerance=near, what="loss", cause=lambda: _likely(subject))


def _mean(logits: Tensor, targets: Tensor) -> Tensor:
    """Take the mean cross-entropy, in float64.

    Shape: (B, T, C), (B, T) -> ().
    """
    return exactly(
        float(F.cross_entropy(logits.detach().cpu().double().flatten(0, 1), targets.flatten()))
    )


def _likely(subject: Subject) -> str:
    """Say which other number the loss is."""
    model = wide_model(subject, 5, 0)
    idx = tokens(((0, 1, 1, 4, 2), (2, 4, 3, 0, 1)))
    targets = tokens(((3, 2, 2, 0, 4), (0, 1, 3, 4, 2)))
    logits = logits_of(model, idx).detach()
    seen = float(loss_of(model, idx, targets))
    copied = "the model learns to copy what it is given"
    suspects: dict[str, Callable[[], Tensor]] = {
        "targets are shifted inside once more, as where labels are idx itself; they are one later "
        "already (--adapter transformers is for such models)": lambda: _mean(
            logits[:, :-1], targets[:, 1:]
        ),
        f"labels are not shifted: position t is scored against token t, and {copied}": lambda: (
            _mean(logits, idx)
        ),
        f"labels are shifted the wrong way: position t is scored against targets[t - 1], and "
        f"{copied}": lambda: _mean(logits[:, 1:], targets[:, :-1]),
        "the loss is a sum, and not a mean": lambda: _mean(logits, targets) * idx.numel(),
        "only the last position counts": lambda: _mean(logits[:, -1:], targets[:, -1:]),
        "the last position does not count": lambda: _mean(logits[:, :-1], targets[:, :-1]),
        "the first position does not count": lambda: _mean(logits[:, 1:], targets[:, 1:]),
    }
    for cause, number in suspects.items():
        if np.isclose(seen, float(number()), rtol=1e-4):
            return cause
    # Where labels go in as idx does, with one token more, and the model forgets to shift them.
    unshifted = torch.cat([idx, idx[:, -1:]], dim=1)
    if np.isclose(seen, float(_mean(logits_of(model, unshifted)[:, 1:], targets)), rtol=1e-4):
        return f"labels are not shifted: position t is scored against token t, and {copied}"
    return "the loss is not the mean cross-entropy of the model's own logits"


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
    model = wide(subject, case)
    idx = case.tensor()
    B, T = idx.shape
    for filling in dict.fromkeys((0, case.C - 1)):
        given = torch.full((B, T + 1), filling)
        mask = torch.zeros((B, T + 1), dtype=torch.int64)
        for b in range(B):
            n = T - b % T  # tokens of this row
            given[b, T + 1 - n :], mask[b, T + 1 - n :] = idx[b, :n], 1
        logits = model.padded(given, mask)
        for b in range(B):
            n = T - b % T
            alone = logits_of(model, idx[b : b + 1, :n])[0]
            expect_close(
                logits[b, T + 1 - n :],
                alone,
                tolerance=rounding_of_sums(model, alone),
                what=f"logits of row {b}: {n} tokens after {T + 1 - n} of padding, token {filling}",
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
    model = wide(subject, case)
    idx = case.tensor()
    greedy = Part.GREEDY in subject.parts
    if not (greedy or _share_a_stream(subject)):
        return  # each draws in a way of its own: causal.law and causal.chain judge it
    for prompt, what in ((idx, "tokens"), ((idx + 1) % case.C, "tokens of a second call")):
        apart = _apart(lambda: model, prompt, case.n, greedy=greedy)
        if apart is None:
            continue
        fast, plain = apart
        expect(
            False,
            what=f"{what} of the fast generate, against the plain one's",
            expected=str(plain.tolist()),
            seen=str(fast.tolist()),
            cause=partial(_uncached, subject, case, prompt, greedy=greedy),
        )


FEW, SEEDS, MOST = 2, 12, 6
"""Streams on which both are tried; where they differ on one; and on how many they may differ."""


def _share_a_stream(subject: Subject) -> bool:
    """Whether both draw the first new token of 64 rows alike, but for what rounding may do."""
    idx = torch.arange(64)[:, None] % 5
    fast, plain = _both(wide_model(subject, 5, 0), idx, 1, 0, greedy=False)
    return fast.shape == plain.shape and int((fast != plain).sum()) <= 1


def _apart(
    make: Callable[[], Model], idx: Tensor, n: int, *, greedy: bool
) -> tuple[Tensor, Tensor] | None:
    """Give what both say, where they differ more often than by rounding."""
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
    if fast.shape != plain.shape:
        return False
    if alike(fast, plain) or not greedy:
        return alike(fast, plain)
    for one, other in zip(fast, plain, strict=True):
        apart = (one != other).nonzero()
        if not len(apart):
            continue
        t = int(apart[0])
        scores = logits_of(model, one[None, :t])[0, -1]
        if abs(float(scores[one[t]] - scores[other[t]])) > rounding_of_sums(model, scores):
            return False
    return True


def _uncached(subject: Subject, case: CachedCase, idx: Tensor, *, greedy: bool) -> str:
    """Say what is wrong with a fast generate, tried on new models."""

    def agree(idx: Tensor, n: int) -> bool:
        return _apart(lambda: wide(subject, case), idx, n, greedy=greedy) is None

    if agree(idx, case.n):
        return "the fast generate keeps something from one call to the next: its cache is not empty"
    if len(idx) > 1 and all(agree(row[None], case.n) for row in idx):
        return "the rows of a batch share their cache: each by itself is continued as it should be"
    model = wide(subject, case)
    want = list(range(idx.shape[1] - 1, idx.shape[1] - 1 + case.n))
    looked_up = [
        places(model, partial(model.continued, idx.clone(), case.n, plain=plain, greedy=greedy))
        for plain in (True, False)
    ]
    wrong = [pair for pair in zip(want, looked_up[1], strict=False) if pair[0] != pair[1]]
    if looked_up[0] == want and wrong:
        return (
            f"positions under the cache are not those of the tokens: one at {wrong[0][0]} is "
            f"looked up as {wrong[0][1]}"
        )
    first = next(n for n in range(1, case.n + 1) if n == case.n or not agree(idx, n))
    return f"the fast generate leaves the plain one at new token {first - 1}"


def _in_parts(rows: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Take some rows at a time, and no gradients, which a large model too has memory for."""
    with torch.no_grad():
        return torch.cat([function(part) for part in rows.split(PART)])


def _law(model: Model, idx: Tensor) -> np.ndarray:
    """Give the law of the next token after each row, by the model's own logits.

    Shape: (B, T) -> (B, C).
    """
    return softmax(logits_of(model, idx)[:, -1].detach().double().numpy())


@clause("causal.law", GENERATE, ONLY, needs=("generate.cached", "generate.rows-independent"))
def law(subject: Subject, case: ContextLawCase) -> None:
    """The next token is drawn from the law that the model's own logits state of the whole prompt.

    Formula: P(next = j | idx) = softmax(m(idx).logits[:, -1])[j].
    Alarm: at most 1e-9 a run, by Agrawal's bound, shared among 27 prompts of three tokens.
    Power: a prompt of which only the last token is looked at, or a temperature of 0.8, is noticed.
    Source: F.softmax(logits, dim=1) > torch.multinomial(probs, num_samples=1) > (B, 1)
    """
    model = wide_model(subject, case.C, case.table)
    prompts = torch.cartesian_prod(*[torch.arange(case.C)] * 3)  # (C^3, 3)
    P = _law(model, prompts)
    idx = prompts.repeat_interleave(case.draws // len(prompts), dim=0)
    drawn = _in_parts(idx, lambda part: continued(model, part, 1))[:, -1].reshape(len(prompts), -1)
    counts = torch.stack([torch.bincount(row, minlength=case.C) for row in drawn]).numpy()
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    for prompt, observed, expected in zip(prompts.tolist(), counts, P, strict=True):
        expect_law(
            observed,
            expected,
            alarm=ALARM / len(prompts),
            what=f"tokens drawn after {prompt}",
            cause=lambda: _unlike(model, prompts, frequencies, P),
        )


def _unlike(model: Model, prompts: Tensor, frequencies: np.ndarray, P: np.ndarray) -> str:
    """Say what the tokens seem to be drawn from instead."""
    if (frequencies.max(axis=1) == 1).all():
        return "always the likeliest token: argmax, where the notes draw with multinomial"
    others = {
        "the last token alone, without those before it": _law(model, prompts[:, -1:]),
        "the logits of the first position, and not of the last": _law(model, prompts[:, :1]),
        "all tokens alike": np.full(P.shape, 1 / P.shape[1]),
        "a softmax of the softmax": softmax(P),
    }
    distance = np.abs(frequencies - P).mean()
    for what, law in others.items():
        if np.abs(frequencies - law).mean() < distance / 3:
            return f"the tokens are drawn from {what}"
    entropy = [-(p * np.log(np.maximum(p, 1e-12))).sum(axis=1).mean() for p in (frequencies, P)]
    if entropy[0] < entropy[1] - 0.03:
        return "likely tokens are drawn too often: a temperature below 1, or some are left out"
    if entropy[0] > entropy[1] + 0.03:
        return "likely tokens are drawn too seldom: a temperature above 1"
    return "the tokens are drawn from another law than the model's own logits state"


@clause("causal.chain", GENERATE, ONLY, needs=("causal.law",))
def chain(subject: Subject, case: ChainLawCase) -> None:
    """Every new token is drawn from the law of all before it, the new ones among them.

    Formula: P(out[:, t] = j) = softmax(m(out[:, :t]).logits[:, -1])[j], at every t >= T.
    Alarm: at most 1e-9 a run, by Agrawal's bound: of each of two cases half for its steps and half
    for pairs of them.
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
    order = np.argsort(-P, axis=-1, kind="stable")
    places = np.argsort(order, axis=-1)
    above = np.cumsum(np.take_along_axis(P, order, axis=-1), axis=-1)
    new = out[:, case.T :].numpy()[..., None]
    rank = np.take_along_axis(places, new, axis=-1)
    share = _shares(
        np.take_along_axis(above, rank, axis=-1), np.take_along_axis(P, new, axis=-1)
    )  # (B, n, BINS)
    for step in range(n):
        expect_law(
            share[:, step].sum(axis=0),
            np.full(BINS, 1 / BINS),
            alarm=ALARM / 4 / n,
            what=f"new token {step}, sorted by how likely it was, in eight parts",
            cause=f"new token {step} is not drawn from the law of all tokens before it"
            + (": a cache that is not what the tokens so far would give" if step else ""),
        )
    half = share[..., ::2] + share[..., 1::2]  # in four parts
    last = n // 2 * 2  # of pairs that have no token in common
    pairs = np.einsum("bti,btj->ij", half[:, 0:last:2], half[:, 1:last:2])
    expect_law(
        pairs.ravel(),
        np.full((BINS // 2) ** 2, (2 / BINS) ** 2),
        alarm=ALARM / 4,
        what="each two new tokens in a row, sorted likewise, in four parts",
        cause="tokens of one call depend on each other beyond the chain: a draw is used twice",
    )


def _shares(end: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return how much of each draw's interval of probability lies in each of BINS equal parts.

    If the draws are right, each part gets 1 / BINS on average. A die that picks a point of the
    interval would do for the bound only on average over dice. This is its mean, and the bound holds
    for the mean whatever the draws are, since the divergence is convex.

    Shape: (B, n, 1), (B, n, 1) -> (B, n, BINS), summing to 1 for each draw.
    """
    edges = np.linspace(0, 1, BINS + 1)
    edges[0], edges[-1] = -np.inf, np.inf  # for ends that rounding moved
    shares: np.ndarray = np.diff(np.clip((edges - end + length) / np.maximum(length, 1e-12), 0, 1))
    return shares
