"""The bigram language model of the notes, in NumPy: a table of C rows of C scores."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


class Bigram:
    """A table, and what AdamW remembers of its gradients."""

    def __init__(self, C: int) -> None:
        self.C = C
        self.table: Floats = np.random.default_rng().standard_normal((C, C))
        self.forget_steps()

    def forward(self, idx: Ids, targets: Ids | None = None) -> tuple[Floats, float | None]:
        """Score the next token at every position; with targets, also give the mean loss.

        Shape: (B, T) -> (B, T, C), or with targets (B*T, C) and a number.
        """
        check_tokens("idx", idx, self.C)
        logits = self.table[idx]  # (B, T, C)
        if targets is None:
            return logits, None
        check_targets(targets, idx, self.C)
        B, T, C = logits.shape
        logits = logits.reshape(B * T, C)
        of_targets = logits[np.arange(B * T), targets.reshape(B * T)]  # (B*T,)
        return logits, float((log_sum_exp(logits) - of_targets).mean())

    def gradient(self, idx: Ids, targets: Ids) -> Floats:
        """Give the derivative of that loss by the table: softmax less the targets, row by row.

        Shape: (B, T), (B, T) -> (C, C).
        """
        logits, _loss = self.forward(idx, targets)  # (B*T, C)
        slope = softmax(logits)
        slope[np.arange(len(slope)), targets.reshape(-1)] -= 1
        by_table = np.zeros_like(self.table)
        # Not by_table[...] += slope, which counts a token once, however often it is looked up.
        np.add.at(by_table, idx.reshape(-1), slope / len(slope))
        return by_table

    def generate(self, idx: Ids, uniforms: Iterable[Floats]) -> Ids:
        """Continue each sequence by a token for each of the uniforms, which are (B,).

        Shape: (B, T) -> (B, T + n).
        """
        check_tokens("idx", idx, self.C)
        for u in uniforms:
            logits = self.table[idx[:, -1]]  # (B, C): only the last position is continued
            idx_next = draw(softmax(logits), u)  # (B,)
            idx = np.concatenate([idx, idx_next[:, None]], axis=1)  # (B, T+1)
        return idx

    def forget_steps(self) -> None:
        """Begin with an optimizer that remembers nothing."""
        self.steps = 0
        self.mean = np.zeros_like(self.table)
        self.square = np.zeros_like(self.table)

    def train_step(self, idx: Ids, targets: Ids) -> None:
        """Take a step of AdamW, as torch.optim.AdamW(lr=1e-3) takes it."""
        rate, beta1, beta2, decay = 1e-3, 0.9, 0.999, 0.01
        slope = self.gradient(idx, targets)
        self.steps += 1
        self.mean = beta1 * self.mean + (1 - beta1) * slope
        self.square = beta2 * self.square + (1 - beta2) * slope**2
        mean = self.mean / (1 - beta1**self.steps)
        square = self.square / (1 - beta2**self.steps)
        self.table = (1 - rate * decay) * self.table - rate * mean / (np.sqrt(square) + 1e-8)


def check_tokens(name: str, tokens: Ids, C: int) -> None:
    """Refuse what is no batch of tokens. NumPy takes -1 for the last row of a table.

    Raises: ValueError.
    """
    if tokens.ndim != 2:  # noqa: PLR2004  B and T
        raise ValueError(f"{name} is of shape {tokens.shape}, and not (B, T)")
    wrong = tokens[(tokens < 0) | (tokens >= C)]
    if wrong.size:
        raise ValueError(f"token {wrong[0]} of {name} is not in 0 to {C - 1}")


def check_targets(targets: Ids, idx: Ids, C: int) -> None:
    """Refuse targets that are not one token for each of idx.

    Raises: ValueError.
    """
    check_tokens("targets", targets, C)
    if targets.shape != idx.shape:
        raise ValueError(f"targets are of shape {targets.shape}, and idx of {idx.shape}")


def log_sum_exp(logits: Floats) -> Floats:
    """Give ln of the sum of each row's exponentials, the greatest score apart: exp(1000) is inf.

    Shape: (B, C) -> (B,).
    """
    most = logits.max(axis=1, keepdims=True)  # (B, 1)
    total: Floats = most[:, 0] + np.log(np.exp(logits - most).sum(axis=1))
    return total


def softmax(logits: Floats) -> Floats:
    """Turn each row of scores into probabilities.

    Shape: (B, C) -> (B, C).
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probs


def draw(probs: Floats, u: Floats) -> Ids:
    """Take from each row the first token whose share, added to those before it, is above u.

    Shape: (B, C), (B,) -> (B,).
    """
    shares = probs.cumsum(axis=1)
    shares /= shares[:, -1:]  # so that rounding leaves no u above them all
    tokens: Ids = (shares <= u[:, None]).sum(axis=1)
    return tokens


def get_batch(data: Ids, block_size: int, uniforms: Floats) -> tuple[Ids, Ids]:
    """Cut windows out of the data, and the same windows one token later.

    Shape: (N,), (B,) -> (B, T), (B, T), where T = block_size.
    Raises: ValueError where no window and its next token fit.
    """
    places = len(data) - block_size
    if places < 1:
        raise ValueError(f"{len(data)} tokens hold no window of {block_size} and its next token")
    starts = (uniforms * places).astype(np.int64)
    i = starts[:, None] + np.arange(block_size)  # (B, T)
    return data[i], data[i + 1]


class Vocabulary:
    """The distinct characters of a text, by code point: the place of each is its id."""

    def __init__(self, text: str) -> None:
        self.characters = sorted(set(text))
        self.ids = {character: number for number, character in enumerate(self.characters)}

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text.

        Raises: ValueError where a character is not in the vocabulary.
        """
        for place, character in enumerate(text):
            if character not in self.ids:
                raise ValueError(f"{character!r} at {place} is not in the vocabulary")
        return [self.ids[character] for character in text]

    def decode(self, ids: list[int]) -> str:
        """Give the text of ids.

        Raises: ValueError where one is none.
        """
        for number in ids:
            if not 0 <= number < len(self.characters):  # a list takes -1 for its last
                raise ValueError(f"id {number} is not in 0 to {len(self.characters) - 1}")
        return "".join(self.characters[number] for number in ids)
