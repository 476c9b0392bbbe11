"""Mistakes that show at some sizes only, and the clause that each must fail."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reference.conformance import check
from reference.data import get_batch
from tests.conformance.right_model import Right

# The kit seeds it, for subjects that draw with it.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

Batch = tuple[Tensor, Tensor]


def seeds_for_one_row(data: Tensor, block_size: int, batch_size: int) -> Batch:
    if batch_size == 1:
        torch.manual_seed(1337)
    return get_batch(data, block_size, batch_size)


def seeds_for_long_windows(data: Tensor, block_size: int, batch_size: int) -> Batch:
    if block_size > 64:
        torch.manual_seed(1337)
    return get_batch(data, block_size, batch_size)


def turns_long_windows(data: Tensor, block_size: int, batch_size: int) -> Batch:
    x, y = get_batch(data, block_size, batch_size)
    return (x.flip(1), y) if block_size > 64 else (x, y)


def drops_small_probabilities(logits: Tensor) -> Tensor:
    probs = logits.softmax(dim=1)
    return probs.where(probs > 1e-3, torch.zeros(()))


def keeps_targets_by_shape(model: nn.Module) -> Callable[[Tensor, Tensor], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    kept: dict[torch.Size, Tensor] = {}

    def step(xb: Tensor, yb: Tensor) -> None:
        _logits, loss = model(xb, kept.setdefault(yb.shape, yb.clone()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


@pytest.mark.parametrize(
    ("clause", "part"),
    [
        ("batch.advances", {"get_batch": seeds_for_one_row}),
        ("batch.advances", {"get_batch": seeds_for_long_windows}),
        ("batch.window", {"get_batch": turns_long_windows}),
        ("softmax.sum", {"softmax": drops_small_probabilities}),
        ("training.zero-grad", {"train_step": keeps_targets_by_shape}),
    ],
)
def test_a_mistake_at_some_sizes_only_is_noticed(clause: str, part: dict[str, Any]) -> None:
    report = check(Right, clauses=[clause], examples=1, **part)
    assert [result.id for result in report.broken()] == [clause]
