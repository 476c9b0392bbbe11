"""Vectors are held against exact arithmetic, the oracle and the reference."""

from collections.abc import Callable, Iterable, Iterator

from reference.conformance.errors import SubjectCrash
from reference.conformance.runner import isolated_streams, ordinary
from reference.conformance.subjects.own import reference_subject
from reference.conformance.vectors.errors import WrongVectorError
from reference.conformance.vectors.exact import Exact
from reference.conformance.vectors.machine import Machine
from reference.conformance.vectors.oracle import ByOracle
from reference.conformance.vectors.players import SubjectPlayer
from reference.conformance.vectors.playing import Mismatch, Outcome, Player, play
from reference.conformance.vectors.vector import Vector
from reference.spec.randomness import seed_all


def check_ours(vectors: Iterable[Vector]) -> Iterator[Vector]:
    """Hold each vector against the exact arithmetic, the oracle and the reference.

    Raises: WrongVectorError.
    """
    reference = reference_subject()
    makes: dict[str, Callable[[], Player]] = {
        "exact arithmetic": lambda: Machine(Exact()),
        "the oracle": lambda: Machine(ByOracle()),
        "the reference": lambda: SubjectPlayer(reference),
    }
    with isolated_streams():
        for vector in vectors:
            for name, make in makes.items():
                outcome = played(vector, make())
                if outcome.mismatch is not None:
                    said = outcome.mismatch
                    raise WrongVectorError(
                        f"{vector.id} does not hold of {name}: at step {said.step}, "
                        f"{said.operation}, it expects {said.expected}, which gave {said.seen}"
                    )
                if outcome.skipped:
                    raise WrongVectorError(f"{vector.id} says nothing of {name}: {outcome.skipped}")
            yield vector


def played(vector: Vector, player: Player) -> Outcome:
    """Play a vector from a fixed seed; if the subject ends the process, that is a mismatch."""
    seed_all(0)
    try:
        with ordinary():
            return play(vector, player)
    except SubjectCrash as crash:
        end = Mismatch(step=-1, operation="", expected="an answer", seen=str(crash))
        return Outcome(vector=vector.id, mismatch=end)
