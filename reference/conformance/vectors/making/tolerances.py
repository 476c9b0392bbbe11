"""How far each number of a tensor may be off: as far as the clauses allow, or not at all.

A float32 model has to pass, and so does one that computes in a different order. How far a loss may
be off is asked of the check itself, in `sensitivity`.
"""

from collections.abc import Mapping
from math import ceil, log10
from typing import Any

import torch

from reference.conformance.vectors.machine import Machine, rows
from reference.spec.measures import EPS, gradient_tolerance, softmax_tolerance, step_tolerance

FEW, MORE = 3.0, 5.0
"""Scores of softmax.ratio, and with the 2 that softmax.shift adds."""


def allowed(operation: str, fields: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Return the tolerance of each field of an answer that is not exact.

    One number stands for all entries, a list for each its own.
    """
    if operation == "gradient":
        return {"gradient": _of_gradient(fields["idx"]["data"], machine)}
    if operation == "get_table" and machine.steps:  # of training.state, for each step
        return {"table": rounded(machine.steps * step_tolerance(_table(machine)))}
    if operation == "softmax":
        return {"probs": rounded(_of_softmax(rows(fields["logits"])))}
    return {}


def rounded(tolerance: float) -> float:
    """Round up to two digits: enough for a bound, and the same on every machine."""
    if tolerance == 0:
        return 0.0
    power = int(log10(tolerance) // 1) - 1
    return float(f"{ceil(tolerance / 10.0**power - 1e-9)}e{power}")


def _table(machine: Machine) -> torch.Tensor:
    return torch.tensor(machine.arithmetic.rows(), dtype=torch.float32)


def _of_gradient(tokens: list[int], machine: Machine) -> float | list[float]:
    """Of gradient.value; a row that no position looks up is exactly 0, as gradient.untouched-rows.

    One row of the list for each row of the table.
    """
    bound = rounded(gradient_tolerance(_table(machine), len(tokens)))
    used = set(tokens)
    if len(used) == machine.C:
        return bound
    return [bound if i in used else 0.0 for i in range(machine.C) for _ in range(machine.C)]


def _of_softmax(scores: list[list[float]]) -> float:
    """Of softmax.ratio; of softmax.shift and softmax.large-logits for scores that were moved."""
    most, C = max(abs(score) for row in scores for score in row), len(scores[0])
    bound = softmax_tolerance(C)
    if most > MORE:
        return min(bound + 4 * most * EPS, 2e-3)  # scores are rounded, and their differences
    return max(bound, 24 * EPS) if most > FEW else bound
