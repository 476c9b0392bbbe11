"""A clause's example: the smallest case of the reference's own run, and what was asked of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from reference.conformance.corner_cases import CASES
from reference.conformance.runner import isolated_streams, try_case
from reference.conformance.subjects.own import reference_subject
from reference.spec.cases import Case
from reference.spec.clause import Clause
from reference.spec.expect import Asked, recorded

KILLS = Path(__file__).parents[2] / "spec/kills.json"
"""What each clause kills, and what each choice recorded, written by tests/mutants/matrix.py."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One case, the questions in their order, and for a choice what the reference does."""

    case: Case
    asked: tuple[Asked, ...]
    seen: str


def example_of(clause: Clause) -> Example | None:
    """Try the clause on the reference, with a case that is small and not trivial.

    Of a clause about a part that the reference lacks there is none.
    """
    if not set(clause.parts) <= reference_subject().parts:
        return None
    corners = CASES[clause.case].corners
    case = corners[min(2, len(corners) - 1)]
    with isolated_streams(), recorded() as asked:
        answer = try_case(clause, reference_subject(), case, seed=0)
    return Example(case=case, asked=tuple(asked), seen=str(answer))


def kills_of(clause: Clause) -> list[str]:
    """List the wrong implementations of the tests that the clause kills."""
    every: dict[str, list[str]] = json.loads(KILLS.read_text(encoding="utf-8"))["kills"]
    return every.get(clause.id, [])


def answers_of(clause: Clause) -> dict[str, list[str]]:
    """Give what a choice has recorded of implementations of the tests, and of which.

    The most usual behaviour comes first; of a clause that is no choice there is none.
    """
    text = KILLS.read_text(encoding="utf-8")
    every: dict[str, dict[str, list[str]]] = json.loads(text)["choices"]
    return every.get(clause.id, {})
