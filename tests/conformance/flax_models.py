"""A bigram model as a module of Flax's, whose table is reached by functions."""

from typing import Any

import jax.numpy as jnp
from flax import nnx


def make(vocab_size: int) -> Any:
    return nnx.Embed(vocab_size, vocab_size, rngs=nnx.Rngs(0))


def forward(model: Any, idx: Any) -> Any:
    return model.embedding[...][idx], None


def get(model: Any) -> Any:
    return model.embedding[...]


def put(model: Any, table: Any) -> None:
    model.embedding[...] = jnp.asarray(table)
