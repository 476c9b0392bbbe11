"""Several processes that train one model together: what each does, and how they agree.

    torchrun --nproc-per-node 4 -m reference train ...

starts them, and tells each its rank, from 0 on. Every rank draws the same offsets from the same
seed, so that how many there are changes who does what, and not what is done.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed as dist

from reference.corpus import Corpus
from reference.errors import (
    BigramError,
    DeviceError,
    LostRankError,
    MismatchError,
    NonFiniteLossError,
    OutOfRangeError,
)
from reference.model import BigramLanguageModel
from reference.training import TrainConfig, TrainStep

Result = TypeVar("Result")

_CPU = torch.device("cpu")


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

    def greatest(self, number: int) -> int:
        """Give the greatest of the ranks' numbers.

        Raises: LostRankError.
        """
        if self.size == 1:
            return number
        told = torch.tensor([number], device=self.device)
        with _reached():
            dist.all_reduce(told, dist.ReduceOp.MAX)
        return int(told.item())

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
        refused = self.greatest(1 if failed else 0)
        if failed:
            raise failed
        if refused:
            raise LostRankError("rank 0 could not go on, and says why")
        with _reached():
            dist.broadcast_object_list(told, device=self.device)
        return told[0]  # type: ignore[return-value]  # the empty text is not what was sent

    def check_same(self, what: str, value: str) -> None:
        """Refuse to go on where the ranks differ, on every one of them.

        Raises: MismatchError, which names the ranks that differ from rank 0; LostRankError.
        """
        if self.size == 1:
            return
        values = [""] * self.size
        with _reached():
            dist.all_gather_object(values, value)
        others = [rank for rank, theirs in enumerate(values) if theirs != values[0]]
        if others:
            raise MismatchError(
                f"{what} of rank {', '.join(map(str, others))} is not that of rank 0: "
                f"{values[others[0]]}, and not {values[0]}. Every rank must be given the same"
            )


ALONE = Ranks()
"""One process, and nobody to agree with."""


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Meet the other ranks, where torchrun has started this process, and leave them at the end.

    Over gloo on CPUs, over NCCL on GPUs, of which each rank of a machine takes its own.

    Raises: LostRankError where they cannot be met; DeviceError where there are too few GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    rank = int(os.environ["RANK"])
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_machine = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise DeviceError(
                f"rank {rank} is number {local} on its machine, which has "
                f"{torch.cuda.device_count()} GPUs; --nproc-per-node must be at most that"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    with _reached():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(rank=rank, size=size, device=device, local=(local, on_machine))
    finally:
        dist.destroy_process_group()


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's own kinds are among them
        reason = str(error).splitlines()[0].rpartition("] ")[2].partition(". ")[0]
        raise LostRankError(
            f"another rank has ended, or cannot be reached: {reason:.200}. It says why if it "
            "could; run again with --resume to go on from the last checkpoint"
        ) from error


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
    if ranks.size > B:
        raise OutOfRangeError(
            f"batch_size is {B}, for {ranks.size} ranks; it must be {ranks.size} or more"
        )
    advice = f"train a new model with a learning_rate below {config.learning_rate}"
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
            raise NonFiniteLossError(f"loss is {value} at step {step} of {config.steps}; {advice}")
        weight.grad.copy_(both[:-1].view_as(weight))
        optimizer.step()
        yield TrainStep(step, value)
    if not weight.isfinite().all():  # the last step's doing
        raise NonFiniteLossError(f"the table is not finite after step {config.steps}; {advice}")
