"""The NumPy model with one mistake, planted: its gradient counts a token once that comes again.

bigram check --command "python broken_numpy.py" finds it.
"""

import numpy as np
from check_numpy import main
from numpy_bigram import Bigram, Floats, Ids, softmax


class Broken(Bigram):
    """Right but for its gradient, and so for its training."""

    def gradient(self, idx: Ids, targets: Ids) -> Floats:
        """Leave all but the last position of each token out."""
        logits, _loss = self.forward(idx, targets)  # (B*T, C)
        slope = softmax(logits)
        slope[np.arange(len(slope)), targets.reshape(-1)] -= 1
        by_table = np.zeros_like(self.table)
        by_table[idx.reshape(-1)] += slope / len(slope)  # the mistake: np.add.at is meant
        return by_table


if __name__ == "__main__":
    main(Broken)
