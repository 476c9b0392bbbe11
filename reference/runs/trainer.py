"""What takes the steps, the reference or the engine, on one rank or several, behind one face."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from reference import fast
from reference.corpus import Corpus
from reference.fast.training import Stepper
from reference.model import BigramLanguageModel
from reference.runs import distributed
from reference.runs.distributed import ALONE, Ranks
from reference.training import TrainConfig, TrainStep, train


@runtime_checkable
class Trainer(Protocol):
    """Takes steps, and can be stopped and set up again after any that it has taken."""

    @property
    def taken(self) -> int:
        """Give the steps that the model has taken, which can be more than were handed out."""
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


def new_trainer(  # noqa: PLR0913  a training run has this much to be told
    engine: str,
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    *,
    generator: torch.Generator,
    ranks: Ranks = ALONE,
) -> Trainer:
    """Give the "reference", or the "fast" engine, ready for its first step.

    Raises: MissingExtraError, DtypeError, DeviceError where the engine cannot train the model.
    """
    kind = _Engine if engine == "fast" else _Reference
    return kind(model, corpus, config, generator=generator, ranks=ranks)


class _Reference:
    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        *,
        generator: torch.Generator,
        ranks: Ranks,
    ) -> None:
        self.model, self.corpus, self.config = model, corpus, config
        self.generator, self.ranks = generator, ranks
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        self.taken = 0

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:  # noqa: ARG002  it can stop after any step
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
        weight = self.model.token_embedding_table.weight
        state = self.optimizer.state.get(weight)
        if not state:  # no step was taken
            return torch.zeros_like(weight), torch.zeros_like(weight)
        return state["exp_avg"], state["exp_avg_sq"]

    def restore(self, taken: int, mean: Float[Tensor, "C C"], square: Float[Tensor, "C C"]) -> None:
        self.taken = taken
        if taken:
            state = {"step": torch.tensor(float(taken)), "exp_avg": mean, "exp_avg_sq": square}
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": {0: state}, "param_groups": groups})


class _Engine:
    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        *,
        generator: torch.Generator,
        ranks: Ranks,
    ) -> None:
        self.model, self.corpus, self.config = model, corpus, config
        self.generator = generator
        self.stepper = Stepper(model, learning_rate=config.learning_rate, ranks=ranks)

    @property
    def taken(self) -> int:
        return self.stepper.taken

    def steps(self, next_stop: Callable[[int], int]) -> Iterator[TrainStep]:
        taken = self.taken
        for block in fast.train(
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
        return self.stepper.means()

    def restore(self, taken: int, mean: Float[Tensor, "C C"], square: Float[Tensor, "C C"]) -> None:
        self.stepper.restore(taken, mean, square)
