"""Bigram models over JAX's arrays, loaded by a subject's process alone: JAX minds forks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def checked(tokens: Any, C: int) -> Any:
    """Refuse what is no token: JAX clamps without a word."""
    array = np.asarray(tokens)
    if array.min(initial=0) < 0 or array.max(initial=0) >= C:
        raise IndexError(f"tokens must be in 0 to {C - 1}")
    return tokens


def init(vocab_size: int) -> Any:
    return jax.random.normal(jax.random.key(0), (vocab_size, vocab_size))


def forward(table: Any, idx: Any, targets: Any = None) -> Any:
    logits = table[checked(idx, len(table))]  # (B, T, C)
    if targets is None:
        return logits, None
    if targets.shape != idx.shape:
        raise ValueError(f"targets are {targets.shape}, idx is {idx.shape}")
    flat = logits.reshape(-1, len(table))  # (B*T, C)
    chosen = checked(targets, len(table)).reshape(-1, 1)
    return flat, -jnp.take_along_axis(jax.nn.log_softmax(flat), chosen, axis=1).mean()


def clamps(table: Any, idx: Any) -> Any:
    return jnp.asarray(table)[jnp.asarray(idx)], None


def gradient(table: Any, idx: Any, targets: Any) -> Any:
    return jax.grad(lambda at: forward(at, idx, targets)[1])(table)


def generate(table: Any, idx: Any, max_new_tokens: int, key: Any) -> Any:
    for step in jax.random.split(key, max(max_new_tokens, 0)):
        drawn = jax.random.categorical(step, forward(table, idx)[0][:, -1])  # (B,)
        idx = jnp.concatenate([idx, drawn[:, None]], axis=1)  # (B, T+1)
    return idx
