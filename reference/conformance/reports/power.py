"""The smallest fault of each family that a clause judging by chance is all but sure to notice."""

import json
from pathlib import Path
from typing import TypedDict

POWER = Path(__file__).parents[2] / "spec/power.json"
"""The tables, written by tests/mutants/power.py."""


class Power(TypedDict):
    """A clause's table: a column for each model in which faults were planted."""

    digest: str
    """Of the cases and the code on which the figures depend."""
    columns: list[str]
    rows: dict[str, list[str]]
    """For each family of faults, one figure a column."""


def power_of(clause_id: str) -> Power | None:
    """Return the table of a clause, or None if there is none."""
    every: dict[str, Power] = json.loads(POWER.read_text(encoding="utf-8"))
    return every.get(clause_id)
