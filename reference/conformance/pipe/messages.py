"""Every message of the protocol, with an example, and the JSON Schema that is made from them."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

VERSION = 1
"""Version of the protocol. A subject that is asked for a different one answers with an error."""

SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""Floats that JSON lacks, by the texts that stand for them."""

Json = dict[str, Any]
"""A JSON object."""


class Can(StrEnum):
    """What a subject may say in its hello that it can do; `reset` and `forward` are not asked."""

    LOSS = "loss"
    """forward takes targets, and gives the loss."""
    TABLE = "table"
    """set_table and get_table: to set it alone would leave its changes unseen."""
    GRADIENT = "gradient"
    """It gives the gradient of the loss by the table."""
    GENERATE = "generate"
    GET_BATCH = "get_batch"
    GET_SPLIT_BATCH = "get_split_batch"
    TRAIN_STEP = "train_step"
    SOFTMAX = "softmax"
    VOCABULARY = "vocabulary"
    """encode, decode and vocabulary."""


class Randomness(StrEnum):
    """Where a subject's draws come from."""

    UNIFORMS = "uniforms"
    """The kit supplies a number in [0, 1) for each: so sampling is comparable across languages."""
    SEED = "seed"
    """The kit supplies a seed with every operation that draws."""
    OWN = "own"
    """Only the law of the draws can be judged."""


class RefusalError(Exception):
    """A question is answered with an error; `named` is the value at fault, if that is known."""

    def __init__(self, message: str, named: str = "") -> None:
        super().__init__(message)
        self.named = named


class Message(NamedTuple):
    """A question or an answer: its fields beside seq and op, and an example of them."""

    fields: str
    """Names of the fields; one that ends in ? may be missing."""
    example: Json
    description: str = ""


def _tensor(*shape: int, of: tuple[int, ...] | tuple[float, ...]) -> Json:
    return {"shape": list(shape), "data": list(of)}


def _part(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Mapping[str, Json], required: list[str]) -> Json:
    """Return what describes an object that has these properties and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": dict(properties),
    }


INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
INTEGERS = {"type": "array", "items": INTEGER}
FLOATS = {"type": "array", "items": _part("float")}

PARTS: dict[str, Json] = {
    "ids": {
        "description": "Whole numbers, such as tokens: row-major, the last place fastest.",
        **_object({"shape": _part("shape"), "data": INTEGERS}, ["shape", "data"]),
    },
    "floats": {
        "description": "Floats, row-major. Each in enough digits to name it and no other.",
        **_object({"shape": _part("shape"), "data": FLOATS}, ["shape", "data"]),
    },
    "float": {
        "description": "JSON has no NaN and no infinity: they are texts.",
        "oneOf": [{"type": "number"}, {"enum": list(SPECIAL)}],
    },
    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    "uniforms": {
        "description": "One number in [0, 1) for each draw, where the hello says randomness: "
        "uniforms.",
        **_part("floats"),
    },
    "seed": {
        "description": "Where the hello says randomness: seed.",
        "type": "integer",
        "minimum": 0,
        "maximum": 2**32 - 1,
    },
    "seq": {
        "description": "Counts the questions from 0; an answer gives it back.",
        "type": "integer",
        "minimum": 0,
    },
}

FIELDS: dict[str, Json] = {
    "protocol": {"const": VERSION},
    **{name: _part(name) for name in ("seq", "seed", "uniforms")},
    **dict.fromkeys(("idx", "targets", "data", "train_data", "val_data", "x", "y"), _part("ids")),
    **dict.fromkeys(("table", "logits", "gradient", "probs"), _part("floats")),
    **dict.fromkeys(("max_new_tokens", "block_size", "batch_size", "C"), INTEGER),
    **dict.fromkeys(("split", "corpus", "text", "name", "error"), TEXT),
    "ids": INTEGERS,
    "first": {"type": "boolean"},
    "loss": {"oneOf": [{"type": "null"}, _part("float")]},
    "can": {"type": "array", "uniqueItems": True, "items": {"enum": list(Can)}},
    "dtype": {"enum": ["float32", "float64"]},
    "randomness": {"enum": list(Randomness)},
}
"""What each field holds, in whichever message it stands."""

ONE = _tensor(1, 1, of=(0,))
NEXT = _tensor(1, 1, of=(1,))
TABLE = _tensor(2, 2, of=(0.0, 0.0, 0.0, 30.0))

QUESTIONS = {
    "hello": Message(
        "protocol", {"protocol": VERSION}, "The first question: what there is to be judged."
    ),
    "reset": Message(
        "C seed?",
        {"C": 2},
        "Make a fresh model of C tokens, and forget the last one; the seed, if there is one, is "
        "for the table that it begins with.",
    ),
    "set_table": Message(
        "table", {"table": TABLE}, "Write the table, (C, C), row = current token."
    ),
    "get_table": Message("", {}, "Read the table."),
    "forward": Message(
        "idx targets?",
        {"idx": ONE, "targets": NEXT},
        "Without targets: logits (B, T, C), and no loss. With them: logits (B*T, C), and the mean "
        "loss in nats. An idx of another rank, and targets of another shape, come too, and may be "
        "refused.",
    ),
    "gradient": Message(
        "idx targets",
        {"idx": ONE, "targets": NEXT},
        "The derivative of that loss by the table, (C, C).",
    ),
    "generate": Message(
        "idx max_new_tokens uniforms? seed?",
        {"idx": ONE, "max_new_tokens": 2, "uniforms": _tensor(2, 1, of=(0.25, 0.75))},
        "Continue idx, (B, T), by max_new_tokens to (B, T+n). uniforms is (n, B): with u = "
        "uniforms[t, b], the new token of row b is the first j with u < P[0] + ... + P[j].",
    ),
    "get_batch": Message(
        "data block_size batch_size uniforms? seed?",
        {
            "data": _tensor(5, of=(1, 2, 3, 4, 5)),
            "block_size": 2,
            "batch_size": 2,
            "uniforms": _tensor(2, of=(0.0, 0.4)),
        },
        "Draw x and y, (B, T) each, from data, (N,), which may be a million tokens. uniforms is "
        "(B,): with u = uniforms[b], row b starts at floor(u K), where K is the number of places "
        "that yours draws from.",
    ),
    "get_split_batch": Message(
        "train_data val_data split block_size batch_size uniforms? seed?",
        {
            "train_data": _tensor(3, of=(1, 2, 3)),
            "val_data": _tensor(3, of=(7, 8, 9)),
            "split": "val",
            "block_size": 1,
            "batch_size": 1,
            "uniforms": _tensor(1, of=(0.0,)),
        },
        "The same, from the split of that name: train or val.",
    ),
    "train_step": Message(
        "idx targets first",
        {"idx": ONE, "targets": NEXT, "first": True},
        "One step of AdamW, lr 1e-3, on the loss of a batch; first: with an optimizer that "
        "remembers nothing.",
    ),
    "softmax": Message(
        "logits",
        {"logits": _tensor(1, 2, of=(3.5, 3.5))},
        "Turn logits, (B, C), into probabilities, row by row.",
    ),
    "vocabulary": Message(
        "corpus", {"corpus": "hello"}, "How many characters the vocabulary of a text has."
    ),
    "encode": Message(
        "corpus text",
        {"corpus": "hello", "text": "hole"},
        "The ids of a text, in the vocabulary of a corpus.",
    ),
    "decode": Message("corpus ids", {"corpus": "hello", "ids": [1, 0]}, "The text of ids."),
    "bye": Message("", {}, "The last question: the process is to end."),
}

ANSWERS = {
    "hello": Message(
        "protocol name can dtype randomness",
        {
            "protocol": VERSION,
            "name": "my bigram",
            "can": ["loss", "table"],
            "dtype": "float64",
            "randomness": "uniforms",
        },
    ),
    "reset": Message("", {}),
    "set_table": Message("", {}),
    "get_table": Message("table", {"table": TABLE}),
    "forward": Message(
        "logits loss?", {"logits": _tensor(1, 2, of=(0.0, 0.0)), "loss": 0.6931471805599453}
    ),
    "gradient": Message("gradient", {"gradient": _tensor(2, 2, of=(0.5, -0.5, 0.0, 0.0))}),
    "generate": Message("idx", {"idx": _tensor(1, 3, of=(0, 0, 1))}),
    "get_batch": Message(
        "x y", {"x": _tensor(2, 2, of=(1, 2, 2, 3)), "y": _tensor(2, 2, of=(2, 3, 3, 4))}
    ),
    "get_split_batch": Message("x y", {"x": _tensor(1, 1, of=(7,)), "y": _tensor(1, 1, of=(8,))}),
    "train_step": Message("", {}),
    "softmax": Message("probs", {"probs": _tensor(1, 2, of=(0.5, 0.5))}),
    "vocabulary": Message("C", {"C": 4}),
    "encode": Message("ids", {"ids": [1, 3, 2, 0]}),
    "decode": Message("text", {"text": "he"}),
    "bye": Message("", {}),
    "error": Message("error", {"error": "token 2 is not in 0 to 1"}, "In place of any answer."),
}


def schema() -> Json:
    """Return the JSON Schema of all messages."""
    places = {name: place for place, name in enumerate(QUESTIONS)} | {"error": 4}
    questions = {
        name: _described(message, {"seq": places[name], "op": name})
        for name, message in QUESTIONS.items()
    }
    answers = {
        name: _described(message, {"seq": places[name]}) for name, message in ANSWERS.items()
    }
    questions["reset"]["properties"]["C"] = {"type": "integer", "minimum": 1}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bigram-reference:pipe:{VERSION}",
        "title": f"The pipe protocol, version {VERSION}",
        "description": "A subject is started as a process. On descriptor 3 it reads questions and "
        "on 4 it writes answers, one JSON object a line, UTF-8, each line ended by a newline. It "
        "answers every question, in order. What it cannot do, as a token that is none, it answers "
        "with an error and goes on.",
        "oneOf": [_part("question"), _part("answer")],
        "$defs": {
            **PARTS,
            "questions": questions,
            "answers": answers,
            "question": {"oneOf": [_part(f"questions/{name}") for name in questions]},
            "answer": {"anyOf": [_part(f"answers/{name}") for name in answers]},
        },
    }


def _described(message: Message, first: Json) -> Json:
    """Return what describes a message; `first` comes before its fields in the example."""
    names = message.fields.split()
    kinds = {"seq": _part("seq"), "op": {"const": first.get("op")}}
    properties = {name: kinds[name] for name in first}
    properties |= {name.rstrip("?"): FIELDS[name.rstrip("?")] for name in names}
    required = [*first, *(name for name in names if not name.endswith("?"))]
    told = {"description": message.description} if message.description else {}
    return {
        **told,
        **_object(properties, required),
        "examples": [{**first, **message.example}],
    }
