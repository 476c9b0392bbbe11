"""What the pair counts of a text decide: every bigram model's loss, and the least one possible.

counts[i, j] is how often token j follows token i. Losses and entropies are in nats per token.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64, Integer

Counts: TypeAlias = Int64[np.ndarray, "C C"]
"""How often each token follows each: row = current token, column = next token."""

Probabilities: TypeAlias = Float64[np.ndarray, "C C"]
"""P(next | current): each row sums to 1, or is all zeros where its token has no successor."""

Weights: TypeAlias = Float64[np.ndarray, "C C"]
"""A model's table: row i holds the logits of every token that may follow token i."""


def bigram_counts(tokens: Sequence[int] | Integer[np.ndarray, "N"], vocab_size: int) -> Counts:
    """Count every pair of neighbours.

    Shape: tokens (N,), each in 0 to C - 1 -> (C, C), summing to N - 1.
    Raises: ValueError where a token is no integer, or lies outside 0 to C - 1.
    """
    stream = np.asarray(tokens)
    if stream.size and not np.issubdtype(stream.dtype, np.integer):
        raise ValueError(f"tokens are {stream.dtype}; each must be an integer")
    stream = stream.astype(np.int64)
    if stream.size and (stream.min() < 0 or stream.max() >= vocab_size):
        raise ValueError(
            f"tokens run from {stream.min()} to {stream.max()}; "
            f"each must lie in 0 to {vocab_size - 1}"
        )
    pairs = stream[:-1] * vocab_size + stream[1:]
    counts: Counts = np.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size)
    return counts


def transition_probabilities(counts: Counts) -> Probabilities:
    """Divide each row by its sum: P(next = j | current = i), the best any bigram model can do.

    Shape: (C, C) -> (C, C); a row without counts is all zeros.
    """
    totals = counts.sum(axis=1, keepdims=True)
    probabilities: Probabilities = np.divide(
        counts, totals, out=np.zeros(counts.shape), where=totals > 0
    )
    return probabilities


def entropy_floor(counts: Counts) -> float:
    """H(next | current): the mean loss that no bigram model of this text goes below.

    Shape: (C, C) -> one number, in nats per token.
    Raises: ValueError where there are no counts.
    """
    return cross_entropy(counting_optimum(counts), counts)


def cross_entropy(table: Weights, counts: Counts) -> float:
    """Mean loss over every pair of the text, of the model whose logits are the table's rows.

    A logit of -inf says that a pair cannot be; that costs nothing where the text has no such pair.

    Shape: (C, C), (C, C) -> one number, in nats per token.
    Raises: ValueError where there are no counts.
    """
    if not counts.any():
        raise ValueError("there are no counts; a text needs 2 tokens to have a pair")
    shifted = table - table.max(axis=1, keepdims=True)  # exp cannot overflow
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    seen = counts > 0
    return float(0.0 - (counts[seen] * log_probabilities[seen]).sum() / counts.sum())


def counting_optimum(counts: Counts) -> Weights:
    """Give the table with the least loss: the logarithms of the counted probabilities.

    A pair that never occurs gets -inf; a row without counts, for which all tables do as well, 0.

    Shape: (C, C) -> (C, C).
    """
    with np.errstate(divide="ignore"):  # log 0 is -inf, as said
        table: Weights = np.log(transition_probabilities(counts))
    table[counts.sum(axis=1) == 0] = 0.0
    return table
