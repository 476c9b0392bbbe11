"""What a run saw, as `seen.json` keeps it."""

import json
import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allowed import REASONS
from instrument import Fault, Site

HERE = Path(__file__).resolve().parent
SEEN = HERE / "seen.json"
BEFORE = HERE / "before.json"
"""The same faults against the clauses as they were before any was changed for them."""
OUTCOMES = ("killed", "allowed", "survived", "equivalent", "kit-error")
PARTS = {
    "batch": "get_batch",
    "softmax": "softmax",
    "vocabulary": "vocabulary",
    "training": "training step",
}
"""Parts outside of the model, by the concept of their clauses."""


@dataclass(frozen=True)
class Judged:
    """One fault, and what became of it."""

    right: str
    concepts: tuple[str, ...] | None
    site: Site
    fault: Fault
    found: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """What became of it; one that was never applied is equivalent too."""
        outcome: str = self.found["outcome"]
        return "equivalent" if outcome == "never" else outcome

    @property
    def part(self) -> str:
        """The part of the notes' code that it is in."""
        for concept in self.concepts or ():
            if concept in PARTS:
                return PARTS[concept]
        name = self.site.function.partition(":")[2]
        if "__init__" in name:
            return "construction"
        return "generate" if re.search("generate|draw|sample", name) else "forward"

    @property
    def name(self) -> str:
        """What the record calls it, whatever line it is in."""
        return f"{self.site.place} | {self.fault.operator}, {self.fault.condition}"

    def line(self) -> str:
        """Return it as JSON, in one line."""
        at = {"right": self.right, "part": self.part, "at": self.site.name}
        return json.dumps(at | vars(self.fault) | dict(self.found))


def record(
    every: Sequence[Judged], inputs: str, *, faults: int, expressions: int
) -> dict[str, Any]:
    """Return the record of a run whose inputs have this digest."""
    by_all = [one for one in every if one.outcome == "killed" and one.found.get("by_all")]
    broken = sorted(len(one.found["clauses"]) for one in by_all)
    told: dict[str, Any] = {
        "faults": faults,
        "expressions": expressions,
        "judged": len(every),
        "outcomes": tallied(one.outcome for one in every),
        "killed": shares(Counter(one.outcome for one in every)),
        "before": json.loads(BEFORE.read_text(encoding="utf-8")),
        "by part": grouped((one.part, one.outcome) for one in every),
        "by operator": grouped((one.fault.operator, one.outcome) for one in every),
        "by condition": grouped((one.fault.condition, one.outcome) for one in every),
        "by all clauses": {
            "killed": len(broken),
            "median": statistics.median(broken) if broken else 0,
            "95th percentile": broken[math.ceil(0.95 * len(broken)) - 1] if broken else 0,
        },
        "kills, and alone": kills(every),
        "allowed": allowed(every),
        "survived": {
            one.name: one.found.get("gap", "") for one in every if one.outcome == "survived"
        },
        "digest": inputs,
    }
    return told


def tallied(outcomes: Iterable[str]) -> str:
    """Return how often each outcome occurs, in few words."""
    counts = Counter(outcomes)
    return ", ".join(f"{counts[name]} {name}" for name in OUTCOMES)


def shares(counts: Mapping[str, int]) -> str:
    """Return which share of the faults is killed."""
    killed, survived = counts.get("killed", 0), counts.get("survived", 0)
    changing = killed + survived + counts.get("allowed", 0)
    return (
        f"{killed / max(killed + survived, 1):.2%} of {killed + survived} that break a promise, "
        f"{killed / max(changing, 1):.2%} of {changing} that change anything"
    )


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[int]]:
    """Return how often each of `OUTCOMES` occurs in each group, in that order."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for group, outcome in pairs:
        groups[group][outcome] += 1
    return {name: [groups[name][one] for one in OUTCOMES] for name in sorted(groups)}


def kills(every: Sequence[Judged]) -> dict[str, list[int]]:
    """Count for each clause the faults that it is the first to kill, and those it kills alone.

    Alone are those of the faults that were judged by all clauses and broke no other one.
    """
    first: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for one in every:
        clauses = one.found.get("clauses", [])
        first.update(clauses[:1])
        if one.found.get("by_all") and len(clauses) == 1:
            alone.update(clauses)
    return {name: [first[name], alone[name]] for name in sorted(first)}


def allowed(every: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """List what is allowed, by the kind of change, with the reason, and by function."""
    kinds: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in every:
        if one.outcome == "allowed":
            when = "" if one.fault.condition == "always" else f" if {one.fault.condition}"
            what = f"{one.site.text}: {one.fault.operator}{when}"
            kinds[one.found["reason"]][one.site.function].append(what)
    return {
        kind: {
            "why": REASONS[kind],
            "count": sum(map(len, found.values())),
            "in": {name: "; ".join(sorted(found[name])) for name in sorted(found)},
        }
        for kind, found in sorted(kinds.items())
    }


def text_of(seen: Mapping[str, Any]) -> str:
    """Return the text of `seen.json`, lists of numbers in one line each."""
    text = json.dumps(seen, indent=1, ensure_ascii=False)
    return re.sub(r"\[[\d,\s]+\]", lambda found: " ".join(found[0].split()), text) + "\n"


def seen() -> dict[str, Any]:
    """Return what the run that is recorded saw, or nothing."""
    found: dict[str, Any] = json.loads(SEEN.read_text(encoding="utf-8")) if SEEN.exists() else {}
    return found
