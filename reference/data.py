"""Batches: windows of a text, and the same windows one token later.

Source: notes, TRAINING > Chain Funcs > get_batch.
"""

import torch

from reference.checks import check_count, check_layout
from reference.errors import TooShortError
from reference.shapes import Ids, StoredStream


def get_batch(
    data: StoredStream,
    block_size: int,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Ids, Ids]:
    """Draw windows of the data, and the same windows one token later.

    The offsets come from `generator`, a CPU one, or from torch's global stream as in the notes.
    The notes' bound is kept: offsets run from 0 to N - block_size - 2, so that the last window
    which would fit, at N - block_size - 1, is never drawn.

    Shape: data (N,) -> x (B, T), y (B, T), int64, where B = batch_size and T = block_size.
    Raises: NotAnIntegerError, OutOfRangeError where a size is no integer or is below 1;
        TooShortError where N < block_size + 2: no offset is left to draw;
        NotATensorError, DtypeError, RankError, EmptyError where data is not (N,), of int64 or
        of a type that token files have.
    Source: notes, TRAINING > Chain Funcs > get_batch > returns.
    """
    check_count("block_size", block_size, minimum=1)
    check_count("batch_size", batch_size, minimum=1)
    check_layout("data", data, shape="(N,)", stored=True)
    check_length(len(data), block_size)
    # A list of plain integers: slicing by 0-d tensors takes four times as long.
    ix = torch.randint(len(data) - block_size - 1, (batch_size,), generator=generator).tolist()
    x = torch.stack([data[i : i + block_size] for i in ix])  # (B, T)
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])  # (B, T), one token later
    return x.long(), y.long()


def check_length(length: int, block_size: int) -> None:
    """Refuse data from which no window can be drawn.

    Shape: data (N,) with N = length, windows (T,) with T = block_size.
    Raises: TooShortError where N < T + 2: the notes' bound leaves no offset to draw.
    Source: notes, TRAINING > Chain Funcs > get_batch > torch.randint.
    """
    if length < block_size + 2:
        raise TooShortError(
            f"the data holds {length} tokens, and block_size {block_size} needs at least "
            f"{block_size + 2}; use a longer text or a smaller block_size"
        )
