"""The JAX model with one mistake, planted: the tokens of idx are not checked.

bigram check --command "python broken_jax.py" finds it.
"""

from bigram_pipe import Tensor
from check_jax import Subject, ids_of, main
from jax_bigram import Ids


class Broken(Subject):
    """Right but for tokens that are none, which it takes for others."""

    def tokens(self, idx: Tensor) -> Ids:
        """Read idx, and leave it to JAX to complain, which clamps the index instead."""
        return ids_of(idx)


if __name__ == "__main__":
    main(Broken())
