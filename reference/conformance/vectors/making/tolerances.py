"""How far each number of a tensor may be off: as far as the clauses allow, or not at all.

A float32 model has to pass, and so does one that computes in a different order. How far a loss may
be off is asked of the check itself, in `sensitivity`.
"""

from collections.abc import Callable, Mapping
from math import ceil, log10
from typing import Any

import torch

from reference.conformance.pipe.messages import Json
from reference.conformance.vectors.machine import Machine, rows
from reference.spec.measures import EPS, gradient_tolerance, softmax_tolerance, step_tolerance

FEW, MORE = 3.0, 5.0
"""Scores of softmax.ratio, and with the 2 that softmax.shift adds."""


def allowed(operation: str, fields: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Give the tolerance of each field of an answer that is not exact.

    One number stands for all entries, a list for each its own.
    """
    by_operation: dict[str, Callable[..., dict[str, Any]]] = {
        "gradient": _gradient,
        "get_table": _table,
        "softmax": _softmax,
    }
    if operation not in by_operation:
        return {}
    return by_operation[operation](fields, machine)


def rounded(tolerance: float) -> float:
    """Round up to two digits: enough for a bound, and the same on every machine."""
    if tolerance == 0:
        return 0.0
    power = int(log10(tolerance) // 1) - 1
    return float(f"{ceil(tolerance / 10.0**power - 1e-9)}e{power}")


def _tensor(table: list[list[float]]) -> torch.Tensor:
    return torch.tensor(table, dtype=torch.float32)


def _gradient(fields: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Of gradient.value; a row that no position looks up is exactly 0, as gradient.untouched-rows.

    One row of the list for each row of the table.
    """
    n = len(fields["idx"]["data"])
    bound = rounded(gradient_tolerance(_tensor(machine.arithmetic.rows()), n))
    used = set(fields["idx"]["data"])
    if len(used) == machine.C:
        return {"gradient": bound}
    each = [bound if i in used else 0.0 for i in range(machine.C) for _ in range(machine.C)]
    return {"gradient": each}


def _table(_fields: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """Of training.state, for each step that was taken."""
    if not machine.steps:
        return {}
    return {"table": rounded(machine.steps * step_tolerance(machine_table(machine)))}


def machine_table(machine: Machine) -> torch.Tensor:
    """Give the table as float32."""
    return _tensor(machine.arithmetic.rows())


def _softmax(fields: Mapping[str, Json], _machine: Machine) -> dict[str, Any]:
    """Of softmax.ratio; of softmax.shift and softmax.large-logits for scores that were moved."""
    scores = rows(fields["logits"])
    most, C = max(abs(score) for row in scores for score in row), len(scores[0])
    bound = softmax_tolerance(C)
    if most > FEW:
        bound = max(bound, 24 * EPS) if most <= MORE else 2e-3
    return {"probs": rounded(bound)}
