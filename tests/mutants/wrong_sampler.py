"""Wrong in how the engine's sampler draws: what alias tables and counted streams invite."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from zoo import wrong

from reference import BigramLanguageModel, fast
from reference.conformance.subjects.torch_models import TorchSubject

LOW = 2**32 - 1


def sampled(sampler: type[fast.Sampler]) -> TorchSubject:
    """Give the reference's model, continued by such a sampler."""

    def generate(
        model: BigramLanguageModel,
        idx: Tensor,
        max_new_tokens: int,
        *,
        generator: Generator | None = None,
    ) -> Tensor:
        made = sampler(model.token_embedding_table.weight)
        return made.generate(idx, max_new_tokens, generator=generator)

    return TorchSubject(factory=BigramLanguageModel, given={"generate": generate})


def sampler(breaks: str, name: str) -> Callable[[type[fast.Sampler]], type[fast.Sampler]]:
    """Add a sampler to the specimens."""

    def add(kind: type[fast.Sampler]) -> type[fast.Sampler]:
        wrong(breaks, name, concepts=("generate",))(lambda: sampled(kind))
        return kind

    return add


@sampler("generate.law", "an alias table whose thresholds are a little too low")
class BiasedThreshold(fast.Sampler):
    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        threshold = self._entries >> 32
        full = threshold == 2**31 - 1
        lower = np.where(full, threshold, (threshold * 0.97).astype(np.int64))
        self._entries = (lower << 32) + (self._entries & LOW)


@sampler("generate.law", "an alias table read one column on")
class OffByOneColumn(fast.Sampler):
    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        rows = self._entries.reshape(self.vocab_size, -1)
        self._entries = np.roll(rows, -1, axis=1).ravel()


@sampler("generate.rows-independent", "one counted stream that all rows share")
class SharedStream(fast.Sampler):
    def generate(self, idx: Tensor, max_new_tokens: int, **options: Any) -> Tensor:
        seed = int(torch.randint(2**62, (), generator=options.get("generator")))
        one = super().generate
        return torch.cat([one(row, max_new_tokens, seed=seed) for row in idx.split(1)])


@sampler("generate.stream", "a counted stream with a seed of its own, the same at every call")
class SeedOfItsOwn(fast.Sampler):
    def generate(self, idx: Tensor, max_new_tokens: int, **options: Any) -> Tensor:
        return super().generate(idx, max_new_tokens, seed=1337, **options)


@sampler("generate.last-position", "a stream that goes on from the first token of the prompt")
class FirstToken(fast.Sampler):
    def generate(self, idx: Tensor, max_new_tokens: int, **options: Any) -> Tensor:
        made = super().generate(idx[:, :1], max_new_tokens, **options)
        return torch.cat((idx, made[:, 1:]), dim=1)
