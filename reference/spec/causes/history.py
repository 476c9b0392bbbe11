"""What an earlier call may have left behind, so that a later one goes wrong."""

from collections.abc import Sequence

from torch import Tensor

from reference.spec.histories import READS
from reference.spec.measures import alike


def reading(deeds: Sequence[str]) -> str:
    """Return the last call that only reads the model, or "a call"."""
    return next((deed for deed in reversed(deeds) if deed.split()[0] in READS), "a call")


def moved(deeds: Sequence[str]) -> str:
    """Return why the table may differ from what was written or trained."""
    last = deeds[-1]
    if last == "step":
        return (
            "the optimizer trains a different tensor: a call has replaced the parameter that the "
            "optimizer was made for"
        )
    if last in {"deepcopy", "state_dict"}:
        return "a copy shares the numbers of its original, or does not get them"
    return f"{last} changes the table"


def stale(logits: Tensor, earlier: Sequence[Tensor]) -> str:
    """Return whether logits are those of an earlier table, of which the last is the present one."""
    if any(alike(logits, one) for one in earlier[:-1]):
        return "forward keeps the table, or its rows, from before it was written or trained"
    return "forward mixes something from an earlier call into its logits"


def stale_draws(last: Tensor, new: Tensor, possible: Sequence[Tensor]) -> str:
    """Return whether tokens can be drawn from an earlier table.

    Shape: last, new (B, n); possible, for each table so far, (C, C).
    """
    if any(can[last, new].all() for can in possible[:-1]):
        return (
            "generate keeps the probabilities, or a copy of the table, from before it was written "
            "or trained"
        )
    return "generate keeps something from an earlier call"


def summed(deeds: Sequence[str], gradient: Tensor) -> str:
    """Return why the gradient may not be the sum of those since it was cleared."""
    if not gradient.any():
        return f"{deeds[-1]} clears the gradient, which only zero_grad should"
    if deeds[-1].startswith("backward"):
        return (
            "backward does not add to the gradient that is there: forward or a hook has cleared "
            "it, or the gradient is that of an earlier table"
        )
    return f"{deeds[-1]} changes the gradient, which only backward and zero_grad should"
