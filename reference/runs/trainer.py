"""What takes the steps of a run: the reference, or another trainer that is passed in."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from reference.corpus import Corpus
from reference.model import BigramLanguageModel
from reference.runs import distributed
from reference.runs.distributed import Ranks
from reference.training import TrainConfig, TrainStep, train


@runtime_checkable
class Trainer(Protocol):
    """Takes steps, and can be stopped and set up again after any that it has taken."""

    @property
    def taken(self) -> int:
        """Give the steps that the model has taken, which can be more than were handed out."""
        ...

    @property
    def wants_one_thread(self) -> bool:
        """Whether more threads gain nothing, and make each other wait if the cores are busy."""
        ...

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:
        """Hand out steps; when as many as next_stop(taken) are, the model has taken no more."""
        ...

    def means(self) -> tuple[Float[Tensor, "C C"], Float[Tensor, "C C"]]:
        """Give AdamW's exp_avg and exp_avg_sq, (C, C) each."""
        ...

    def restore(self, taken: int, mean: Float[Tensor, "C C"], square: Float[Tensor, "C C"]) -> None:
        """Go on as after so many steps; the model and the generator are set by the caller."""
        ...


NewTrainer: TypeAlias = Callable[
    [BigramLanguageModel, Corpus, TrainConfig, torch.Generator, Ranks], Trainer
]
"""What makes a trainer that is ready for its first step.

Raises: DtypeError, DeviceError or MissingExtraError if it cannot train this model.
"""

SMALL = 2**20
"""Logits in a batch, up to which a second thread gains nothing; the notes' loop has 16,640."""


class ReferenceTrainer:
    """Takes the steps with `reference.training.train`, or with several ranks."""

    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        generator: torch.Generator,
        ranks: Ranks,
    ) -> None:
        self.model, self.corpus, self.config = model, corpus, config
        self.generator, self.ranks = generator, ranks
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        self.taken = 0

    @property
    def wants_one_thread(self) -> bool:
        """Return whether the batches are small."""
        logits = self.config.batch_size * self.config.block_size * self.model.vocab_size
        return logits <= SMALL

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:  # noqa: ARG002  it can stop after any step
        """Hand out steps; see `Trainer.steps`."""
        take = train
        if self.ranks.size > 1:
            take = partial(distributed.train, ranks=self.ranks)
        for step in take(
            self.model,
            self.corpus,
            self.config,
            generator=self.generator,
            optimizer=self.optimizer,
            taken=self.taken,
        ):
            self.taken = step.step
            yield step

    def means(self) -> tuple[Float[Tensor, "C C"], Float[Tensor, "C C"]]:
        """Return the means; see `Trainer.means`."""
        weight = self.model.token_embedding_table.weight
        state = self.optimizer.state.get(weight)
        if not state:  # no step was taken
            return torch.zeros_like(weight), torch.zeros_like(weight)
        return state["exp_avg"], state["exp_avg_sq"]

    def restore(self, taken: int, mean: Float[Tensor, "C C"], square: Float[Tensor, "C C"]) -> None:
        """Continue after a step; see `Trainer.restore`."""
        self.taken = taken
        if taken:
            state = {"step": torch.tensor(float(taken)), "exp_avg": mean, "exp_avg_sq": square}
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": {0: state}, "param_groups": groups})
