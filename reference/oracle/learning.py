"""What training does to a table: the gradient of the loss, and one AdamW step.

counts[i, j] is how often token j follows token i in what the loss is taken over; the loss is the
mean over all of them, in nats per token.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64

from reference.oracle.counts import Counts, Weights

Entries: TypeAlias = Float64[np.ndarray, "*dims"]
"""The numbers of a parameter of any shape."""


def softmax(logits: Float64[np.ndarray, "*dims C"]) -> Float64[np.ndarray, "*dims C"]:
    """Turn logits into probabilities along the last axis.

    Shape: (..., C) -> (..., C), each last axis summing to 1; -inf gives probability 0.
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))  # exp cannot overflow
    probabilities: Float64[np.ndarray, "*dims C"] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def gradient(table: Weights, counts: Counts) -> Weights:
    """Differentiate the mean loss by the table: (diag(n) softmax(table) - counts) / sum(counts).

    n[i] is how often token i is a current token. A row that never is has gradient 0, and every
    row's gradient sums to 0.

    Shape: (C, C), (C, C) -> (C, C), in nats per token per unit of logit.
    """
    n = counts.sum(axis=1, keepdims=True)
    derivative: Weights = (n * softmax(table) - counts) / counts.sum()
    return derivative


@dataclass(frozen=True, kw_only=True, eq=False)
class AdamW:
    """AdamW's state for one parameter, and its settings; the defaults are PyTorch's.

    Shape: mean and square as the parameter, the running means of the gradient and of its square.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    steps: int = 0
    mean: Entries | float = 0.0
    square: Entries | float = 0.0


def adamw_step(table: Entries, derivative: Entries, state: AdamW) -> tuple[Entries, AdamW]:
    """Take one step: decay the table, then move against the corrected mean of the gradient.

    It is the same for a parameter of any shape.

    Shape: (C, C), (C, C) -> (C, C).
    """
    steps = state.steps + 1
    mean = state.beta1 * state.mean + (1 - state.beta1) * derivative
    square = state.beta2 * state.square + (1 - state.beta2) * derivative**2
    # Both means start from 0, and are too small by these factors.
    unbiased_mean = mean / (1 - state.beta1**steps)
    unbiased_square = square / (1 - state.beta2**steps)
    decayed = table * (1 - state.learning_rate * state.weight_decay)
    moved: Entries = decayed - state.learning_rate * unbiased_mean / (
        np.sqrt(unbiased_square) + state.epsilon
    )
    after = AdamW(
        learning_rate=state.learning_rate,
        beta1=state.beta1,
        beta2=state.beta2,
        epsilon=state.epsilon,
        weight_decay=state.weight_decay,
        steps=steps,
        mean=mean,
        square=square,
    )
    return moved, after
