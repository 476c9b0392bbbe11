"""The parts that a subject may have besides its factory: one list, for Python and for commands."""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

from reference.errors import BigramError, brief


class PartError(BigramError, TypeError):
    """The name of a part is unknown, or given twice."""


class Parts(TypedDict, total=False):
    """The parts of a subject besides its factory; the clauses of a missing one are skipped."""

    get_batch: Callable[..., object] | None
    """get_batch(data, block_size, batch_size), or the notes' get_batch(split)."""
    generate: Callable[..., object] | None
    """generate(model, idx, max_new_tokens), if the model has no such method."""
    vocabulary: Callable[..., object] | None
    """vocabulary(text), which returns an object with `encode`, `decode` and a length."""
    softmax: Callable[..., object] | None
    """softmax(logits), of (B, C)."""
    train_step: Callable[..., Callable[..., object]] | None
    """train_step(model), which returns step(xb, yb)."""
    get_table: Callable[..., Any] | None
    """get_table(model), which returns the (C, C) table."""
    set_table: Callable[..., object] | None
    """set_table(model, table)."""
    forward: Callable[..., object] | None
    """forward(state, idx, targets) of a model over arrays, if it has no such method."""
    gradient: Callable[..., object] | None
    """gradient(state, idx, targets), likewise, of the loss by the table."""
    plain_generate: Callable[..., object] | None
    """generate(model, idx, max_new_tokens) without a cache, to compare a fast one with."""


NAMES = tuple(Parts.__annotations__)
"""Names of all parts."""


def check_parts(names: Iterable[str]) -> None:
    """Raise unless each name is that of a part.

    Raises: PartError.
    """
    for name in names:
        if name not in NAMES:
            raise PartError(f"there is no part {brief(name)}; the parts are {', '.join(NAMES)}")


def parse_parts(texts: Iterable[str]) -> dict[str, str]:
    """Parse NAME=PLACE, or NAME alone for a part that has its own name in the subject's file.

    Raises: PartError.
    """
    parts: dict[str, str] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        check_parts([name])
        if name in parts:
            raise PartError(f"the part {name} is given twice; leave one out")
        parts[name] = place if equals else name
    return parts
