"""The bigram language model of the notes, in JAX: pure functions of a table of C rows of C scores.

Tokens are checked before they come here, by `check_tokens`: compiled code cannot raise an error.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def check_tokens(name: str, tokens: Ids, C: int) -> None:
    """Refuse what is no batch of tokens.

    An index past the end is clamped by JAX, and one below 0 counts from the end, without a word.

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


def new_table(key: Array, C: int) -> Array:
    """Make a table.

    Shape: -> (C, C), float32.
    """
    return jax.random.normal(key, (C, C))


@jax.jit
def logits_of(table: Array, idx: Array) -> Array:
    """Look the rows of the tokens up.

    Shape: (C, C), (B, T) -> (B, T, C).
    """
    return table[idx]


@jax.jit
def forward(table: Array, idx: Array, targets: Array) -> tuple[Array, Array]:
    """Give the logits, and the mean over all positions of -ln P(target | token).

    Shape: (C, C), (B, T), (B, T) -> (B*T, C), ().
    """
    logits = table[idx]  # (B, T, C)
    B, T, C = logits.shape
    logits = logits.reshape(B * T, C)
    log_probs = jax.nn.log_softmax(logits)  # (B*T, C)
    of_targets = jnp.take_along_axis(log_probs, targets.reshape(B * T, 1), axis=1)  # (B*T, 1)
    return logits, -of_targets.mean()


def loss(table: Array, idx: Array, targets: Array) -> Array:
    """Give the loss alone."""
    mean: Array
    _logits, mean = forward(table, idx, targets)
    return mean


softmax = jax.jit(jax.nn.softmax)
"""Each row of scores by itself: (B, C) -> (B, C)."""

gradient = jax.jit(jax.grad(loss))
"""The derivative of the loss by the table: (C, C), (B, T), (B, T) -> (C, C)."""


@jax.jit
def next_tokens(table: Array, last: Array, key: Array) -> Array:
    """Draw a token after each of the last ones.

    Shape: (C, C), (B,) -> (B,).
    """
    drawn: Array = jax.random.categorical(key, table[last])
    return drawn


def generate(table: Array, idx: Ids, n: int, key: Array) -> Ids:
    """Continue each sequence by n tokens.

    The steps are compiled, and the loop is not: jax.lax.scan would be compiled for each n.

    Shape: (C, C), (B, T) -> (B, T + n).
    """
    for _ in range(n):
        key, now = jax.random.split(key)
        idx_next = np.asarray(next_tokens(table, idx[:, -1], now))  # (B,)
        idx = np.concatenate([idx, idx_next[:, None]], axis=1)  # (B, T+1)
    return idx


class AdamW(NamedTuple):
    """What the optimizer remembers."""

    steps: Array
    mean: Array
    square: Array


def adamw(table: Array) -> AdamW:
    """Make an optimizer that remembers nothing."""
    return AdamW(jnp.zeros(()), jnp.zeros_like(table), jnp.zeros_like(table))


@jax.jit
def train_step(table: Array, state: AdamW, idx: Array, targets: Array) -> tuple[Array, AdamW]:
    """Take a step of AdamW, as torch.optim.AdamW(lr=1e-3) takes it: a new table, and a new state.

    Shape: (C, C), (B, T), (B, T) -> (C, C).
    """
    rate, beta1, beta2, decay = 1e-3, 0.9, 0.999, 0.01
    slope = gradient(table, idx, targets)
    steps = state.steps + 1
    mean = beta1 * state.mean + (1 - beta1) * slope
    square = beta2 * state.square + (1 - beta2) * slope**2
    step = (mean / (1 - beta1**steps)) / (jnp.sqrt(square / (1 - beta2**steps)) + 1e-8)
    return table - rate * decay * table - rate * step, AdamW(steps, mean, square)


def get_batch(data: Ids, block_size: int, batch_size: int, key: Array) -> tuple[Ids, Ids]:
    """Draw windows of the data, and the same windows one token later.

    The text stays in NumPy: it is large, its tokens are int64, and NumPy refuses a place past its
    end where jax.lax.dynamic_slice would move the window back.

    Shape: (N,) -> (B, T), (B, T), where B = batch_size and T = block_size.
    Raises: ValueError where no window and its next token fit.
    """
    places = len(data) - block_size
    if places < 1:
        raise ValueError(f"{len(data)} tokens hold no window of {block_size} and its next token")
    starts = np.asarray(jax.random.randint(key, (batch_size,), 0, places))
    i = starts[:, None] + np.arange(block_size)  # (B, T)
    return data[i], data[i + 1]
