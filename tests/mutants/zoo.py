"""What a specimen is: one implementation, right or wrong in one way, and the clause it is about.

The specimens themselves stand in the other files of this folder; `specimens()` collects them.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from reference.conformance.subjects.torch_models import TorchSubject
from reference.spec.clause import BIGRAM

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """One implementation; `breaks` is the clause that must fail, or "" for a right one."""

    name: str
    """What it does, in a few words: `bigram spec ID` lists it under the clause that it breaks."""
    breaks: str
    make: Callable[[], TorchSubject]
    concepts: tuple[str, ...] | None = None
    """The concepts to run; None is all of them."""
    profile: str = BIGRAM


SCORES = ("forward", "index", "embedding", "loss", "gradient")
"""All but generate, for mistakes in what generate never comes across: the loss."""

ALL: list[Specimen] = []


def wrong(
    breaks: str, name: str, *, concepts: tuple[str, ...] | None = None, profile: str = BIGRAM
) -> Callable[[Callable[[], TorchSubject]], Callable[[], TorchSubject]]:
    """Add a wrong implementation, made by the decorated function."""

    def add(make: Callable[[], TorchSubject]) -> Callable[[], TorchSubject]:
        ALL.append(
            Specimen(name=name, breaks=breaks, make=make, concepts=concepts, profile=profile)
        )
        return make

    return add


def right(
    name: str, *, concepts: tuple[str, ...] | None = None, profile: str = BIGRAM
) -> Callable[[Callable[[], TorchSubject]], Callable[[], TorchSubject]]:
    """Add a right implementation, made by the decorated function."""
    return wrong("", name, concepts=concepts, profile=profile)


def specimens() -> list[Specimen]:
    """Give all of them, from every file of this folder that has some."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    for path in sorted(HERE.glob("*_*.py")):
        import_module(path.stem)
    return ALL
