"""What of each answer a check minds: found by making it wrong, one thing at a time.

So a vector of a clause about shapes says nothing of numbers, and a wrong loss does not show in a
vector about logits.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from reference.conformance.errors import SubjectCrash
from reference.conformance.pipe.messages import Json
from reference.conformance.vectors.making.recording import (
    Recorded,
    Recorder,
    Spoilt,
    Step,
    Transcript,
)
from reference.spec.cases import Case
from reference.spec.clause import Clause

FAR = 10**6
"""No token, and no score."""

LEAST, MOST = -32.0, 6.0
"""Powers of 10 between which a tolerance is."""

ANYTHING: Json = {
    **{
        name: {"shape": [0], "data": []}
        for name in ("logits", "table", "gradient", "idx", "x", "y", "probs")
    },
    "loss": 0.0,
    "C": 0,
    "ids": [],
    "text": "",
}
"""In place of a refusal."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A step, and what of its answer the check minds."""

    step: Step
    answered: bool = False
    """Whether it has to be answered, or refused where it is."""
    message: bool = False
    """Whether a refusal has to name the value at fault."""
    fields: dict[str, str] = field(default_factory=dict)
    """Of each field that matters: its "values", its rows' "sums", its "shape" or its "kind"."""


class Unrecordable(Exception):  # noqa: N818  a finding about a clause
    """What a check asks is no transcript; the message says why."""


def recorded(
    clause: Clause, case: Case, *, certain: bool, of_a_law: bool, most: int
) -> list[list[Judged]]:
    """Try a check on right answers, and give each transcript with what of it is minded.

    A transcript whose questions have more than so many characters is left out.

    Raises: Unrecordable; AtRandomError.
    """
    recorder = Recorder(certain=certain, of_a_law=of_a_law)
    failure = _tried(clause, recorder, case)
    if failure is not None:
        raise AssertionError(f"{clause.id} turns down exact answers: {failure}")
    notes = set(recorder.notes)
    if any(given._version for model in recorder.models for given in model.given):  # noqa: SLF001  torch's count of writes
        notes.add("whose memory an answer is")
    if notes:
        raise Unrecordable(", ".join(sorted(notes)))
    short = [one for one in recorder.transcripts if one.characters <= most]
    return [list(_judge_all(clause, recorder, case, one)) for one in short]


def _judge_all(
    clause: Clause, recorder: Recorder, case: Case, transcript: Transcript
) -> Iterator[Judged]:
    """Judge each step; one that trains at the end is judged by the table that it leaves."""
    table = None
    if transcript.steps and transcript.steps[-1].operation == "train_step":
        table = transcript.table()
    for step in transcript.steps:
        yield _judge(clause, recorder, case, step)
    if table is not None:
        yield Judged(step=table, answered=True, fields={"table": "values"})


def _tried(
    clause: Clause, recorder: Recorder, case: Case, spoilt: Spoilt | None = None
) -> str | None:
    """Give how the check fails, if it does."""
    recorder.begin(spoilt)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clause.check(Recorded(pool=recorder), case)
    except (Exception, SubjectCrash) as error:  # noqa: BLE001  broken, or it stumbles over the answer
        return str(error)
    return None


def _judge(clause: Clause, recorder: Recorder, case: Case, step: Step) -> Judged:
    def minds(spoil: Callable[[Step], Step]) -> bool:
        return _tried(clause, recorder, case, Spoilt(step.place, spoil)) is not None

    if step.refused:
        if not minds(lambda step: replace(step, refused=False, answer=ANYTHING)):
            return Judged(step=step)
        message = minds(lambda step: replace(step, named="it"))
        return Judged(step=step, answered=True, message=message)
    if not step.answer:  # there is nothing to mind: it has to be done
        return Judged(step=step, answered=True)
    matters: dict[str, str] = {}
    tolerances = dict(step.tolerances)
    for name, value in step.answer.items():

        def minds_it(other: object, name: str = name) -> bool:
            return minds(lambda step: _with(step, name, other))

        how = next((how for how, wrong in _wrong(value) if minds_it(wrong)), "")
        if how == "values" and isinstance(value, float):
            tolerances[name] = _accepted(lambda off, value=value: not minds_it(value + off))  # type: ignore[misc]  # bound now
        elif how == "values" and _in_rows(value) and not minds_it(_tilted(value)):
            how = "sums"
            tolerances[name] = _sums_accepted(value, minds_it)
        if how:
            matters[name] = how
    answered = bool(matters) or minds(lambda step: replace(step, refused=True, named="nothing"))
    return Judged(step=replace(step, tolerances=tolerances), answered=answered, fields=matters)


def _sums_accepted(value: Json, minds_it: Callable[[object], bool]) -> list[float]:
    """Find how far the sum of each row may be off."""
    return [
        _accepted(lambda off, row=row: not minds_it(_raised(value, row, off)))  # type: ignore[misc]  # bound now
        for row in range(value["shape"][0])
    ]


def _in_rows(value: Any) -> bool:  # noqa: ANN401  whatever an answer holds
    """Tell whether a field is a matrix of floats, of two columns or more."""
    if not isinstance(value, dict) or len(value["shape"]) != 2 or value["shape"][1] < 2:  # noqa: PLR2004  rows and columns
        return False
    return any(type(number) is float for number in value["data"])


def _tilted(value: Json) -> Json:
    """Raise the first number of each row, and lower the second by as much."""
    width = value["shape"][1]
    data = [
        number + {0: 0.25, 1: -0.25}.get(place % width, 0.0)
        for place, number in enumerate(value["data"])
    ]
    return {**value, "data": data}


def _raised(value: Json, row: int, off: float) -> Json:
    """Raise the first number of one row."""
    data = list(value["data"])
    data[row * value["shape"][1]] += off
    return {**value, "data": data}


def _accepted(accepts: Callable[[float], bool]) -> float:
    """Find how far a number may be off for the check to accept it, to either side."""
    low, high = LEAST, MOST
    while high - low > 1 / 200:  # of a power of 10
        middle = (low + high) / 2
        off = 10**middle
        if accepts(off) or accepts(-off):
            low = middle
        else:
            high = middle
    return float(f"{10**low:.1e}")


def _with(step: Step, name: str, value: object) -> Step:
    return replace(step, answer={**step.answer, name: value})


def _wrong(value: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401  whatever an answer holds
    """Give wrong values in place of a right one: the more is kept of it, the sooner."""
    if isinstance(value, dict):
        shape, data = value["shape"], value["data"]
        for sign in (-1, 1):
            yield "values", {"shape": shape, "data": [sign * (FAR + i) for i in range(len(data))]}
        larger = [*shape, 2]
        yield "shape", {"shape": larger, "data": [0] * prod(larger)}
    elif value is None:
        yield "kind", 0.0
    elif isinstance(value, float):
        yield "values", float(FAR)
        yield "kind", None
    elif isinstance(value, str):
        yield "values", value + "?"
    elif isinstance(value, list):
        for other in ([-FAR] * len(value), [FAR] * len(value), [*value, 0]):
            yield "values", other
    else:
        yield "values", value + FAR
        yield "values", value + 1
