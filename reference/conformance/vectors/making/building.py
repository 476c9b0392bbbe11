"""Every clause that a transcript can hold, as vectors; of every other one, why not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from math import fsum
from typing import Any

from reference.conformance.corner_cases import CASES
from reference.conformance.pipe.messages import Json
from reference.conformance.pipe.piped import PARTS
from reference.conformance.runner import isolated_streams
from reference.conformance.vectors.machine import rows
from reference.conformance.vectors.making.recording import AtRandomError
from reference.conformance.vectors.making.sensitivity import Judged, Unrecordable, recorded
from reference.conformance.vectors.vector import Vector, compact, id_of
from reference.spec.cases import (
    LAYOUTS,
    TINY,
    BatchCase,
    Case,
    PromptCase,
    TokensCase,
    TrainingCase,
)
from reference.spec.clause import Clause, Level
from reference.spec.subject import Part

LONGEST = 100
"""Tokens of a text that are written out; a longer one is cut for its vector."""

MOST, WIDEST = 36_000, 250_000
"""Characters of a vector; and of one with more tokens than a byte holds, which one clause has."""

LOOSE = 3
"""A question may be so many times as long before it is written in few characters."""

BYTE = 256
"""Tokens that a byte can tell apart."""

CONTIGUOUS = LAYOUTS[0]
FEW = 5
"""Tokens of one whose table is written out for a second vector of the same case."""

POSITIONS, COINS = 64, 2
"""Longest rows that are written out, but for those of the smallest vocabularies."""

STEPS = 3
"""Fewest batches of a case that is written out."""

WHOLE = 2.0**53
"""Below it every whole number is a float64."""

MOVES = {"generate", "train_step"}
"""Operations after which the table is asked for: it may have moved."""


class Reason(StrEnum):
    """Why a clause has no vectors, in the order in which they are looked for."""

    CHOICE = "choice"
    TORCH = "torch"
    SEED = "seed"
    LAW = "law"
    PROCESS = "process"


WHY: Mapping[Reason, str] = {
    Reason.CHOICE: "no answer is wrong",
    Reason.TORCH: "it is about tensors, parameters or generators, which JSON does not have",
    Reason.SEED: "it is about what a seed brings back, which no other language can repeat",
    Reason.LAW: "it is about the law of many draws: no one answer is wrong",
    Reason.PROCESS: "its check looks at what no answer holds: the numbers' type or memory, the "
    "model's mode, or two models at once",
}
OF_THE_PIPE = frozenset({*PARTS.values(), Part.GENERATE_NONE, Part.SEED})
"""Parts that a subject in another language can have."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """What there is for a clause: vectors, or the reason why there are none."""

    clause: Clause
    vectors: tuple[Vector, ...] = ()
    reason: Reason | None = None


def build(clauses: Iterable[Clause], kills: Mapping[str, tuple[str, ...]]) -> Iterator[Built]:
    """Make the vectors of each clause; `kills` names what each is known to catch, by id."""
    with isolated_streams():
        for clause in clauses:
            reason = declared(clause)
            if reason is not None:
                yield Built(clause=clause, reason=reason)
                continue
            try:
                vectors = tuple(_vectors(clause, kills))
            except AtRandomError:
                yield Built(clause=clause, reason=Reason.LAW)
            else:
                reason = None if vectors else Reason.PROCESS
                yield Built(clause=clause, vectors=vectors, reason=reason)


def declared(clause: Clause) -> Reason | None:
    """Give the reason that a clause itself declares, if it does."""
    if clause.level is Level.CHOICE:
        return Reason.CHOICE
    if not OF_THE_PIPE.issuperset(clause.parts):
        return Reason.TORCH
    return Reason.SEED if Part.SEED in clause.parts else None


def cases_of(clause: Clause) -> Iterator[Case]:
    """Give the corners of a clause that can be written out, texts cut."""
    for case in CASES[clause.case].corners:
        if isinstance(case, BatchCase) and case.N > LONGEST:
            yield replace(case, N=2 * case.block_size + 13)
        elif getattr(case, "table", 0) >= TINY:
            continue  # numbers of so many digits take much room
        elif isinstance(case, TokensCase) and len(case.idx[0]) > POSITIONS and case.C > COINS:
            continue  # so do scores of so many positions
        elif isinstance(case, TrainingCase) and len(case.batches) < STEPS and case.C > COINS:
            continue  # the longer ones show as much
        elif getattr(case, "layout", CONTIGUOUS) == CONTIGUOUS:
            yield case


def room(clause: Clause, case: Case) -> int:
    """Give the characters that a vector may have: many where a wide table is what it is about."""
    wide = getattr(case, "C", 0) > BYTE
    return WIDEST if wide and clause.parts == (Part.TABLE,) else MOST


def _vectors(clause: Clause, kills: Mapping[str, tuple[str, ...]]) -> Iterator[Vector]:
    of_a_law = "Alarm" in clause.remarks
    made: dict[str, Vector] = {}
    for case in cases_of(clause):
        draws = isinstance(case, PromptCase) and not of_a_law
        most = room(clause, case)
        ways = (True, False) if draws and getattr(case, "C", 0) <= FEW else (draws,)
        for certain in ways:
            try:
                transcripts = recorded(
                    clause, case, certain=certain, of_a_law=of_a_law, most=LOOSE * most
                )
            except Unrecordable:
                continue
            for transcript in transcripts:
                steps = tuple(map(_short, _merged(_written(transcript))))
                if _says_something(steps) and len(compact(steps)) <= most:
                    vector = _vector(clause, case, steps, kills)
                    made.setdefault(vector.id, vector)
    yield from made.values()


def _vector(
    clause: Clause, case: Case, steps: tuple[Json, ...], kills: Mapping[str, tuple[str, ...]]
) -> Vector:
    name = id_of(clause.id, steps)
    return Vector(
        id=name,
        clause=clause.id,
        level=clause.level.value,
        sentence=clause.sentence,
        why=_why(case),
        kills=kills.get(name, ()),
        steps=steps,
    )


def _why(case: Case) -> str:
    """Say what is tried."""
    first = (type(case).__doc__ or "").split("\n")[0]
    sizes = [
        f"{name} = {value}"
        for name in ("C", "N", "block_size", "batch_size", "n", "token")
        if (value := getattr(case, name, None)) is not None
    ]
    idx = getattr(case, "idx", None)
    if idx is not None:
        sizes[1:1] = [f"B = {len(idx)}", f"T = {len(idx[0])}"]
    return f"{first} {', '.join(sizes)}".strip()


def _says_something(steps: tuple[Json, ...]) -> bool:
    return any(step.get("expect") or step.get("expect_with_uniforms") for step in steps)


def _written(transcript: list[Judged]) -> Iterator[Json]:
    """Write the steps, up to the last that is judged; without what depends on a fresh table."""
    if any(not one.step.known and "values" in one.fields.values() for one in transcript):
        return
    judged = [
        number
        for number, one in enumerate(transcript)
        if one.fields or (one.answered and (one.step.answer or one.step.refused))
    ]
    moved = False
    for one in transcript[: max(judged, default=-1) + 1]:
        moved = moved or one.step.operation in MOVES
        if one.step.operation != "get_table" or moved:
            yield _step(one)


def _step(one: Judged) -> Json:
    step = one.step
    said: Json = {"op": step.operation, **step.fields}
    if step.refused:
        if one.answered:
            said["expect"] = {"error": True} | ({"names": step.named} if one.message else {})
        return said
    if not step.answer:
        return said | {"expect": {}}
    expect = {name: _field(one, name, how) for name, how in one.fields.items()}
    if "uniforms" not in step.fields or (step.certain and step.operation == "generate"):
        return said | ({"expect": expect} if expect or one.answered else {})
    said["expect_with_uniforms"] = expect
    said["expect"] = {
        name: field if how != "values" else _relation(step.operation, step.fields, name, field)
        for (name, how), field in zip(one.fields.items(), expect.values(), strict=True)
    }
    return said


def _field(one: Judged, name: str, how: str) -> Json | None:
    """Say what is expected of one field of an answer."""
    value, tolerance = one.step.answer[name], one.step.tolerances.get(name)
    if value is None:
        return None
    if how == "kind":
        return {}
    if how == "shape":
        return {"shape": value["shape"]}
    if how == "sums":
        sums = [whole(round(fsum(row), 12)) for row in rows(value)]
        return {"shape": value["shape"], "sums": sums, "tolerance": tolerance}
    field: Json = dict(value) if isinstance(value, dict) else {"value": value}
    return field if tolerance is None else field | {"tolerance": tolerance}


def _relation(operation: str, fields: Json, name: str, field: Json | None) -> Json:
    """Say what holds of tokens that are drawn, whatever the draws."""
    assert field is not None  # noqa: S101  tokens are never left out
    if operation == "generate":
        return {"shape": field["shape"]}
    text = "data" if operation == "get_batch" else f"{fields['split']}_data"
    return {"shape": field["shape"], "windows": text, "by": "xy".index(name)}


def _short(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    """Write floats that are whole without their point, to save a third of the room."""
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return whole(value) if isinstance(value, float) else value


def whole(value: float) -> object:
    """Give a whole number as one."""
    return int(value) if value.is_integer() and abs(value) < WHOLE else value


def _merged(steps: Iterator[Json]) -> Iterator[Json]:
    """Write equal steps that follow one another as one, with how often it is asked."""
    for _written, same in groupby(steps, key=compact):
        first, *others = same
        yield first | ({"repeat": 1 + len(others)} if others else {})
