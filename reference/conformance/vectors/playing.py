"""A vector is played: its questions are asked in order, and the answers held against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from reference.conformance.pipe.messages import Json, RefusalError
from reference.conformance.vectors.machine import rows
from reference.conformance.vectors.vector import Vector, expected, question

MOST_SHOWN = 200
"""Characters of a value that are shown."""


class NoSuchPartError(Exception):
    """The subject has nothing that could answer such a question."""


@runtime_checkable
class Player(Protocol):
    """What answers the questions of one vector, from `reset` on."""

    takes_uniforms: bool
    """Whether its draws are made from the numbers that a question brings."""

    def ask(self, operation: str, fields: Mapping[str, Any]) -> Json:
        """Answer.

        Raises: RefusalError; NoSuchPartError.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The first answer of a vector that is not as expected."""

    step: int
    """From 0."""
    operation: str
    expected: str
    seen: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a vector went."""

    vector: str
    mismatch: Mismatch | None = None
    skipped: str = ""
    """Why it says nothing of this subject, if it does not."""

    @property
    def kept(self) -> bool:
        """Whether all of it was answered as expected."""
        return self.mismatch is None and not self.skipped


def play(vector: Vector, player: Player) -> Outcome:
    """Play one vector, up to the first answer that is not as expected."""
    judged = 0
    for number, step in enumerate(vector.steps):
        expect = expected(step, uniforms=player.takes_uniforms)
        for _ in range(step.get("repeat", 1)):
            try:
                said = _asked(player, step, expect)
            except NoSuchPartError as error:
                return Outcome(vector=vector.id, skipped=str(error))
            if said is not None:
                mismatch = Mismatch(
                    step=number, operation=step["op"], expected=said[0], seen=said[1]
                )
                return Outcome(vector=vector.id, mismatch=mismatch)
        judged += bool(expect)
    if not judged:
        return Outcome(vector=vector.id, skipped="the subject makes its draws from nothing given")
    return Outcome(vector=vector.id)


def _asked(player: Player, step: Json, expect: Json | None) -> tuple[str, str] | None:
    """Ask a question; give what was expected and seen, where that is not alike."""
    try:
        answer = player.ask(step["op"], question(step))
    except RefusalError as error:
        if expect is None:
            return None
        if not expect.get("error"):
            return "an answer", f"an error: {error}"
        names = expect.get("names", "")
        return None if names in str(error) else (f"an error that names {names!r}", str(error))
    if expect is None:
        return None
    if expect.get("error"):
        return "an error", shown(answer)
    differences = (differs(step, name, want, answer) for name, want in expect.items())
    return next(filter(None, differences), None)


def differs(step: Json, name: str, want: Json | None, answer: Json) -> tuple[str, str] | None:
    """Hold one field of an answer against what is expected of it; give both where they differ."""
    have = answer.get(name)
    if want is None or have is None:
        return None if want is have else (f"{name}: {shown(want)}", shown(have))
    if not isinstance(have, dict):
        return _number(name, want, have)
    if have["shape"] != want.get("shape"):
        if "shape" not in want:
            return f"{name}: one number", f"shape {have['shape']}"
        return f"{name}: shape {want['shape']}", f"shape {have['shape']}"
    return _tensor(step, name, want, answer)


def _tensor(step: Json, name: str, want: Json, answer: Json) -> tuple[str, str] | None:
    if "windows" in want:
        return _window(step, name, want, answer)
    have = answer[name]
    if "sums" in want:
        sums = [sum(row) for row in rows(have)]
        return _each(f"the sums of {name}", want["sums"], sums, want["tolerance"])
    return _each(name, want.get("data", ()), have["data"], want.get("tolerance", 0))


def _each(
    name: str, want: Sequence[object], have: Sequence[object], tolerances: object
) -> tuple[str, str] | None:
    for place, number in enumerate(want):
        tolerance = tolerances[place] if isinstance(tolerances, list) else tolerances
        if not near(have[place], number, tolerance):
            within = f" within {tolerance}" if tolerance else ""
            return f"{name}[{place}]: {number}{within}", str(have[place])
    return None


def _number(name: str, want: Json, have: object) -> tuple[str, str] | None:
    if "shape" in want:
        return f"{name}: shape {want['shape']}", shown(have)
    if "value" not in want or near(have, want["value"], want.get("tolerance", 0)):
        return None
    within = f" within {want['tolerance']}" if want.get("tolerance") else ""
    return f"{name}: {shown(want['value'])}{within}", shown(have)


def _window(step: Json, name: str, want: Json, answer: Json) -> tuple[str, str] | None:
    """Each row is a piece of the text, by so many tokens after where the row of x starts."""
    data, (B, T) = step[want["windows"]]["data"], want["shape"]
    for b in range(B):
        first, row = answer["x"]["data"][b * T], answer[name]["data"][b * T : (b + 1) * T]
        start = data.index(first) + want["by"] if first in data else None
        if start is None or row != data[start : start + T]:
            return f"{name}[{b}]: a window of {want['windows']}", shown(row)
    return None


def near(have: object, want: object, tolerance: Any) -> bool:  # noqa: ANN401  a number
    """Tell whether two values are alike, numbers within the tolerance; NaN is like nothing."""
    if isinstance(have, (int, float)) and isinstance(want, (int, float)):
        return bool(abs(have - want) <= tolerance)
    return have == want


def shown(value: object) -> str:
    """Show a value in few characters."""
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
