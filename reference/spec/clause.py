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

TOPICS = ("Formula", "Tolerance", "Alarm", "Erratum", "Choice", "Power", "Source", "Audit")
"""What the paragraphs after a clause's sentence may open with."""
_PARAGRAPH = re.compile(rf"\n\n|\n(?=(?:{'|'.join(TOPICS)})(?: \d+)?: )")
"""Where one ends: at a blank line, or where the next opens."""
_NUMBERED = re.compile(r"Erratum (\d+)")


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


SHOULD, CHOICE = Level.SHOULD, Level.CHOICE


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


def clause(
    id: str,  # noqa: A002  the field's own name for it
    parts: tuple[Part, ...] = (),
    profiles: tuple[str, ...] = (BIGRAM,),
    *,
    level: Level = Level.MUST,
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function the check of a clause.

    Its docstring holds the sentence, and below it a paragraph for each topic: a formula, a
    tolerance; where the notes say it (Source), the question of theirs that it answers (Audit), and
    what of theirs it corrects (Erratum and its number).

    Raises: ValueError if the id is taken or badly formed, the docstring has no sentence or no
        source, or there is no such erratum; these are mistakes of the catalogue, found when it is
        imported.
    """

    def decorate(check: Callable[P, R]) -> Callable[P, R]:
        if not ID.fullmatch(id):
            raise ValueError(f"clause id {id!r} is not of the form concept.rule-in-kebab-case")
        if id in {known.id for known in CLAUSES}:
            raise ValueError(f"clause id {id!r} is taken")
        sentence, remarks, errata = _read(inspect.getdoc(check) or "", id)
        unknown = set(errata) - {one.number for one in ERRATA}
        if unknown:
            raise ValueError(f"clause {id!r} names errata that there are not: {sorted(unknown)}")
        source = remarks.pop("Source", "")
        if not source:
            raise ValueError(
                f"clause {id!r} does not say where the notes have it: there is no Source in its "
                "docstring"
            )
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
                audit=remarks.pop("Audit", ""),
                errata=errata,
                case=inspect.signature(check).parameters["case"].annotation,
                check=check,
            )
        )
        return check

    return decorate


def _read(doc: str, name: str) -> tuple[str, dict[str, str], tuple[int, ...]]:
    sentence, *rest = (" ".join(part.split()) for part in _PARAGRAPH.split(doc))
    if not sentence.endswith("."):
        raise ValueError(f"clause {name!r} has no sentence: its docstring must open with one")
    remarks, errata = {}, []
    for paragraph in rest:
        topic, _, text = paragraph.partition(": ")
        if topic == "Erratum" and text.isdecimal():
            errata.append(int(text))
            continue
        if numbered := _NUMBERED.fullmatch(topic):
            errata.append(int(numbered[1]))
            topic = "Erratum"
        if topic not in TOPICS:
            raise ValueError(f"clause {name!r}: a paragraph opens with none of {TOPICS}")
        remarks[topic] = text
    return sentence, remarks, tuple(errata)
