"""get_batch: the notes' slices, the reference's, and the engine's gather."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks import notes_code
from benchmarks.timing import Timer, Work, spelled
from reference import Corpus, fast, get_batch

SIZES = [(4, 8), (32, 8), (256, 64), (512, 256)]

Draw = Callable[[Tensor, int, int], tuple[Tensor, Tensor]]
DRAWS: dict[str, Draw] = {
    "notes": notes_code.get_batch,
    "reference": get_batch,
    "engine": fast.get_batch,
}


@pytest.mark.parametrize("variant", DRAWS)
@pytest.mark.parametrize("size", SIZES, ids=spelled)
def test_get_batch(
    variant: str, size: tuple[int, int], corpus: Corpus, device: torch.device, timed: Timer
) -> None:
    B, T = size
    data, draw = corpus.train.to(device), DRAWS[variant]
    torch.manual_seed(1)
    x, y = draw(data, T, B)
    torch.manual_seed(1)
    expected_x, expected_y = notes_code.get_batch(data, T, B)
    assert torch.equal(x, expected_x)
    assert torch.equal(y, expected_y)

    work = Work(
        operation="get_batch",
        variant=variant,
        size={"B": B, "T": T},
        tokens=B * T,
        moved=8 * B + 4 * 8 * B * T,  # offsets read; x and y read and written
    )
    beside: dict[str, Callable[[], object]] = {"notes": lambda: notes_code.get_batch(data, T, B)}
    timed(lambda: draw(data, T, B), work, beside=beside if variant != "notes" else None)
