"""What goes through the pipe: one JSON object a line, each answer with its question's number.

`messages.py` declares the messages. Numbers are written so that they come back as they were: a
float in the fewest digits that name it and no other; JSON has no NaN and no infinity, so that these
are the texts "NaN", "Infinity" and "-Infinity".
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor

from reference.conformance.pipe.messages import SPECIAL
from reference.errors import printable

SHOWN = 120
"""Bytes of a malformed answer that are shown."""
INT64 = 2**63


class MalformedError(Exception):
    """An answer is none that the protocol allows. The message says what is wrong with it."""


def line(sequence: int, operation: str, fields: Mapping[str, object]) -> bytes:
    """Write a question."""
    message = {"seq": sequence, "op": operation, **fields}
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def tensor(values: Tensor) -> dict[str, object]:
    """Write a tensor: its shape, and its numbers in the order of their places, the last fastest."""
    flat = values.detach().flatten().tolist()
    if values.is_floating_point() and not bool(values.isfinite().all()):
        flat = [number(value) for value in flat]
    return {"shape": list(values.shape), "data": flat}


def number(value: float) -> float | str:
    """Write a float."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def parsed(text: bytes) -> dict[str, object]:
    """Read a line.

    Raises: MalformedError where it is no JSON object.
    """
    try:
        message = json.loads(text.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON ({_first(error)}): {seen(text)}") from error
    if not isinstance(message, dict):
        raise MalformedError(f"is no JSON object: {seen(text)}")
    return message


def _no_json(name: str) -> NoReturn:
    raise ValueError(f'JSON has no {name}; write the text "{name}" in its place')


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def seen(text: bytes) -> str:
    """Show the bytes of an answer."""
    if not text:
        return "nothing at all"
    start = text[:SHOWN].decode("utf-8", "backslashreplace")
    rest = f" and {len(text) - SHOWN:,} bytes more" if len(text) > SHOWN else ""
    return printable(start) + rest


class Answer:
    """An answer, whose fields are read one by one.

    Each reading raises a MalformedError that names the field if it is missing or wrong.
    """

    def __init__(self, text: bytes, fields: Mapping[str, object]) -> None:
        self.text = text
        self.fields = fields

    def wrong(self, name: str, why: str) -> MalformedError:
        """Say what is wrong with a field."""
        return MalformedError(f"has {name} wrong: {why}: {seen(self.text)}")

    def get(self, name: str) -> object:
        """Give a field that must be there."""
        if name not in self.fields:
            raise MalformedError(f"has no {name}: {seen(self.text)}")
        return self.fields[name]

    def integer(self, name: str) -> int:
        """Give a whole number."""
        value = self.get(name)
        if type(value) is not int:
            raise self.wrong(name, f"it must be a whole number, and is {shown(value)}")
        return value

    def text_of(self, name: str) -> str:
        """Give a text."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, f"it must be a text, and is {shown(value)}")
        return value

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """Give a text that is one of these."""
        value = self.text_of(name)
        if value not in allowed:
            raise self.wrong(name, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def number(self, name: str) -> float:
        """Give a float."""
        (value,) = self._floats(name, [self.get(name)])
        return value

    def floats(self, name: str, dtype: torch.dtype) -> Tensor:
        """Give a tensor of floats."""
        shape, data = self._tensor(name)
        return torch.tensor(self._floats(name, data), dtype=torch.float64).to(dtype).reshape(shape)

    def ids(self, name: str) -> Tensor:
        """Give a tensor of whole numbers, int64."""
        shape, data = self._tensor(name)
        return torch.tensor(self._integers(name, data), dtype=torch.int64).reshape(shape)

    def id_list(self, name: str) -> list[int]:
        """Give a plain list of whole numbers."""
        return self._integers(name, self._list(name, self.get(name)))

    def _list(self, name: str, value: object) -> list[object]:
        if not isinstance(value, list):
            raise self.wrong(name, f"it must be a list, and is {shown(value)}")
        return value

    def _tensor(self, name: str) -> tuple[list[int], list[object]]:
        value = self.get(name)
        if not isinstance(value, dict) or set(value) != {"shape", "data"}:
            raise self.wrong(
                name, f'it must be {{"shape": [...], "data": [...]}}, not {shown(value)}'
            )
        shape = self._integers(f"{name}.shape", self._list(f"{name}.shape", value["shape"]))
        data = self._list(f"{name}.data", value["data"])
        if any(length < 0 for length in shape) or math.prod(shape) != len(data):
            raise self.wrong(name, f"a shape of {shape} does not hold {len(data)} numbers")
        if math.prod(max(length, 1) for length in shape) >= INT64:
            raise self.wrong(name, f"a shape of {shape} is one that no tensor can have")
        return shape, data

    def _integers(self, name: str, values: list[object]) -> list[int]:
        whole: list[int] = []
        for value in values:
            if type(value) is int and -INT64 <= value < INT64:
                whole.append(value)
            elif type(value) is float and value.is_integer() and abs(value) < INT64:
                whole.append(int(value))  # of a language that has floats only
            else:
                raise self.wrong(name, f"{shown(value)} is no whole number of 64 bits")
        return whole

    def _floats(self, name: str, values: list[object]) -> list[float]:
        floats: list[float] = []
        for value in values:
            special = SPECIAL.get(value) if isinstance(value, str) else None
            if special is not None:
                floats.append(special)
            elif type(value) not in {int, float}:
                raise self.wrong(name, f"{shown(value)} is no number")
            elif abs(value) > sys.float_info.max:  # type: ignore[arg-type]  # as just asked
                raise self.wrong(name, "a number is greater than any float of 64 bits")
            else:
                floats.append(float(value))  # type: ignore[arg-type]  # likewise
        return floats


def shown(value: object) -> str:
    """Show a value of an answer in few characters."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
