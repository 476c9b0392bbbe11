"""The two forms that a get_batch comes in: the kit's, and the notes' own over globals."""

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from types import FunctionType

from torch import Tensor

from reference.conformance.errors import GetBatchError
from reference.conformance.subjects.guard import parameters_of
from reference.spec.subject import Part

SPLITS = ("train_data", "val_data")
SIZES = ("block_size", "batch_size")
SET_BY_THE_KIT = (*SPLITS, *SIZES)
"""Globals that the notes' own get_batch(split) reads, and the kit sets for each call."""


def batch_forms(get_batch: Callable[..., object]) -> dict[str, Callable[..., object]]:
    """Return a get_batch in the kit's form, and with the split if it has one.

    The kit's form is get_batch(data, block_size, batch_size), perhaps with a generator; the other
    takes (train_data, val_data, split, block_size, batch_size).

    Raises: GetBatchError if it has neither form.
    """
    parameters = parameters_of(get_batch)
    if "split" not in parameters:
        return {Part.GET_BATCH: get_batch}
    scope = _scope(get_batch)

    def of_split(
        train_data: Tensor, val_data: Tensor, split: str, block_size: int, batch_size: int
    ) -> object:
        sizes = {"block_size": block_size, "batch_size": batch_size}
        values: dict[str, object] = {"train_data": train_data, "val_data": val_data, **sizes}
        given: dict[str, object] = {"split": split}
        given |= {name: value for name, value in values.items() if name in parameters}
        with _set(scope, values):
            return get_batch(**given)

    def of_data(data: Tensor, block_size: int, batch_size: int) -> object:
        return of_split(data, data, "train", block_size, batch_size)

    return {Part.GET_BATCH: of_data, Part.SPLIT: of_split}


def _scope(get_batch: Callable[..., object]) -> MutableMapping[str, object]:
    function = inspect.unwrap(get_batch)
    if isinstance(function, FunctionType):
        read = set(function.__code__.co_names) | parameters_of(function)
        if set(SPLITS) <= read:
            return function.__globals__
    raise GetBatchError(
        "get_batch takes a split, but does not read train_data and val_data, which the kit would "
        "set; write one that takes the text:\n"
        "    def get_batch(data, block_size, batch_size):\n"
        "        ...\n"
        "        return x, y"
    )


@contextmanager
def _set(scope: MutableMapping[str, object], values: Mapping[str, object]) -> Iterator[None]:
    before = {name: scope[name] for name in values if name in scope}
    scope.update(values)
    try:
        yield
    finally:
        for name in values:
            del scope[name]
        scope.update(before)
