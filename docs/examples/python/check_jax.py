"""What one writes to join: bigram check --command "python check_jax.py"."""

from typing import Any

import jax
import jax.numpy as jnp
import jax_bigram as bigram
import numpy as np
from bigram_pipe import Tensor, floats, number, serve, tensor
from jax import Array
from numpy_bigram import Vocabulary

Answer = dict[str, Any]

CAN = ["loss", "table", "gradient", "generate", "get_batch", "get_split_batch"]
CAN += ["train_step", "softmax", "vocabulary"]


def ids_of(given: Tensor) -> bigram.Ids:
    """Read tokens. They stay in NumPy, whose int64 they need, until they are checked."""
    return np.array(given["data"], dtype=np.int64).reshape(given["shape"])


def floats_of(given: Tensor) -> Array:
    """Read floats: float32, as JAX has them."""
    return jnp.asarray(np.array(floats(given), dtype=np.float32).reshape(given["shape"]))


def written(array: Array | bigram.Ids) -> Tensor:
    """Write an array."""
    return tensor(array.shape, np.asarray(array).ravel().tolist())


class Subject:
    """A method for each operation; fields come and go by their names.

    JAX draws from keys, so that every operation that draws is given a seed.
    """

    def reset(self, C: int, seed: int) -> None:
        """Make a fresh model."""
        self.C = C
        self.table = bigram.new_table(jax.random.key(seed), C)

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        self.table = floats_of(table)

    def get_table(self) -> Answer:
        """Read the table."""
        return {"table": written(self.table)}

    def tokens(self, idx: Tensor) -> bigram.Ids:
        """Read idx, and see that it holds tokens."""
        tokens = ids_of(idx)
        bigram.check_tokens("idx", tokens, self.C)
        return tokens

    def pairs(self, idx: Tensor, targets: Tensor) -> tuple[bigram.Ids, bigram.Ids]:
        """Read both, and see that there is a target for each token."""
        tokens, following = self.tokens(idx), ids_of(targets)
        bigram.check_targets(following, tokens, self.C)
        return tokens, following

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Answer:
        """Give logits and loss."""
        if targets is None:
            return {"logits": written(bigram.logits_of(self.table, self.tokens(idx)))}
        logits, loss = bigram.forward(self.table, *self.pairs(idx, targets))
        return {"logits": written(logits), "loss": number(float(loss))}

    def gradient(self, idx: Tensor, targets: Tensor) -> Answer:
        """Give the gradient of the loss by the table."""
        return {"gradient": written(bigram.gradient(self.table, *self.pairs(idx, targets)))}

    def generate(self, idx: Tensor, max_new_tokens: int, seed: int) -> Answer:
        """Continue idx."""
        key = jax.random.key(seed)
        out = bigram.generate(self.table, self.tokens(idx), max(max_new_tokens, 0), key)
        return {"idx": written(out)}

    def get_batch(self, data: Tensor, block_size: int, batch_size: int, seed: int) -> Answer:
        """Draw a batch."""
        x, y = bigram.get_batch(ids_of(data), block_size, batch_size, jax.random.key(seed))
        return {"x": written(x), "y": written(y)}

    def get_split_batch(
        self,
        train_data: Tensor,
        val_data: Tensor,
        split: str,
        **rest: Any,  # noqa: ANN401  what JSON holds
    ) -> Answer:
        """Draw a batch of a split."""
        return self.get_batch({"train": train_data, "val": val_data}[split], **rest)

    def train_step(self, idx: Tensor, targets: Tensor, first: bool) -> None:
        """Take a step."""
        if first:
            self.state = bigram.adamw(self.table)
        pairs = self.pairs(idx, targets)
        self.table, self.state = bigram.train_step(self.table, self.state, *pairs)

    def softmax(self, logits: Tensor) -> Answer:
        """Turn scores into probabilities."""
        return {"probs": written(bigram.softmax(floats_of(logits)))}

    def vocabulary(self, corpus: str) -> Answer:
        """Give the size of a text's vocabulary; the NumPy example's, as JAX has no texts."""
        return {"C": len(Vocabulary(corpus).characters)}

    def encode(self, corpus: str, text: str) -> Answer:
        """Give ids."""
        return {"ids": Vocabulary(corpus).encode(text)}

    def decode(self, corpus: str, ids: list[int]) -> Answer:
        """Give a text."""
        return {"text": Vocabulary(corpus).decode(ids)}


def main(subject: Subject) -> None:
    """Answer for this subject."""
    # A check asks of a hundred shapes, each a few times, and JAX compiles anew for each of them.
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]  # JAX's
    serve(subject, name="a bigram model in JAX", can=CAN, randomness="seed")


if __name__ == "__main__":
    main(Subject())
