"""All clauses in the order in which they are judged: what a clause needs comes before it."""

from graphlib import TopologicalSorter

from reference.spec import (
    batch,
    embedding,
    forward,
    generate,
    gradient,
    index,
    loss,
    softmax,
    training,
    vocabulary,
)
from reference.spec.clause import CLAUSES, Clause

VERSION = "1.0"
"""Of the contract: the first number changes where a subject that kept it may no longer do so."""

CONCEPTS = (
    vocabulary,
    batch,
    index,
    embedding,
    forward,
    loss,
    gradient,
    softmax,
    generate,
    training,
)
"""In the order of the notes."""


def catalogue() -> tuple[Clause, ...]:
    """Give every clause, concept by concept, each after those that it needs.

    Raises: ValueError where a clause needs one that there is not; graphlib.CycleError where two
        need each other.
    """
    by_id = {clause.id: clause for clause in CLAUSES}
    for clause in CLAUSES:
        for need in clause.needs:
            if need not in by_id:
                raise ValueError(f"clause {clause.id!r} needs {need!r}, which there is not")
    TopologicalSorter({clause.id: clause.needs for clause in CLAUSES}).prepare()
    names = [concept.__name__.rsplit(".", maxsplit=1)[-1] for concept in CONCEPTS]
    in_order = sorted(CLAUSES, key=lambda clause: names.index(clause.concept))
    placed: dict[str, Clause] = {}
    for clause in in_order:
        _place(clause, by_id, placed)
    return tuple(placed.values())


def _place(clause: Clause, by_id: dict[str, Clause], placed: dict[str, Clause]) -> None:
    for need in clause.needs:
        _place(by_id[need], by_id, placed)
    placed.setdefault(clause.id, clause)
