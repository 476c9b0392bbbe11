"""The two forms that a get_batch comes in: the kit's, and the notes' own over globals."""

import inspect
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from types import FunctionType

from torch import Tensor

from reference.conformance.errors import GetBatchError

DataForm = Callable[..., object]
"""get_batch(data, block_size, batch_size), and perhaps generator."""
SplitForm = Callable[[Tensor, Tensor, str, int, int], object]
"""The same of a split: (train_data, val_data, split, block_size, batch_size)."""

SPLITS = ("train_data", "val_data")
SIZES = ("block_size", "batch_size")
SET_BY_THE_KIT = (*SPLITS, *SIZES)
"""Globals that the notes' own get_batch(split) reads, and the kit sets for each call."""


def batch_forms(
    get_batch: Callable[..., object] | None,
) -> tuple[DataForm | None, SplitForm | None]:
    """Return a get_batch in the kit's form, and with the split if it has one.

    Raises: GetBatchError if it has neither form.
    """
    if get_batch is None:
        return None, None
    try:
        parameters = list(inspect.signature(get_batch).parameters)
    except Exception:  # noqa: BLE001  a stranger's function may say anything of itself
        parameters = []
    if "split" not in parameters:
        return get_batch, None
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

    return of_data, of_split


def _scope(get_batch: Callable[..., object]) -> MutableMapping[str, object]:
    function = inspect.unwrap(get_batch)
    if isinstance(function, FunctionType):
        read = set(function.__code__.co_names) | set(inspect.signature(function).parameters)
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
