"""What the checks of several concepts ask a model for, and make sure of before they look closer.

A clause about the shape, the type or the number of what comes back tells of these on calls of its
own. But a model may answer one call in a thousand otherwise, and no check may stumble over that.
"""

from torch import Tensor

from reference.spec.expect import Broken, kind_of
from reference.spec.subject import Model

UNLIKE = "another call gave what it should: what comes back depends on the call"


def logits_of(model: Model, idx: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return the logits of idx.

    Shape: (B, T) -> (B, T, C), or, with targets, whatever came back.
    Raises: Broken if they are of another shape.
    """
    logits = model(idx, targets).logits
    shape = (*idx.shape, model.C)
    if targets is None and tuple(logits.shape) != shape:
        raise Broken(
            expected=f"logits of idx {tuple(idx.shape)}: shape {shape}",
            seen=f"shape {tuple(logits.shape)}",
            cause=UNLIKE,
        )
    return logits


def loss_of(model: Model, idx: Tensor, targets: Tensor) -> Tensor:
    """Return the loss, one floating-point number.

    Raises: Broken if it is none.
    """
    loss = model(idx, targets).loss
    if loss is None or loss.shape != () or not loss.is_floating_point():
        seen = "no loss" if loss is None else f"{kind_of(loss)}, {loss.dtype}"
        raise Broken(
            expected="the loss of m(idx, targets): a tensor of shape (), floating-point",
            seen=seen,
            cause=UNLIKE,
        )
    return loss


def pair_of(model: Model, idx: Tensor, targets: Tensor | None = None) -> tuple[object, object]:
    """Return what the call returns, which must be two things.

    Raises: Broken if they are not two.
    """
    answer = model.answer(idx, targets)
    if not isinstance(answer, tuple) or len(answer) != 2:  # noqa: PLR2004  logits and loss
        raise Broken(
            expected="what forward returns: a pair (logits, loss)",
            seen=kind_of(answer),
            cause=UNLIKE,
        )
    first, second = answer
    return first, second


def alike(a: Tensor, b: Tensor, *, within: float = 0.0) -> bool:
    """Tell whether two tensors have one shape, and no numbers that are further apart than that.

    They may be of any types, which torch.equal and torch.allclose do not take together.
    """
    return a.shape == b.shape and bool(((a.double() - b.double()).abs() <= within).all())
