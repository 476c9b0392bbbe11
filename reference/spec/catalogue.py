"""All clauses in the order in which they are judged: what a clause needs comes before it."""

from graphlib import TopologicalSorter

from reference.spec.clause import BIGRAM, CLAUSES, Clause
from reference.spec.clauses import (
    batch,
    causal,
    embedding,
    forward,
    generate,
    gradient,
    history,
    index,
    loss,
    softmax,
    training,
    vocabulary,
)

VERSION = "2.0"
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
    history,
    causal,
)
"""In the order of the notes; the last goes beyond them."""


def catalogue(profile: str | None = BIGRAM) -> tuple[Clause, ...]:
    """Give every clause of a profile, or of all, by concept, each after those that it needs.

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
    chosen = [clause for clause in CLAUSES if profile is None or profile in clause.profiles]
    by_id = {clause.id: clause for clause in chosen}
    placed: dict[str, Clause] = {}

    def order(clause: Clause) -> tuple[int, bool]:
        """By concept, and last what the module of another concept says about it."""
        module = clause.check.__module__.rsplit(".", maxsplit=1)[-1]
        return names.index(clause.concept), module != clause.concept

    for clause in sorted(chosen, key=order):
        _place(clause, by_id, placed)
    return tuple(placed.values())


def _place(clause: Clause, by_id: dict[str, Clause], placed: dict[str, Clause]) -> None:
    for need in clause.needs:
        if need in by_id:  # what is of another profile says nothing about this one
            _place(by_id[need], by_id, placed)
    placed.setdefault(clause.id, clause)
