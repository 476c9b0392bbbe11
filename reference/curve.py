"""Training, watched: how near the loss over the whole text comes to the least one possible."""

import math
from typing import Any, NamedTuple

from reference.corpus import Corpus
from reference.model import BigramLanguageModel
from reference.oracle.counts import Counts, cross_entropy, entropy_floor
from reference.training import TrainStep

POINTS = 500
"""Of a curve, at most; it is drawn a few hundred pixels wide."""

EFFORT = 2**25
"""Table entries to look at for one curve of more than two points: a fraction of a second in all."""


class Point(NamedTuple):
    """Losses after a step, in nats per token.

    batch_loss is the mean over the steps since the last point; loss is exact, over every pair of
    the train split.
    """

    step: int
    batch_loss: float
    loss: float


class LossCurve:
    """Collects the losses of a training run; `floor` is the entropy of the train split.

    The exact loss is cheap because it needs only the (C, C) pair counts, not the text; they are
    counted here where they are not given.
    """

    def __init__(
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        *,
        steps: int,
        counts: Counts | None = None,
    ) -> None:
        self.model = model
        self.counts = corpus.pair_counts("train") if counts is None else counts
        self.floor = entropy_floor(self.counts)
        points = max(2, min(POINTS, EFFORT // model.vocab_size**2))
        self.steps = steps
        self.every = max(1, math.ceil(steps / points))
        self.points: list[Point] = []
        self.taken = 0
        self._batch_losses: list[float] = []

    def loss(self) -> float:
        """Give the model's loss over the whole train split, as it is now."""
        return exact_loss(self.model, self.counts)

    def add(self, taken: TrainStep) -> bool:
        """Take note of a step, and say whether it made a point."""
        self.taken = taken.step
        self._batch_losses.append(taken.loss)
        if taken.step % self.every and taken.step != self.steps:
            return False
        mean = sum(self._batch_losses) / len(self._batch_losses)
        self.points.append(Point(taken.step, mean, self.loss()))
        self._batch_losses.clear()
        return True

    def state(self) -> dict[str, Any]:
        """Give what `restore` needs to go on, as JSON holds it."""
        return {"points": self.points, "since": self._batch_losses}

    def restore(self, taken: int, state: dict[str, Any]) -> None:
        """Go on as after so many steps.

        Raises: KeyError, TypeError, ValueError where the state is not what `state` gave.
        """
        self.points = [
            Point(int(step), float(batch_loss), float(loss))
            for step, batch_loss, loss in state["points"]
        ]
        self._batch_losses = [float(loss) for loss in state["since"]]
        self.taken = taken


def exact_loss(model: BigramLanguageModel, counts: Counts) -> float:
    """Give the model's mean loss over every pair of a text, from its pair counts.

    Shape: (C, C) -> one number, in nats per token.
    """
    table = model.token_embedding_table.weight.detach().cpu().double().numpy()
    return cross_entropy(table, counts)
