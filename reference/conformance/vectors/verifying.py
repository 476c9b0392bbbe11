"""A folder of vectors is held against the reference and the oracle, or a subject against it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from reference.conformance.errors import SubjectCrash
from reference.conformance.pipe.piped import PipeSubject
from reference.conformance.runner import isolated_streams, ordinary
from reference.conformance.subjects.own import reference_subject
from reference.conformance.vectors.errors import WrongVectorError
from reference.conformance.vectors.exact import Exact
from reference.conformance.vectors.machine import Machine
from reference.conformance.vectors.oracle import ByOracle
from reference.conformance.vectors.players import PipePlayer, SubjectPlayer
from reference.conformance.vectors.playing import MachinePlayer, Mismatch, Outcome, Player, play
from reference.conformance.vectors.vector import Vector
from reference.spec.catalogue import catalogue
from reference.spec.randomness import seed_all
from reference.spec.subject import Subject


def check_ours(vectors: Iterable[Vector]) -> Iterator[Vector]:
    """Hold each vector against the exact arithmetic, the oracle and the reference.

    Raises: WrongVectorError.
    """
    reference = reference_subject()
    makes: dict[str, Callable[[], Player]] = {
        "exact arithmetic": lambda: MachinePlayer(Machine(Exact())),
        "the oracle": lambda: MachinePlayer(Machine(ByOracle())),
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
            yield vector


def played(vector: Vector, player: Player) -> Outcome:
    """Play a vector; whatever ends the subject ends the vector."""
    seed_all(0)
    try:
        with ordinary():
            return play(vector, player)
    except SubjectCrash as crash:
        return crashed(vector.id, str(crash))


def crashed(vector: str, cause: str) -> Outcome:
    """Give the outcome of a vector in which the subject came to an end."""
    end = Mismatch(step=-1, operation="", expected="an answer", seen=cause)
    return Outcome(vector=vector, mismatch=end)


def player_of(subject: Subject | PipeSubject) -> Player:
    """Make what answers for a subject in one vector."""
    return PipePlayer(subject) if isinstance(subject, PipeSubject) else SubjectPlayer(subject)


def play_all(
    subject: Subject | PipeSubject, vectors: Iterable[Vector], seconds: float
) -> Iterator[Outcome]:
    """Play vectors, each in so many seconds where the subject is at the end of a pipe."""
    with isolated_streams():
        for vector in vectors:
            if isinstance(subject, PipeSubject):
                subject.give(seconds)
            player = player_of(subject)
            yield played(vector, player)
            if isinstance(player, PipePlayer):
                player.close()


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the outcomes say of a subject, clause by clause."""

    planned: int
    outcomes: tuple[Outcome, ...]
    broken: dict[str, list[Outcome]]
    """By clause, those that rest on no broken one."""
    resting: dict[str, list[Outcome]]
    """By clause, those that need a broken one, and may say the same again."""

    @property
    def kept(self) -> int:
        """How many vectors were answered as expected."""
        return sum(outcome.kept for outcome in self.outcomes)

    @property
    def skipped(self) -> int:
        """How many say nothing of this subject."""
        return sum(bool(outcome.skipped) for outcome in self.outcomes)

    @property
    def wrong(self) -> int:
        """How many were answered otherwise."""
        return sum(outcome.mismatch is not None for outcome in self.outcomes)


def summary(vectors: Iterable[Vector], outcomes: Iterable[Outcome]) -> Summary:
    """Put outcomes in order: first what is broken, then what needs that."""
    clause_of = {vector.id: vector.clause for vector in vectors}
    all_outcomes = tuple(outcomes)
    wrong: dict[str, list[Outcome]] = {}
    for outcome in all_outcomes:
        if outcome.mismatch is not None:
            wrong.setdefault(clause_of[outcome.vector], []).append(outcome)
    tainted: set[str] = set()
    broken: dict[str, list[Outcome]] = {}
    resting: dict[str, list[Outcome]] = {}
    for clause in catalogue():  # what a clause needs comes before it
        rests = any(need in tainted for need in clause.needs)
        if clause.id in wrong:
            (resting if rests else broken)[clause.id] = wrong[clause.id]
        if rests or clause.id in wrong:
            tainted.add(clause.id)
    return Summary(planned=len(clause_of), outcomes=all_outcomes, broken=broken, resting=resting)
