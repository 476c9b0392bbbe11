"""Why the gradient of the table may be wrong: that of the loss, or that of the lookup alone."""

import torch
from torch import Tensor

from reference.spec.measures import PROBE, both_gradients, pulled
from reference.spec.subject import Subject

NO_SLOPE = (
    "the gradient is not that of this loss: its sign is turned, part of the loss is detached or "
    "computed from copies, or something is rounded or written over on the way"
)


def wrong_value(subject: Subject) -> str:
    """Return how the gradient of the loss differs from the right one."""
    seen, want, _allowed = both_gradients(subject, PROBE)
    return _wrong(seen, want)


def wrong_lookup(subject: Subject) -> str:
    """Return how the gradient of the logits by the table differs from the right one."""
    seen, want = pulled(subject.model(PROBE.C), PROBE.tensor())
    return _wrong(seen.double(), want.double())


def _wrong(seen: Tensor, want: Tensor) -> str:
    times = float((seen * want).sum() / (want * want).sum())
    greatest, left = seen.abs().max(), seen.any()

    def like(other: Tensor) -> bool:
        return torch.allclose(seen, other, rtol=1e-4, atol=1e-6)

    same = (seen == want).all(dim=1)
    none = [int(row) for row in (~seen.any(dim=1) & want.any(dim=1)).nonzero()]
    # Each row of the gradient of the loss sums to 0. That of the lookup alone need not.
    wanted_sums, sums = want.sum(dim=1), seen.sum(dim=1)
    nothing = torch.zeros_like(sums)
    drifts = torch.allclose(wanted_sums, nothing, atol=1e-6) and not torch.allclose(
        sums, nothing, atol=1e-3
    )
    likely = {
        "the gradient is wrong for some sizes of the batch or the vocabulary only": same.all(),
        "no gradient gets from backward to the table: detached, under no_grad, or frozen": not left,
        "tokens that the batch does not use get a gradient too": (seen[~want.any(dim=1)]).any(),
        "the gradient is nearly the right one: rounded, or with a penalty or noise": like(want),
        f"the gradient is {times:.4g} times what it should be": like(times * want),
        f"the gradient is clipped to between -{greatest:.4g} and {greatest:.4g}": like(
            want.clamp(-greatest, greatest)
        ),
        f"tokens {none} get no gradient, as with padding_idx": none
        and same.sum() + len(none) == len(same),
        "the gradient is nearly the right one: smoothed, rounded, or with noise": torch.allclose(
            seen, want, rtol=0.02, atol=0.002
        ),
        "the scores of a token are pushed up or down together: clipped one by one, or part of the "
        "loss, as the softmax's normaliser, is detached": drifts,
    }
    other = "the gradient is another: positions left out, scores clipped, or tokens weighed by how"
    return next((cause for cause, so in likely.items() if so), f"{other} often they occur")
