"""Why a model that predicts each token from those before it may be wrong."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from reference.oracle.learning import softmax
from reference.spec.cases import tokens
from reference.spec.causes.attention import leak, places
from reference.spec.causes.sampling import changed
from reference.spec.measures import (
    alike,
    law_of,
    logits_of,
    loss_of,
    mean_cross_entropy,
    wide_model,
)
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Subject


def leaking(subject: Subject) -> str:
    """Say that the future leaks, and through which call if that can be seen."""
    through = leak(wide_model(subject, 5, 0))
    what = "the future leaks: the logits of a position depend on tokens that come after it"
    return f"{what} ({through})" if through else what


def another_loss(subject: Subject) -> str:
    """Say which other number the loss is."""
    model = wide_model(subject, 5, 0)
    idx = tokens(((0, 1, 1, 4, 2), (2, 4, 3, 0, 1)))
    targets = tokens(((3, 2, 2, 0, 4), (0, 1, 3, 4, 2)))
    logits = logits_of(model, idx).detach()
    seen = float(loss_of(model, idx, targets))
    for cause, number in _suspects(model, idx, targets, logits):
        if np.isclose(seen, float(number), rtol=1e-4):
            return cause
    return "the loss is not the mean cross-entropy of the model's own logits"


def _suspects(
    model: Model, idx: Tensor, targets: Tensor, logits: Tensor
) -> Iterator[tuple[str, Tensor]]:
    mean, copied = mean_cross_entropy, "the model learns to copy what it is given"
    twice = (
        "targets are shifted inside once more, as where labels are idx itself; they are one later "
        "already (--adapter transformers is for such models)"
    )
    yield twice, mean(logits[:, :-1], targets[:, 1:])
    unshifted = f"labels are not shifted: position t is scored against token t, and {copied}"
    yield unshifted, mean(logits, idx)
    back = "labels are shifted the wrong way: position t is scored against targets[t - 1]"
    yield f"{back}, and {copied}", mean(logits[:, 1:], targets[:, :-1])
    yield "the loss is a sum, and not a mean", mean(logits, targets) * idx.numel()
    yield "only the last position counts", mean(logits[:, -1:], targets[:, -1:])
    yield "the last position does not count", mean(logits[:, :-1], targets[:, :-1])
    yield "the first position does not count", mean(logits[:, 1:], targets[:, 1:])
    # Where labels go in as idx does, with one token more, and the model forgets to shift them.
    longer = torch.cat([idx, idx[:, -1:]], dim=1)
    yield unshifted, mean(logits_of(model, longer)[:, 1:], targets)


def uncached(
    make: Callable[[], Model],
    idx: Tensor,
    n: int,
    *,
    greedy: bool,
    agree: Callable[[Tensor, int], bool],
) -> str:
    """Say what is wrong with a fast generate.

    `make` makes a new model; `agree` compares the fast generate with the plain one on new models.
    """
    if agree(idx, n):
        return "the fast generate keeps something from one call to the next: its cache is not empty"
    if all(agree(row[None], n) for row in idx) and _mixes_rows(make, idx, n):
        return "the rows of a batch share their cache: each by itself is continued as it should be"
    want = list(range(idx.shape[1] - 1, idx.shape[1] - 1 + n))
    model = make()
    slow, fast = (
        places(model, partial(model.continued, idx.clone(), n, plain=plain, greedy=greedy))
        for plain in (True, False)
    )
    wrong = [(t, at) for t, at in zip(want, fast, strict=False) if t != at]
    if slow == want and wrong:
        return (
            f"positions under the cache are not those of the tokens: one at {wrong[0][0]} is "
            f"looked up as {wrong[0][1]}"
        )
    first = next(number for number in range(1, n + 1) if number == n or not agree(idx, number))
    return f"the fast generate leaves the plain one at new token {first - 1}"


SEEDS, SEVERAL = 12, 2
"""Seeds that are tried for rows which influence each other, and on how many that must show."""


def _mixes_rows(make: Callable[[], Model], idx: Tensor, n: int) -> bool:
    """Return whether other rows change how a row is continued, by the fast generate alone.

    Rounding, or scores that are a little off, make no row depend on the others.
    """
    changed = Counter[bool]()
    for seed, kept, plain in product(range(SEEDS), (0, len(idx) - 1), (False, True)):
        outs = []
        for by in (0, 1):
            model = make()
            others = (idx + by) % model.C
            others[kept] = idx[kept]
            seed_all(seed)
            outs.append(model.continued(others, n, plain=plain, greedy=False)[kept])
        changed[plain] += not alike(*outs)
    return changed[False] >= SEVERAL and not changed[True]


def another_law(model: Model, prompts: Tensor, counts: np.ndarray, P: np.ndarray) -> str:
    """Say what the tokens seem to be drawn from instead.

    Shape: counts, P (B, C), a row for each prompt.
    """
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    if (frequencies.max(axis=1) == 1).all():
        return "always the likeliest token: argmax, where the notes draw with multinomial"
    others = {
        "the last token alone, without those before it": law_of(model, prompts[:, -1:]),
        "the logits of the first position, and not of the last": law_of(model, prompts[:, :1]),
        "all tokens alike": np.full(P.shape, 1 / P.shape[1]),
        "a softmax of the softmax": softmax(P),
    }
    distance = np.abs(frequencies - P).mean()
    for what, law in others.items():
        if np.abs(frequencies - law).mean() < distance / 3:
            return f"the tokens are drawn from {what}"
    scores = logits_of(model, prompts)[:, -1].detach().double().numpy()
    return changed(counts, scores, prompts.numpy()) or (
        "the tokens are drawn from another law than the model's own logits state"
    )
