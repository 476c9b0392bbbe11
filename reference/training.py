"""The notes' training loop: draw a batch, measure the loss, step against its gradient.

Source: notes, MAIN > TRAINING > loop.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from reference.checks import check_count, check_finite, check_positive, diverged
from reference.corpus import Corpus
from reference.model import BigramLanguageModel

MAX_LEARNING_RATE = 1e6
"""A step moves a logit by about the learning rate, and by this much it soon overflows float32."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; the defaults are the notes' values.

    Units: batch_size in sequences, block_size in tokens, learning_rate per step.
    Raises: NotAnIntegerError, NotANumberError, OutOfRangeError, which name the field and its range.
    Source: notes, MAIN > TRAINING > optimizer > batch_size > steps.
    """

    steps: int = 100_000
    batch_size: int = 32
    block_size: int = 8
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        check_count("steps", self.steps, minimum=0)
        check_count("batch_size", self.batch_size, minimum=1)
        check_count("block_size", self.block_size, minimum=1)
        check_positive("learning_rate", self.learning_rate, maximum=MAX_LEARNING_RATE)


class TrainStep(NamedTuple):
    """One step that has been taken.

    Units: step counts from 1; loss is that of the step's batch, before its update, in nats.
    """

    step: int
    loss: float


def train(  # noqa: PLR0913  the notes' loop, and what it may go on from
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig = TrainConfig(),
    *,
    generator: torch.Generator | None = None,
    optimizer: torch.optim.AdamW | None = None,
    taken: int = 0,
) -> Iterator[TrainStep]:
    """Train the model in place, and hand back each step as it is taken.

    It trains as far as it is iterated: `for step, loss in train(model, corpus): ...`. Leaving the
    loop early leaves the model as trained so far. The optimizer is AdamW with torch's defaults,
    as in the notes, so with a weight decay of 0.01, which keeps the table a little short of the
    counting optimum. Hand in one of your own, with the steps that it has taken, to go on with it.

    Shape: batches (B, T) with B = batch_size and T = block_size, from the train split.
    Raises: NonFiniteLossError at the first loss that is NaN or infinite, before the model is
        changed by it, and where the last step left the table so; what `Corpus.get_batch` raises.
    Source: notes, loop > get_batch > zero_grad > backward > step.
    """
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    for step in range(taken + 1, config.steps + 1):
        xb, yb = corpus.get_batch(
            "train", config.block_size, config.batch_size, generator=generator
        )  # (B, T), (B, T)
        _logits, loss = model(xb, yb)
        value = loss.item()
        if not math.isfinite(value):
            raise diverged(
                f"loss is {value} at step {step} of {config.steps}", config.learning_rate
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield TrainStep(step, value)
    check_finite(model.token_embedding_table.weight, config.steps, config.learning_rate)


@torch.no_grad()
def estimate_loss(
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig = TrainConfig(),
    *,
    batches: int = 200,
    generator: torch.Generator | None = None,
) -> dict[str, float]:
    """Estimate the mean loss on each split, from a number of random batches.

    Shape: batches (B, T) -> {"train": loss, "val": loss}, in nats per token.
    Raises: NotAnIntegerError, OutOfRangeError where `batches` is no integer or is below 1; what
        `Corpus.get_batch` raises.
    Source: notes, evaluate the loss.
    """
    check_count("batches", batches, minimum=1)
    mean = {}
    for split in ("train", "val"):
        total = 0.0
        for _ in range(batches):
            xb, yb = corpus.get_batch(
                split, config.block_size, config.batch_size, generator=generator
            )
            _logits, loss = model(xb, yb)
            total += loss.item()
        mean[split] = total / batches
    return mean
