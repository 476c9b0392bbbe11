"""Answers the kit's questions: lines of JSON come on descriptor 3, and go on descriptor 4.

Copy it beside your model; nothing is to be installed. Standard output stays yours.
"""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Tensor(TypedDict):
    """Numbers as they travel: a shape, and the numbers in a row, the last place fastest."""

    shape: list[int]
    data: list[Any]


def floats(tensor: Tensor) -> list[float]:
    """Read the numbers of a tensor of floats; what JSON has no number for comes as a text."""
    return [SPECIAL[x] if isinstance(x, str) else float(x) for x in tensor["data"]]


def number(x: float) -> float | str:
    """Write a float."""
    if math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def tensor(shape: Sequence[int], data: Iterable[float]) -> Tensor:
    """Write a tensor."""
    return {"shape": list(shape), "data": [number(x) for x in data]}


def serve(
    subject: object,
    *,
    name: str,
    can: Sequence[str] = (),
    dtype: str = "float32",
    randomness: str = "uniforms",
) -> None:
    """Answer until the kit has no more questions.

    `subject` has a method for each operation. It takes the question's fields by their names, and
    gives a dict of the answer's, or None where there are none. What it raises is answered as an
    error, and is no fault here: a token that is none has to be refused.
    """
    hello = {
        "protocol": 1,
        "name": name,
        "can": list(can),
        "dtype": dtype,
        "randomness": randomness,
    }
    with open(3, "rb") as questions, open(4, "wb") as answers:
        for line in questions:
            question = json.loads(line)
            sequence, operation = question.pop("seq"), question.pop("op")
            if operation == "hello":
                answer = hello
            elif operation == "bye":
                answer = {}
            else:
                try:
                    answer = getattr(subject, operation)(**question) or {}
                except Exception as error:  # noqa: BLE001  whatever it is, it is told
                    answer = {"error": f"{type(error).__name__}: {error}"}
            message = json.dumps({"seq": sequence, **answer}, allow_nan=False)
            answers.write(message.encode() + b"\n")
            answers.flush()
            if operation == "bye":
                return
