"""A bigram model at the other end of a pipe, right but for one thing, which an argument names.

It needs nothing but Python, so that it is there at once.
"""
# ruff: noqa: S603  it starts nothing but Python

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

QUESTIONS, ANSWERS = 3, 4
FLOOD = 100 * 2**20
Fields = dict[str, Any]

table: list[list[float]] = []


def softmax_of(row: list[float]) -> list[float]:
    powers = [math.exp(score - max(row)) for score in row]
    return [power / sum(powers) for power in powers]


def split(tensor: Fields) -> list[list[Any]]:
    B, T = tensor["shape"]
    return [tensor["data"][b * T : (b + 1) * T] for b in range(B)]


def joined(rows: list[list[Any]], width: int) -> Fields:
    return {"shape": [len(rows), width], "data": [one for row in rows for one in row]}


def row_of(token: int) -> list[float]:
    if not 0 <= token < len(table):
        raise ValueError(f"token {token} is not in 0 to {len(table) - 1}")
    return table[token]


def reset(asked: Fields) -> Fields:
    C = asked["C"]
    table[:] = [[((i * 7 + j * 3) % 11) / 4 for j in range(C)] for i in range(C)]
    return {}


def set_table(asked: Fields) -> Fields:
    table[:] = split(asked["table"])
    return {}


def get_table(_asked: Fields) -> Fields:
    return {"table": joined(table, len(table))}


def forward(asked: Fields) -> Fields:
    shape = [*asked["idx"]["shape"], len(table)]
    data = [score for token in asked["idx"]["data"] for score in row_of(token)]
    return {"logits": {"shape": shape, "data": data}, "loss": None}


def draw(token: int, u: float) -> int:
    total = 0.0
    for drawn, share in enumerate(softmax_of(row_of(token))):
        total += share
        if u < total:
            return drawn
    return len(table) - 1


def generate(asked: Fields) -> Fields:
    rows, n = split(asked["idx"]), max(asked["max_new_tokens"], 0)
    for step in split(asked["uniforms"]):
        for row, u in zip(rows, step, strict=True):
            row.append(draw(row[-1], u))
    return {"idx": joined(rows, asked["idx"]["shape"][1] + n)}


def softmax(asked: Fields) -> Fields:
    return {
        "probs": joined([softmax_of(row) for row in split(asked["logits"])], table_width(asked))
    }


def table_width(asked: Fields) -> int:
    width: int = asked["logits"]["shape"][1]
    return width


OPERATIONS: dict[str, Callable[[Fields], Fields]] = {
    "reset": reset,
    "set_table": set_table,
    "get_table": get_table,
    "forward": forward,
    "generate": generate,
    "softmax": softmax,
    "bye": lambda _asked: {},
}
HELLO = {
    "protocol": 1,
    "name": "a hostile one",
    "can": ["table", "generate", "softmax"],
    "dtype": "float64",
    "randomness": "uniforms",
}


def line(message: Fields) -> bytes:
    return json.dumps(message).encode() + b"\n"


def write(data: bytes) -> None:
    while data:
        data = data[os.write(ANSWERS, data) :]


# -- what is done in place of an answer, or to it --

Step = Callable[[bytes], object]


def right(line: bytes) -> None:
    write(line)


def half(line: bytes) -> None:
    write(line[:15])


def waits(_line: bytes) -> None:
    time.sleep(1e6)


def ends(status: int) -> Step:
    return lambda _line: os._exit(status)


def floods(descriptor: int) -> Step:
    """Write 100 MB, the first time."""
    left = [FLOOD // 2**16]

    def step(_line: bytes) -> None:
        while left[0]:
            os.write(descriptor, b"x" * 2**16)
            left[0] -= 1

    return step


def writes(data: bytes) -> Step:
    return lambda _line: write(data)


def closes(descriptor: int) -> Step:
    return lambda _line: os.close(descriptor)


def bit_by_bit(line: bytes) -> None:
    for byte in line:
        write(bytes([byte]))


def leaves_another(_line: bytes) -> None:
    """Start a process that holds the descriptors open."""
    wait = "import time; time.sleep(1e6)"
    subprocess.Popen([sys.executable, "-c", wait], pass_fds=[QUESTIONS, ANSWERS])


def first_number(answer: Fields, value: object) -> Fields:
    return answer | {"probs": answer["probs"] | {"data": [value, *answer["probs"]["data"][1:]]}}


def at_most(count: int, tensor: Fields) -> Fields:
    """Leave numbers out of a tensor, and keep its shape."""
    return tensor | {"data": tensor["data"][:count]}


INSTEAD: dict[str, tuple[Step, ...]] = {
    "exits": (lambda _line: os.write(2, b"warning\nnot today\n"), ends(3)),
    "ends_well": (ends(0),),
    "aborts": (lambda _line: os.abort(),),
    "is_killed": (lambda _line: os.kill(os.getpid(), signal.SIGKILL),),
    "leaves_another": (leaves_another, ends(3)),
    "ends_halfway": (half, ends(0)),
    "ends_after": (right, ends(0)),
    "hangs": (waits,),
    "hangs_halfway": (half, waits),
    "stops": (lambda _line: os.kill(os.getpid(), signal.SIGSTOP),),
    "closes_answers": (closes(ANSWERS), waits),
    "closes_questions": (closes(QUESTIONS), right, waits),
    "garbage": (writes(b"\xff\x1b[2J\n"),),
    "prints_to_the_pipe": (writes(b"loss 2.3\n"), right),
    "blank": (writes(b"\n"), right),
    "list": (writes(b"[1]\n"),),
    "deep": (writes(b"[" * 10**6 + b"\n"),),
    "floods": (floods(ANSWERS),),
    "prints_much": (floods(1), right),
    "twice": (right, right),
    "bit_by_bit": (bit_by_bit,),
}
"""What is written in place of the right line."""

CHANGES: dict[str, Callable[[Fields], Fields]] = {
    "wrong_number": lambda answer: answer | {"seq": answer["seq"] - 1},
    "no_number": lambda answer: {"probs": answer["probs"]},
    "number_as_text": lambda answer: answer | {"seq": str(answer["seq"])},
    "no_field": lambda answer: {"seq": answer["seq"]},
    "nested": lambda answer: answer | {"probs": [[0.5, 0.5]]},
    "short": lambda answer: answer | {"probs": answer["probs"] | {"data": [0.5]}},
    "at_most_100": lambda answer: answer | {"logits": at_most(100, answer["logits"])},
    "negative_shape": lambda answer: answer | {"probs": {"shape": [-1, -1], "data": [0.5]}},
    "bare_nan": lambda answer: first_number(answer, math.nan),
    "bare_infinity": lambda answer: first_number(answer, math.inf),
    "nan": lambda answer: first_number(answer, "NaN"),
    "infinity": lambda answer: first_number(answer, "Infinity"),
    "text": lambda answer: first_number(answer, "0.5"),
    "truth": lambda answer: first_number(answer, True),
    "huge": lambda answer: first_number(answer, 10**400),
    "null_error": lambda answer: {"seq": answer["seq"], "error": None},
    "speaks_another": lambda answer: answer | {"protocol": 2},
    "can_fly": lambda answer: answer | {"can": ["fly"]},
    "can_nothing_listed": lambda answer: answer | {"can": "softmax"},
    "of_halves": lambda answer: answer | {"dtype": "float16"},
    "of_dice": lambda answer: answer | {"randomness": "dice"},
    "gradient_alone": lambda answer: answer | {"can": ["gradient"]},
    "refuses": lambda answer: {"seq": answer["seq"], "error": "I would rather\nnot"},
}
"""What becomes of the right answer."""


def answer(fields: Fields) -> Fields:
    seq, op = fields["seq"], fields["op"]
    if op == "hello":
        return {"seq": seq, **HELLO}
    try:
        return {"seq": seq, **OPERATIONS[op](fields)}
    except ValueError as error:
        return {"seq": seq, "error": str(error)}


def changed(name: str, answered: Fields) -> Fields:
    """A refusal stays as it is where it has not the field that is changed."""
    return answered if "error" in answered else CHANGES[name](answered)


def serve(questions: BinaryIO, name: str, at: str) -> None:
    """Do it at every such operation; at softmax only from the first that is not all zeros."""
    for text in questions:
        fields = json.loads(text)
        answered = answer(fields)
        quiet = at == "softmax" and not any(fields.get("logits", {}).get("data", ()))
        if fields["op"] != at or quiet:
            write(line(answered))
        elif name in INSTEAD:
            for step in INSTEAD[name]:
                step(line(answered))
        else:
            write(line(changed(name, answered)))
        if fields["op"] == "bye":
            return


if __name__ == "__main__":
    serve(os.fdopen(QUESTIONS, "rb"), *sys.argv[1:])
