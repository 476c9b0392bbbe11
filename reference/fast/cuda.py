"""Sampling and training on a CUDA device, each as one launch instead of one per token or step.

The rows of a batch do not depend on each other, nor do the rows of the table once the batches are
drawn. So a lane keeps its sequence, and a program its row of the table, from the first token or
step to the last, and nothing has to wait for the whole device in between.

Triton comes with torch where torch has CUDA on Linux. Arguments are not checked here: a token or
an offset out of range, or a tensor that is not contiguous, reads or writes what is not its own.
"""

import math
from types import ModuleType

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from reference.errors import MissingExtraError
from reference.fast.adamw import BETA_1, BETA_2, EPSILON, WEIGHT_DECAY
from reference.shapes import StoredStream

ROWS = 32
"""Sequences per program: one warp, as its lanes then swap tokens without waiting for others."""

PAIRS = 2**22
"""Pairs of a token and its target, or cells of the losses, per launch: this bounds the memory."""


def sample(
    entries: Int64[Tensor, "CC"],
    starts: Int64[Tensor, "B"],
    gammas: Int64[Tensor, "B"],
    out: Int64[Tensor, "B L"],
    *,
    prompt: int,
) -> None:
    """Continue every row of `out` after its first `prompt` tokens, up to its end, in place.

    Row b's tokens depend on its last prompt token, starts[b] and gammas[b], and on no other row.
    All arithmetic is on unsigned 64-bit integers, which wrap; starts and gammas hold their bits.
    Token t takes the high half of mix64(start + (t // 2 + 1) * gamma) if t is even, else the low.

    Shape: entries (C*C,), starts (B,), gammas (B,), out (B, L), int64, all contiguous.
    Raises: MissingExtraError where Triton cannot be imported.
    """
    launch = kernels()
    B, length = out.shape
    with torch.cuda.device_of(out):
        launch.sample_kernel[(-(-B // ROWS),)](
            entries,
            starts,
            gammas,
            out,
            B,
            length - prompt,
            prompt,
            length,
            C=math.isqrt(len(entries)),
            ROWS=ROWS,
            num_warps=1,
        )


def train_steps(  # noqa: PLR0913  a state, its data and three numbers
    table: Float32[Tensor, "C C"],
    mean: Float32[Tensor, "C C"],
    square: Float32[Tensor, "C C"],
    data: StoredStream,
    offsets: Int64[Tensor, "K B"],
    *,
    block_size: int,
    first: int,
    learning_rate: float,
) -> Float32[Tensor, "K"]:
    """Take K steps of the notes' loop after the `first` that were taken, and give their losses.

    Step k's batch begins at offsets[k]. The table is updated in place, and so are `mean` and
    `square`, AdamW's exp_avg and exp_avg_sq.

    Shape: table, mean, square (C, C), contiguous; offsets (K, B) -> losses (K,), in nats.
    Raises: MissingExtraError where Triton cannot be imported.
    """
    launch = kernels()
    C, B = len(table), offsets.shape[1]
    width = max(32, 1 << (C - 1).bit_length())
    losses = []
    for block in offsets.split(max(1, PAIRS // max(C, B * block_size))):
        steps = len(block)
        targets, bounds = _targets_by_token(data, block, C=C, T=block_size)
        number = torch.arange(first + 1, first + steps + 1, dtype=torch.float64, device=data.device)
        first += steps
        parts = torch.empty(C, steps, dtype=torch.float32, device=data.device)
        with torch.cuda.device_of(table):
            launch.train_kernel[(C,)](
                table,
                mean,
                square,
                targets,
                bounds,
                (learning_rate / (1 - BETA_1**number)).float(),
                (1 - BETA_2**number).sqrt().float(),
                parts,
                steps,
                1 / (B * block_size),
                1.0 - learning_rate * WEIGHT_DECAY,
                C,
                BETA1=BETA_1,
                BETA2=BETA_2,
                EPS=EPSILON,
                WIDTH=width,
                num_warps=min(8, max(1, width // 256)),
            )
        losses.append(parts.sum(dim=0) / (B * block_size))  # (steps,)
    return torch.cat(losses)


def _targets_by_token(data: Tensor, offsets: Tensor, *, C: int, T: int) -> tuple[Tensor, Tensor]:
    """Sort the batches' targets by the token that they follow, then by step.

    Shape: offsets (K, B) -> targets (K*B*T,); bounds (C*K + 1,), int32: what follows token i in
        step k is targets[bounds[i*K + k] : bounds[i*K + k + 1]].
    """
    K = len(offsets)
    places = offsets[:, :, None] + torch.arange(T, device=data.device)  # (K, B, T)
    steps = torch.arange(K, device=data.device)[:, None, None]  # (K, 1, 1)
    groups = data[places].long() * K + steps  # (K, B, T)
    keys = (groups * C + data[places + 1].long()).flatten().sort().values
    bounds = torch.searchsorted(keys, torch.arange(C * K + 1, device=data.device) * C)
    return (keys % C).int(), bounds.int()


def kernels() -> ModuleType:
    """Give the compiled part.

    Raises: MissingExtraError where Triton cannot be imported.
    """
    try:
        from reference.fast import triton_kernels  # noqa: PLC0415  Triton is optional
    except ImportError as error:
        raise MissingExtraError(
            "the fast engine needs Triton on a CUDA device: pip install triton, or a build of "
            "torch for CUDA, which brings it on Linux; the reference itself does without"
        ) from error
    return triton_kernels
