"""The reference as a subject: what `bigram check` judges when it is given nothing else."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from reference.conformance.subjects import TorchSubject
from reference.corpus import Corpus
from reference.data import get_batch
from reference.model import BigramLanguageModel
from reference.training import TrainConfig, train
from reference.vocabulary import Vocabulary


def split_batch(
    train_data: Tensor, val_data: Tensor, split: str, block_size: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Draw from a corpus with these splits."""
    corpus = Corpus(name="check", vocabulary=Vocabulary("a"), train=train_data, val=val_data)
    return corpus.get_batch(split, block_size, batch_size)


class Queue(Corpus):
    """A corpus whose next batch is the one that was put there, to train on given batches."""

    batch: list[tuple[Tensor, Tensor]] = []  # noqa: RUF012  one each, set by train_step

    def get_batch(
        self,
        split: str,
        block_size: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Give the batch."""
        del split, block_size, batch_size, generator
        return self.batch.pop()


def train_step(model: BigramLanguageModel) -> Callable[[Tensor, Tensor], object]:
    """Run the reference's own loop, one batch at a time."""
    nothing = torch.zeros(2, dtype=torch.int64)
    corpus = Queue(name="check", vocabulary=Vocabulary("a"), train=nothing, val=nothing)
    batch: list[tuple[Tensor, Tensor]] = []
    object.__setattr__(corpus, "batch", batch)
    steps = train(model, corpus, TrainConfig())

    def step(xb: Tensor, yb: Tensor) -> object:
        batch.append((xb, yb))
        return next(steps)

    return step


def reference_subject() -> TorchSubject:
    """Give the reference, with every part."""
    return TorchSubject(
        factory=BigramLanguageModel,
        batch=get_batch,
        split_batch=split_batch,
        words=Vocabulary.from_text,
        probabilities=lambda logits: F.softmax(logits, dim=1),  # the notes' line
        train_step=train_step,
    )
