"""What one writes to join: bigram check --command "python check_numpy.py"."""

from typing import Any

import numpy as np
from bigram_pipe import Tensor, floats, number, serve, tensor
from numpy.typing import NDArray
from numpy_bigram import Bigram, Floats, Ids, Vocabulary, get_batch, softmax

Answer = dict[str, Any]

CAN = ["loss", "table", "gradient", "generate", "get_batch", "get_split_batch"]
CAN += ["train_step", "softmax", "vocabulary"]


def ids_of(given: Tensor) -> Ids:
    """Read tokens."""
    return np.array(given["data"], dtype=np.int64).reshape(given["shape"])


def floats_of(given: Tensor) -> Floats:
    """Read floats."""
    return np.array(floats(given), dtype=np.float64).reshape(given["shape"])


def written(array: NDArray[Any]) -> Tensor:
    """Write an array."""
    return tensor(array.shape, array.ravel().tolist())


class Subject:
    """A method for each operation; fields come and go by their names."""

    def __init__(self, kind: type[Bigram]) -> None:
        self.kind = kind

    def reset(self, C: int) -> None:
        """Make a fresh model."""
        self.model = self.kind(C)

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        self.model.table = floats_of(table)

    def get_table(self) -> Answer:
        """Read the table."""
        return {"table": written(self.model.table)}

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Answer:
        """Give logits and loss."""
        logits, loss = self.model.forward(ids_of(idx), None if targets is None else ids_of(targets))
        return {"logits": written(logits), "loss": None if loss is None else number(loss)}

    def gradient(self, idx: Tensor, targets: Tensor) -> Answer:
        """Give the gradient of the loss by the table."""
        return {"gradient": written(self.model.gradient(ids_of(idx), ids_of(targets)))}

    def generate(self, idx: Tensor, max_new_tokens: int, uniforms: Tensor) -> Answer:
        """Continue idx; uniforms has a row for each new token, where there are any."""
        rows = floats_of(uniforms)[: max(max_new_tokens, 0)]  # (n, B)
        return {"idx": written(self.model.generate(ids_of(idx), rows))}

    def get_batch(self, data: Tensor, block_size: int, batch_size: int, uniforms: Tensor) -> Answer:
        """Draw a batch; uniforms has a number for each of its rows."""
        x, y = get_batch(ids_of(data), block_size, floats_of(uniforms)[:batch_size])
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
            self.model.forget_steps()
        self.model.train_step(ids_of(idx), ids_of(targets))

    def softmax(self, logits: Tensor) -> Answer:
        """Turn scores into probabilities."""
        return {"probs": written(softmax(floats_of(logits)))}

    def vocabulary(self, corpus: str) -> Answer:
        """Give the size of a text's vocabulary."""
        return {"C": len(Vocabulary(corpus).characters)}

    def encode(self, corpus: str, text: str) -> Answer:
        """Give ids."""
        return {"ids": Vocabulary(corpus).encode(text)}

    def decode(self, corpus: str, ids: list[int]) -> Answer:
        """Give a text."""
        return {"text": Vocabulary(corpus).decode(ids)}


def main(kind: type[Bigram] = Bigram) -> None:
    """Answer for models of this kind."""
    serve(Subject(kind), name="a bigram model in NumPy", can=CAN, dtype="float64")


if __name__ == "__main__":
    main()
