"""The second opinion: the same questions answered by the oracle, in NumPy's float64."""

from collections.abc import Sequence

import numpy as np

from reference.conformance.vectors.machine import Pairs
from reference.oracle.counts import Counts, Weights, cross_entropy
from reference.oracle.learning import AdamW, adamw_step, gradient, softmax


class ByOracle:
    """The oracle's functions, and the table that they are asked about."""

    def __init__(self) -> None:
        self.table: Weights = np.zeros((0, 0))
        self._state = AdamW()

    def put(self, table: list[list[float]]) -> None:
        """Take a table."""
        self.table = np.array(table, dtype=np.float64)

    def rows(self) -> list[list[float]]:
        """Give the table as it is now."""
        rows: list[list[float]] = self.table.tolist()
        return rows

    def _counts(self, pairs: Pairs) -> Counts:
        counts = np.zeros(self.table.shape, dtype=np.int64)
        for place, count in pairs.items():
            counts[place] = count
        return counts

    def loss(self, pairs: Pairs) -> float:
        """Give the mean cross-entropy of the pairs."""
        return cross_entropy(self.table, self._counts(pairs))

    def gradient(self, pairs: Pairs) -> list[list[float]]:
        """Give its derivative by the table."""
        slope: list[list[float]] = gradient(self.table, self._counts(pairs)).tolist()
        return slope

    def step(self, pairs: Pairs, *, first: bool) -> None:
        """Take a step of AdamW."""
        state = AdamW() if first else self._state
        slope = gradient(self.table, self._counts(pairs))
        self.table, self._state = adamw_step(self.table, slope, state)

    def softmax(self, row: Sequence[float]) -> list[float]:
        """Give the probabilities of some scores."""
        probs: list[float] = softmax(np.array(row, dtype=np.float64)).tolist()
        return probs
