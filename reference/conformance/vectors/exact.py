"""What a table gives, in decimal arithmetic of 40 digits, so that it is the same on every machine.

Exponentials and logarithms of float64 differ in their last digit from one processor to another, and
with them the bytes of a file. Those of `decimal` are rounded correctly everywhere. What is written
is the float64 next to the exact number.
"""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext

from reference.conformance.vectors.machine import Pairs

DIGITS = Context(prec=40)
RATE, DECAY, EPSILON = Decimal("1e-3"), Decimal("0.01"), Decimal("1e-8")
ZERO = Decimal(0)
BETA1, BETA2 = Decimal("0.9"), Decimal("0.999")

Row = list[Decimal]


class Exact:
    """A table of decimals, and AdamW's memory of it."""

    def __init__(self) -> None:
        self.table: list[Row] = []
        self._floats: list[list[float]] = []
        self._probs: dict[int, Row] = {}
        self._count = 0
        self._mean: dict[tuple[int, int], Decimal] = {}
        self._square: dict[tuple[int, int], Decimal] = {}

    def put(self, table: list[list[float]]) -> None:
        """Take a table."""
        self._take([[Decimal(score) for score in row] for row in table])

    def _take(self, table: list[Row]) -> None:
        self.table = table
        self._floats = [[float(score) for score in row] for row in table]
        self._probs = {}

    def rows(self) -> list[list[float]]:
        """Give the table as it is now."""
        return self._floats

    def loss(self, pairs: Pairs) -> float:
        """Give the mean over all pairs of ln(sum of exp) less the target's score."""
        with localcontext(DIGITS):
            total = ZERO
            for (token, target), count in pairs.items():
                row = self.table[token]
                most = max(row)
                total += count * (
                    sum(((s - most).exp() for s in row), ZERO).ln() + most - row[target]
                )
            return float(total / pairs.total())

    def _probabilities(self, token: int) -> Row:
        if token not in self._probs:
            self._probs[token] = _softmax(self.table[token])
        return self._probs[token]

    def _slope(self, pairs: Pairs) -> list[Row]:
        """Give (diag(n) softmax(table) - counts) / N."""
        N, C = pairs.total(), len(self.table)
        slope = [[ZERO] * C for _ in range(C)]
        for (token, target), count in pairs.items():
            for j, p in enumerate(self._probabilities(token)):
                slope[token][j] += count * p / N
            slope[token][target] -= Decimal(count) / N
        return slope

    def gradient(self, pairs: Pairs) -> list[list[float]]:
        """Give the derivative of that loss by the table."""
        with localcontext(DIGITS):
            return [[float(entry) for entry in row] for row in self._slope(pairs)]

    def step(self, pairs: Pairs, *, first: bool) -> None:
        """Take a step of AdamW with PyTorch's defaults and lr 1e-3."""
        if first:
            self._count, self._mean, self._square = 0, {}, {}
        self._count += 1
        with localcontext(DIGITS):
            one, two = 1 - BETA1**self._count, 1 - BETA2**self._count
            slope = self._slope(pairs)
            moved = [list(row) for row in self.table]
            for i, row in enumerate(slope):
                for j, g in enumerate(row):
                    mean = BETA1 * self._mean.get((i, j), 0) + (1 - BETA1) * g
                    square = BETA2 * self._square.get((i, j), 0) + (1 - BETA2) * g * g
                    self._mean[i, j], self._square[i, j] = mean, square
                    move = RATE * (mean / one) / ((square / two).sqrt() + EPSILON)
                    moved[i][j] = moved[i][j] * (1 - RATE * DECAY) - move
            self._take(moved)

    def softmax(self, row: Sequence[float]) -> list[float]:
        """Give the probabilities of some scores."""
        with localcontext(DIGITS):
            return [float(p) for p in _softmax([Decimal(score) for score in row])]


def _softmax(row: Row) -> Row:
    with localcontext(DIGITS):
        most = max(row)
        powers = [(score - most).exp() for score in row]
        total = sum(powers)
        return [power / total for power in powers]
