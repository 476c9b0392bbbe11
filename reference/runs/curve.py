"""Training, watched: how near the loss over the whole text comes to the least one possible."""

import math
from itertools import chain
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct, convert

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


class _State(Struct):
    points: list[Point]
    since: tuple[float, Annotated[int, Meta(ge=0)]]


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
        self._sum, self._count = 0.0, 0

    def loss(self) -> float:
        """Give the model's loss over the whole train split, as it is now."""
        return exact_loss(self.model, self.counts)

    def add(self, taken: TrainStep) -> bool:
        """Add a step; return whether it made a point."""
        self.taken = taken.step
        self._sum += taken.loss
        self._count += 1
        if not self.is_due(taken.step):
            return False
        self.points.append(Point(taken.step, self._sum / self._count, self.loss()))
        self._sum, self._count = 0.0, 0
        return True

    def is_due(self, step: int) -> bool:
        """Return whether a step makes a point."""
        return step % self.every == 0 or step == self.steps

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON can hold it. It does not grow with the steps.

        Of the losses since the last point it has the sum and the count.
        """
        return {"points": self.points, "since": [self._sum, self._count]}

    def restore(self, taken: int, state: object) -> None:
        """Continue as after `taken` steps.

        Raises: ValueError unless `state` returned the state.
        """
        kept = convert(state, _State)
        self.points, (self._sum, self._count) = kept.points, kept.since
        if not all(map(math.isfinite, [self._sum, *chain.from_iterable(self.points)])):
            raise ValueError("a loss is not finite")
        self.taken = taken


def exact_loss(model: BigramLanguageModel, counts: Counts) -> float:
    """Give the model's mean loss over every pair of a text, from its pair counts.

    Shape: (C, C) -> one number, in nats per token.
    """
    table = model.token_embedding_table.weight.detach().cpu().double().numpy()
    return cross_entropy(table, counts)
