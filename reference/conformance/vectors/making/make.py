"""All vectors are made from the clauses, and held against what they are to hold of."""

from collections.abc import Callable

from reference.conformance.vectors.files import contents, kills
from reference.conformance.vectors.making.building import build
from reference.conformance.vectors.verifying import check_ours
from reference.spec.catalogue import catalogue


def made(tell: Callable[[str], object]) -> dict[str, bytes]:
    """Give the bytes of each file, by name; `tell` is told how far it has come.

    Raises: WrongVectorError where a vector does not hold of all of ours.
    """
    every = catalogue()
    built = []
    for number, one in enumerate(build(every, kills())):
        built.append(one)
        tell(f"{one.clause.id}, {number + 1} of {len(every)} clauses")
    vectors = [vector for one in built for vector in one.vectors]
    for number, vector in enumerate(check_ours(vectors)):
        tell(f"holding {vector.id} against the oracle, {number + 1} of {len(vectors)}")
    return contents(built)
