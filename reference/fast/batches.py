"""The reference's batches, by a gather instead of a slice for each window."""

import torch

from reference.checks import check_count, check_layout
from reference.data import check_length
from reference.shapes import Ids, StoredStream


def get_batch(
    data: StoredStream,
    block_size: int,
    batch_size: int,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Ids, Ids]:
    """Draw windows of the data, and the same windows one token later.

    The same tokens as the reference's get_batch for the same generator, which is left in the same
    state.

    Shape: data (N,) -> x (B, T), y (B, T), int64, where B = batch_size and T = block_size.
    Raises: what `reference.data.get_batch` raises.
    Source: notes, TRAINING > Chain Funcs > get_batch > returns.
    """
    check_count("block_size", block_size, minimum=1)
    check_count("batch_size", batch_size, minimum=1)
    check_layout("data", data, shape="(N,)", stored=True)
    N = data.shape[0]
    check_length(N, block_size)
    last = N - block_size - 1
    ix = torch.randint(last, (batch_size,), generator=generator)
    if data.is_cuda:
        ix = ix.to(data.device)
    # Every window there is, without a copy: windows[i, t] is data[i + t].
    shape, (stride,), first = (last, block_size), data.stride(), data.storage_offset()
    x = data.as_strided(shape, (stride, stride)).index_select(0, ix)  # (B, T)
    later = data.as_strided(shape, (stride, stride), first + stride)  # windows[i, t + 1]
    y = later.index_select(0, ix)  # (B, T), one token later
    return x.long(), y.long()
