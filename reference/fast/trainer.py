"""The engine as what takes the steps of a run."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from reference.corpus import Corpus
from reference.fast.training import Stepper, train
from reference.model import BigramLanguageModel
from reference.runs.distributed import ALONE, Ranks
from reference.training import TrainConfig, TrainStep


class FastTrainer:
    """A `reference.runs.trainer.Trainer` that computes with the engine."""

    wants_one_thread = False

    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        *,
        generator: torch.Generator,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model, self.corpus, self.config = model, corpus, config
        self.generator = generator
        self.stepper = Stepper(model, learning_rate=config.learning_rate, ranks=ranks)

    @property
    def taken(self) -> int:
        """Return the steps taken."""
        return self.stepper.taken

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:
        """Hand out steps; see `Trainer.steps`."""
        taken = self.taken
        for block in train(
            self.model,
            self.corpus,
            self.config,
            generator=self.generator,
            block=next_stop,
            stepper=self.stepper,
        ):
            for loss in block.losses.tolist():
                taken += 1
                yield TrainStep(taken, loss)

    def means(self) -> tuple[Float[Tensor, "C C"], Float[Tensor, "C C"]]:
        """Return the means; see `Trainer.means`."""
        return self.stepper.means()

    def restore(self, taken: int, mean: Float[Tensor, "C C"], square: Float[Tensor, "C C"]) -> None:
        """Continue after a step; see `Trainer.restore`."""
        self.stepper.restore(taken, mean, square)
