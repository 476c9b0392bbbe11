"""The figures of the machine-made faults, as `tests/faults/seen.json` records them."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes

from spec_site.domain import reference_to

SEEN = Path(__file__).resolve().parents[2] / "tests/faults/seen.json"
HEADS = ["Killed", "Allowed", "Survived", "Equivalent"]

Rows = Sequence[Sequence[Sequence[nodes.Node]]]
Table = tuple[list[str], Rows, list[int]]
"""What stands above the columns, the rows, and how wide the columns are."""


@cache
def seen() -> dict[str, Any]:
    """Read the record."""
    found: dict[str, Any] = json.loads(SEEN.read_text(encoding="utf-8"))
    return found


def text(shown: object) -> Sequence[nodes.Node]:
    """Return a cell of plain text."""
    return [nodes.Text(f"{shown:,}" if isinstance(shown, int) else str(shown))]


def summary(page: str) -> Table:
    """Return the totals."""
    record = seen()
    by_all, before = record["by all clauses"], record["before"]
    told = {
        "Faults": f"{record['faults']:,}, at {record['expressions']:,} expressions",
        "Judged": f"{record['judged']:,}: {record['outcomes']}",
        "Killed": record["killed"],
        "Killed before any clause was changed": before["told"],
        "Clauses that a killed fault fails": (
            f"{by_all['median']:g} in the median, {by_all['95th percentile']} at the 95th "
            f"percentile, of {by_all['killed']:,} that were judged by all clauses"
        ),
    }
    return ["", "Figure"], [[text(name), text(value)] for name, value in told.items()], [35, 65]


def groups(name: str) -> Table:
    """Return what became of each part, operator or condition."""
    rows = [
        [[nodes.literal("", one)], *(text(count) for count in counts[: len(HEADS)])]
        for one, counts in seen()[name].items()
    ]
    return [name.removeprefix("by ").capitalize(), *HEADS], rows, [40, 15, 15, 15, 15]


def clauses(page: str) -> Table:
    """Return how many faults each clause kills."""
    rows = [
        [[reference_to("spec", "clause", name, page)], text(first), text(alone)]
        for name, (first, alone) in seen()["kills, and alone"].items()
        if "." in name
    ]
    return ["Clause", "Kills first", "Kills alone"], rows, [60, 20, 20]


def allowed(page: str) -> Table:
    """Return what the contract allows, and why."""
    rows = [[text(f"It {one['why']}."), text(one["count"])] for one in seen()["allowed"].values()]
    return ["What the fault does", "Faults"], rows, [85, 15]


def survivors(page: str) -> Table:
    """Return each survivor, and what it breaks."""
    rows = [[[nodes.literal("", name)], text(gap)] for name, gap in seen()["survived"].items()]
    return ["Fault", "What it breaks"], rows or [[text("none"), text("")]], [55, 45]
