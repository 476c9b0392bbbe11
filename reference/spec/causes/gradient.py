"""Why the gradient of the table may be wrong, that of the loss or that of the lookup alone."""

import torch
from torch import Tensor


def amiss(seen: Tensor, want: Tensor) -> str:
    """Say what a gradient of the table has to do with the right one.

    Shape: (C, C), (C, C).
    """
    seen, want = seen.double(), want.double()
    times = float((seen * want).sum() / (want * want).sum())
    greatest = seen.abs().max()

    def like(other: Tensor) -> bool:
        return torch.allclose(seen, other, rtol=1e-4, atol=1e-6)

    same = (seen == want).all(dim=1)
    none = [int(row) for row in (~seen.any(dim=1) & want.any(dim=1)).nonzero()]
    sums, of = want.sum(dim=1).abs().max() < 1e-6, seen.sum(dim=1).abs().max()  # noqa: PLR2004
    likely = {
        "the gradient is wrong for some sizes of the batch or the vocabulary only": torch.equal(
            seen, want
        ),
        "no gradient gets from backward to the table: detached, under no_grad, or frozen": (
            not seen.any()
        ),
        "tokens that the batch does not use get a gradient too": (seen[~want.any(dim=1)]).any(),
        "the gradient is nearly the right one: rounded, or with a penalty or noise": like(want),
        f"the gradient is {times:.4g} times what it should be": like(times * want),
        f"the gradient is clipped to between -{greatest:.4g} and {greatest:.4g}": like(
            want.clamp(-greatest, greatest)
        ),
        f"tokens {none} get no gradient, as with padding_idx": bool(none)
        and bool(same.sum() + len(none) == len(same)),
        "the gradient is nearly the right one: smoothed, rounded, or with noise": torch.allclose(
            seen, want, rtol=0.02, atol=0.002
        ),
        "the scores of a token are pushed up or down together: clipped one by one, or part of the "
        "loss, as the softmax's normaliser, is detached": bool(sums) and bool(of > 1e-3),  # noqa: PLR2004
    }
    other = "the gradient is another: positions left out, scores clipped, or tokens weighed by how"
    return next((cause for cause, so in likely.items() if so), f"{other} often they occur")
