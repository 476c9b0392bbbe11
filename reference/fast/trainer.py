"""The engine as what takes the steps of a run."""

from collections.abc import Callable, Iterator

import torch

from reference.corpus import Corpus
from reference.fast.training import Stepper, train
from reference.model import BigramLanguageModel
from reference.runs.distributed import Ranks
from reference.training import TrainConfig, TrainStep


class FastTrainer(Stepper):
    """A `reference.runs.trainer.Trainer` that computes with the engine."""

    wants_one_thread = False

    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        generator: torch.Generator,
        ranks: Ranks,
    ) -> None:
        super().__init__(model, learning_rate=config.learning_rate, ranks=ranks)
        self.model, self.corpus, self.config = model, corpus, config
        self.generator = generator

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:
        """Hand out steps; see `Trainer.steps`."""
        taken = self.taken
        for block in train(
            self.model,
            self.corpus,
            self.config,
            generator=self.generator,
            block=next_stop,
            stepper=self,
        ):
            for loss in block.losses.tolist():
                taken += 1
                yield TrainStep(taken, loss)
