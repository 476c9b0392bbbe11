"""What a vector is: a few questions of the pipe's, and what is expected of the answers."""

import json
from hashlib import sha256

from msgspec import Struct

from reference.conformance.pipe.messages import Json

VERSION = 1
"""Of the vectors' form. Another one is another folder; what is in a version's folder stays."""

DIGITS = 8
"""Of an id's fingerprint."""

SAID = ("expect", "expect_with_uniforms", "repeat")
"""The fields of a step that are no part of its question."""


class Vector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vector. Its steps are asked in order of one model, which none but they has seen."""

    id: str
    """The clause, and a fingerprint of the steps: other steps are another vector."""
    clause: str
    level: str
    sentence: str
    why: str
    kills: tuple[str, ...]
    steps: tuple[Json, ...]


def id_of(clause: str, steps: tuple[Json, ...]) -> str:
    """Name a vector by what it asks and expects."""
    return f"{clause}/{sha256(compact([clause, steps]).encode()).hexdigest()[:DIGITS]}"


def compact(value: object) -> str:
    """Write JSON in one way only."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":")
    )


def question(step: Json) -> Json:
    """Give the question of a step, its op aside."""
    return {name: value for name, value in step.items() if name not in {"op", *SAID}}


def expected(step: Json, *, uniforms: bool) -> Json | None:
    """Give what is expected of an answer, of one whose draws are made from the step's numbers.

    None is nothing at all: a refusal is right too.
    """
    expect: Json | None = step.get("expect")
    if uniforms and "expect_with_uniforms" in step:
        expect = step["expect_with_uniforms"]
    return expect
