"""Several processes that train one model together: what each does, and how they agree.

    torchrun --nproc-per-node 4 -m reference train ...

starts them, and tells each its rank, from 0 on. Every rank draws the same offsets from the same
seed, so that how many there are changes who does what, and not what is done.
"""

import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed as dist

from reference.checks import check_finite, diverged
from reference.corpus import Corpus
from reference.errors import (
    BigramError,
    DeviceError,
    LostRankError,
    MismatchError,
    OutOfRangeError,
    RankVariableError,
    brief,
)
from reference.model import BigramLanguageModel
from reference.training import TrainConfig, TrainStep

Result = TypeVar("Result")

MOST_RANKS = 10**6
"""Largest number of ranks that WORLD_SIZE may give."""

_CPU = torch.device("cpu")

_TORCHRUN = "torchrun sets it; to train with one process, unset WORLD_SIZE"


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One process among those that train together; by itself, unless it is said.

    What is called on one rank has to be called on all, in the same order.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = _CPU
    """Where tensors have to be to be sent."""
    local: tuple[int, int] = (0, 1)
    """This rank's number among those of its machine, and how many these are."""

    @property
    def is_first(self) -> bool:
        """Tell whether this is the rank that writes and prints."""
        return self.rank == 0

    def share(self, whole: int) -> slice:
        """Give this rank's part of so many things: all parts together are all of them."""
        return slice(whole * self.rank // self.size, whole * (self.rank + 1) // self.size)

    def add_up(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Give the sum of the ranks' tensors; of integers it is exact.

        Shape: any, the same on every rank.
        Raises: LostRankError.
        """
        if self.size == 1:
            return tensor
        total = tensor.to(self.device, copy=True)
        with _reached():
            dist.all_reduce(total)
        return total.to(tensor.device)

    def exchange_rows(self, rows: Float[Tensor, "C W"]) -> None:
        """Fill in the others' rows, bit for bit: rank r's are r, r + size, r + 2 size, ...

        Shape: (C, W), in place.
        Raises: LostRankError.
        """
        if self.size == 1:
            return
        mine = rows[self.rank :: self.size]
        sent = rows.new_zeros(math.ceil(len(rows) / self.size), rows.shape[1])
        sent[: len(mine)] = mine
        came = [torch.empty_like(sent) for _ in range(self.size)]
        with _reached():
            dist.all_gather(came, sent)
        for rank, theirs in enumerate(came):
            place = rows[rank :: self.size]
            place.copy_(theirs[: len(place)])

    def greatest(self, *numbers: int) -> tuple[int, ...]:
        """Return for each number the greatest that a rank has.

        Raises: LostRankError.
        """
        if self.size == 1:
            return numbers
        told = torch.tensor(numbers, device=self.device)
        with _reached():
            dist.all_reduce(told, dist.ReduceOp.MAX)
        return tuple(told.tolist())

    def from_first(self, call: Callable[[], Result]) -> Result:
        """Give what the call gives on rank 0, where alone it is made.

        Raises: what the call raises, on rank 0; LostRankError on the others.
        """
        if self.size == 1:
            return call()
        told: list[Result | str] = [""]
        failed: BigramError | None = None
        if self.is_first:
            try:
                told = [call()]
            except BigramError as error:
                failed = error
        (refused,) = self.greatest(1 if failed else 0)
        if failed:
            raise failed
        if refused:
            raise LostRankError("rank 0 could not go on, and says why")
        with _reached():
            dist.broadcast_object_list(told, device=self.device)
        return told[0]  # type: ignore[return-value]  # the empty text is not what was sent

    def check_same(self, settings: Mapping[str, object]) -> None:
        """Raise on every rank unless all ranks have the same settings.

        Raises: MismatchError, which names each setting that differs, and its values; LostRankError.
        """
        if self.size == 1:
            return
        own = {name: str(value) for name, value in settings.items()}
        ranks = [own] * self.size
        with _reached():
            dist.all_gather_object(ranks, own)
        if different := differences(ranks):
            raise MismatchError(f"{'; '.join(different)}. Give every rank the same")


ALONE = Ranks()
"""One process, and nobody to agree with."""


AGREE, AGREE_SECONDS = 100, 1.0
"""Most steps, and about the most seconds, until ranks tell each other again whether to stop.

torchrun kills its ranks 30 seconds after it has told them to end.
"""


class Stopping:
    """When ranks tell each other whether one of them was asked to stop, so that all do at once."""

    def __init__(self, ranks: Ranks, taken: int) -> None:
        self.ranks, self.last, self.at = ranks, taken, time.perf_counter()
        self.next = taken + 1
        """The step after which they do so again."""

    def agreed(self, taken: int, asked: int) -> int:
        """Return what has asked a rank to stop; 0 if nothing has, or until ranks agree again."""
        if self.ranks.size == 1:
            return asked
        if taken < self.next:
            return 0
        seconds = (time.perf_counter() - self.at) / (taken - self.last)
        asked, slowest = self.ranks.greatest(asked, int(1e6 * seconds))
        self.last, self.at = taken, time.perf_counter()
        self.next = taken + max(1, min(AGREE, int(1e6 * AGREE_SECONDS) // (slowest + 1)))
        return asked


def differences(ranks: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a line for each setting in which a rank differs from rank 0, with the values."""
    lines = []
    for name, value in ranks[0].items():
        values = [theirs.get(name) for theirs in ranks]
        others = [f"{theirs} on rank {r}" for r, theirs in enumerate(values) if theirs != value]
        if others:
            lines.append(f"{name} is {value} on rank 0, and {', '.join(others)}")
    return lines


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Meet the other ranks if torchrun has started this process, and leave them at the end.

    Over gloo on CPUs, over NCCL on GPUs, of which each rank of a machine takes its own.

    Raises: RankVariableError if a variable that torchrun sets is missing or invalid; LostRankError
        if the others cannot be met; DeviceError if there are too few GPUs.
    """
    size = _number("WORLD_SIZE", 1, MOST_RANKS, default=1)
    if size == 1:
        yield ALONE
        return
    rank = _number("RANK", 0, size - 1)
    on_machine = _number("LOCAL_WORLD_SIZE", 1, size, default=1)
    local = _number("LOCAL_RANK", 0, on_machine - 1, default=0)
    _number("MASTER_PORT", 0, 2**16 - 1)
    if not os.environ.get("MASTER_ADDR"):
        raise RankVariableError(f"MASTER_ADDR is missing. {_TORCHRUN}")
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise DeviceError(
                f"rank {rank} is number {local} on its machine, which has "
                f"{torch.cuda.device_count()} GPUs; --nproc-per-node must be at most that"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # AdamW's first step imports this module, whose functions keep the group of that time as a
    # default. The group's threads would then run on, and could abort the process at its end.
    from torch.distributed.nn import functional  # noqa: F401, PLC0415  before there is a group

    with _reached():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=rank, size=size, device=device, local=(local, on_machine))
    finally:
        dist.destroy_process_group()


def _number(name: str, least: int, most: int, *, default: int | None = None) -> int:
    """Return the number in an environment variable.

    Raises: RankVariableError.
    """
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is None or not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        state = "missing" if text is None else brief(text)
        raise RankVariableError(f"{name} is {state}; it must be {least} to {most}. {_TORCHRUN}")
    return int(text)


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's own kinds are among them
        first = next(iter(str(error).splitlines()), "")
        reason = first.rpartition("] ")[2].partition(". ")[0]
        raise LostRankError(
            f"another rank has ended, or cannot be reached: {reason:.200}. It says why if it "
            "could. Start all ranks again; `bigram train` resumes from its last checkpoint with "
            "--resume"
        ) from error


def check_shares(batch_size: int, ranks: Ranks) -> None:
    """Raise unless each rank gets a sequence of the batch.

    Raises: OutOfRangeError.
    """
    if ranks.size > batch_size:
        raise OutOfRangeError(
            f"batch_size is {batch_size}, for {ranks.size} ranks; it must be {ranks.size} or more"
        )


def train(  # noqa: PLR0913  as the reference's
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    *,
    ranks: Ranks,
    generator: torch.Generator | None = None,
    optimizer: torch.optim.AdamW | None = None,
    taken: int = 0,
) -> Iterator[TrainStep]:
    """Take the reference's steps, each rank with its part of the batch's sequences.

    The gradients are added up before each step, so that every rank has the same table after it:
    that of one rank with the whole batch, but for the rounding of the sum.

    Shape: batches (B, T), of which each rank has about B / size rows.
    Raises: OutOfRangeError where there are more ranks than sequences; NonFiniteLossError as the
        reference's `train`, on every rank; LostRankError; what `Corpus.get_batch` raises.
    """
    B = config.batch_size
    check_shares(B, ranks)
    mine = ranks.share(B)
    weight = model.token_embedding_table.weight
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    for step in range(taken + 1, config.steps + 1):
        xb, yb = corpus.get_batch("train", config.block_size, B, generator=generator)  # (B, T)
        _logits, loss = model(xb[mine], yb[mine])
        part = loss * ((mine.stop - mine.start) / B)  # of the mean over the whole batch
        optimizer.zero_grad(set_to_none=True)
        part.backward()
        assert weight.grad is not None  # noqa: S101  backward has just made it
        both = ranks.add_up(torch.cat([weight.grad.flatten(), part.detach().view(1)]))
        value = both[-1].item()
        if not math.isfinite(value):
            raise diverged(
                f"loss is {value} at step {step} of {config.steps}", config.learning_rate
            )
        weight.grad.copy_(both[:-1].view_as(weight))
        optimizer.step()
        yield TrainStep(step, value)
    check_finite(weight, config.steps, config.learning_rate)
