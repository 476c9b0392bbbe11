"""What a clause is: one normative sentence, where the notes say it, and a check that can fail.

A check takes a subject and one case. It returns nothing, or, for a choice, what the subject was
seen to do; it raises `Broken` where the subject does not keep the sentence.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar

from reference.spec.errata import ERRATA
from reference.spec.subject import Part

ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)+")
"""What an id looks like: concept.rule-in-kebab-case."""

TOPICS = ("Formula", "Tolerance", "Alarm", "Erratum", "Choice", "Power")
"""What the paragraphs after a clause's sentence may open with."""


BIGRAM, CAUSAL = PROFILES = ("bigram", "causal-lm")
"""Which models a clause is about: bigram models, or any that predict the next token from those
before it. A clause of both holds for every such model."""


class Level(StrEnum):
    """How much a clause binds."""

    MUST = "must"
    """The notes say it."""
    SHOULD = "should"
    """Good citizenship, which users expect of any such model, and which the notes' code has."""
    CHOICE = "choice"
    """The notes leave it open: what the subject does is recorded, and never fails."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clause:
    """One promise; `check` takes a subject and a case of the type `case`."""

    id: str
    level: Level
    sentence: str
    remarks: dict[str, str]
    """The paragraphs below the sentence, by their first word: Formula, Tolerance, and so on."""
    source: tuple[str, ...]
    """A way through the notes, from the outside in."""
    needs: tuple[str, ...]
    """Clauses without which this one says nothing."""
    parts: tuple[Part, ...]
    profiles: tuple[str, ...]
    """Of which it is one."""
    audit: str
    """The @audit question of the notes that this answers, if any: a piece of its line."""
    errata: tuple[int, ...]
    """Numbers of the errata of the notes that bear on it: `errata.erratum` gives each."""
    case: type
    check: Callable[[Any, Any], str | None]

    @property
    def concept(self) -> str:
        """The part of the id before the first dot, which is also the module's name."""
        return self.id.split(".")[0]


CLAUSES: list[Clause] = []
"""Every clause whose module has been imported, in the order of the files."""

P = ParamSpec("P")
R = TypeVar("R", bound=str | None)


def clause(  # noqa: PLR0913  all but the id by name
    id: str,  # noqa: A002  the field's own name for it
    *,
    source: str,
    level: Level = Level.MUST,
    needs: tuple[str, ...] = (),
    parts: tuple[Part, ...] = (),
    profiles: tuple[str, ...] = (BIGRAM,),
    audit: str = "",
    errata: tuple[int, ...] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function the check of a clause; its docstring holds the sentence.

    Raises: ValueError where the id is taken or badly formed, the docstring is no sentence, or
        there is no such erratum; these are mistakes of the catalogue, found when it is imported.
    """

    def decorate(check: Callable[P, R]) -> Callable[P, R]:
        if not ID.fullmatch(id):
            raise ValueError(f"clause id {id!r} is not of the form concept.rule-in-kebab-case")
        if id in {known.id for known in CLAUSES}:
            raise ValueError(f"clause id {id!r} is taken")
        unknown = set(errata) - {one.number for one in ERRATA}
        if unknown:
            raise ValueError(f"clause {id!r} names errata that there are not: {sorted(unknown)}")
        sentence, remarks = _read(inspect.getdoc(check) or "", id)
        CLAUSES.append(
            Clause(
                id=id,
                level=level,
                sentence=sentence,
                remarks=remarks,
                source=tuple(source.split(" > ")),
                needs=needs,
                parts=parts,
                profiles=profiles,
                audit=audit,
                errata=errata,
                case=inspect.signature(check).parameters["case"].annotation,
                check=check,
            )
        )
        return check

    return decorate


def _read(doc: str, name: str) -> tuple[str, dict[str, str]]:
    sentence, *rest = (" ".join(part.split()) for part in doc.split("\n\n"))
    if not sentence.endswith("."):
        raise ValueError(f"clause {name!r} has no sentence: its docstring must open with one")
    remarks = {}
    for paragraph in rest:
        topic, _, text = paragraph.partition(": ")
        if topic not in TOPICS:
            raise ValueError(f"clause {name!r}: a paragraph opens with none of {TOPICS}")
        remarks[topic] = text
    return sentence, remarks
