"""Our own code as subjects: the reference, and the engine, which is judged like anyone's."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from reference import fast
from reference.conformance.subjects.torch_models import TorchSubject
from reference.corpus import Corpus
from reference.data import get_batch
from reference.fast.training import Stepper
from reference.model import BigramLanguageModel
from reference.spec.subject import Part
from reference.training import TrainConfig, train
from reference.vocabulary import Vocabulary


def split_batch(
    train_data: Tensor, val_data: Tensor, split: str, block_size: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Draw from a corpus with these splits."""
    corpus = Corpus(name="check", vocabulary=Vocabulary("a"), train=train_data, val=val_data)
    return corpus.get_batch(split, block_size, batch_size)


def train_step(model: BigramLanguageModel) -> Callable[[Tensor, Tensor], object]:
    """Run the reference's own loop, one batch at a time."""
    batches: list[tuple[Tensor, Tensor]] = []

    class Queue(Corpus):
        def get_batch(self, *_given: object, **_named: object) -> tuple[Tensor, Tensor]:
            return batches.pop()

    nothing = torch.zeros(2, dtype=torch.int64)
    corpus = Queue(name="check", vocabulary=Vocabulary("a"), train=nothing, val=nothing)
    steps = train(model, corpus, TrainConfig())

    def step(xb: Tensor, yb: Tensor) -> object:
        batches.append((xb, yb))
        return next(steps)

    return step


def reference_subject() -> TorchSubject:
    """Return the reference, with every part."""
    return TorchSubject(
        factory=BigramLanguageModel,
        given={
            Part.GET_BATCH: get_batch,
            Part.SPLIT: split_batch,
            "vocabulary": Vocabulary.from_text,
            "softmax": lambda logits: F.softmax(logits, dim=1),  # the notes' line
            "train_step": train_step,
        },
    )


def engine_step(model: BigramLanguageModel) -> Callable[[Tensor, Tensor], object]:
    """Take the engine's training steps one batch at a time, on windows of one token."""
    stepper = Stepper(model, learning_rate=TrainConfig.learning_rate)

    def step(xb: Tensor, yb: Tensor) -> object:
        pairs = torch.stack((xb.flatten(), yb.flatten()), dim=1)  # (B*T, 2)
        offsets = torch.arange(0, pairs.numel(), 2).unsqueeze(0)  # (1, B*T): each begins a pair
        return stepper.take(stepper.prepared(pairs.flatten()), offsets, block_size=1)

    return step


def engine_subject() -> TorchSubject:
    """Return the engine's batches, loss, gradient, training step and generate."""
    return TorchSubject(
        factory=fast.BigramLanguageModel,
        given={"get_batch": fast.get_batch, "train_step": engine_step},
    )


def sampler_subject() -> TorchSubject:
    """Return the reference's model, continued by the engine's sampler."""

    def generate(
        model: BigramLanguageModel,
        idx: Tensor,
        max_new_tokens: int,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        sampler = fast.Sampler(model.token_embedding_table.weight)
        return sampler.generate(idx, max_new_tokens, generator=generator)

    return TorchSubject(factory=BigramLanguageModel, given={"generate": generate})


OWN = {"reference": reference_subject, "fast": engine_subject, "sampler": sampler_subject}
"""By what `bigram check --engine` calls them."""
