"""A model's weights, written anew: wide enough that each of its inputs makes a difference."""

import torch
from torch import Tensor, nn

SIDES = 2
"""Dimensions that a weight has at least."""


def write_weights(module: nn.Module, seed: int, width: float) -> None:
    """Write numbers into a module's weights, so that sums over their inputs have this width.

    What is not trained, as a mask that is kept as a parameter, what has one dimension, as a bias,
    and what holds only one number or whole ones, is left as it is. Half types become float32, in
    which a difference shows.
    """
    if any(value.dtype in {torch.float16, torch.bfloat16} for value in module.parameters()):
        module.float()
    numbers = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    for part in module.modules():
        for value in part.parameters(recurse=False):
            if id(value) not in done and _is_weight(part, value):
                drawn = torch.randn(value.shape, generator=numbers) * width
                value.data.copy_(drawn / _inputs(part, value) ** 0.5)
            done.add(id(value))


def _is_weight(part: nn.Module, value: Tensor) -> bool:
    if isinstance(value, nn.UninitializedParameter) or not value.requires_grad:
        return False
    if value.ndim < SIDES or not value.is_floating_point():
        return False
    if type(part).__module__.startswith(("torch.nn.", "transformers.")):
        return True
    # A parameter by itself can be anything: a decay, a mask.
    found = value.detach()
    return min(value.shape) > 1 and not torch.equal(found, found.round())


def _inputs(part: nn.Module, value: Tensor) -> int:
    """Return how many numbers are added up for each that comes out."""
    if isinstance(part, nn.Embedding):
        return value.shape[1]  # so that a vector has this width, whatever its length
    if type(part).__name__ == "Conv1D" or not type(part).__module__.startswith("torch.nn."):
        return value.shape[0]  # (in, out), as x @ W has it
    return value[0].numel()  # (out, in, ...)
