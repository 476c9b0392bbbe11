"""What is to be judged, said in plain values, so that another process can open it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from reference.conformance.loading.errors import FactoryError
from reference.conformance.loading.factory import Loaded, factory_of
from reference.conformance.loading.load import load, parse_definition
from reference.conformance.pipe.piped import PipeSubject
from reference.conformance.pipe.smoke import opened
from reference.conformance.subjects.build import subject_of
from reference.conformance.subjects.get_batch import SET_BY_THE_KIT
from reference.conformance.subjects.own import OWN
from reference.conformance.subjects.torch_models import PROBE, TorchSubject

SIZE = "vocab_size"
SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model, and what else of it is to be found where."""

    target: str | None = None
    """As in bigram.py:BigramLanguageModel; None is our own code."""
    engine: str = "reference"
    """Which of our own, if it is that: reference, fast or sampler."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """By its name, where each part is: a name in the same file, or path/to/other.py:name."""
    adapter: str = "pair"
    define: tuple[str, ...] = ()
    """Globals given by hand, as NAME=VALUE."""
    command: str | None = None
    """What starts a subject in a process of its own, in any language, to be asked over a pipe."""

    def words(self) -> list[str]:
        """Give the arguments of `bigram check` that say the same."""
        said = [] if self.target is None else [self.target]
        if self.engine != "reference":
            said += ["--engine", self.engine]
        for part, place in self.parts.items():
            said += ["--part", part if place == part else f"{part}={place}"]
        if self.adapter != "pair":
            said += ["--adapter", self.adapter]
        for definition in self.define:
            said += ["--define", definition]
        if self.command is not None:
            said += ["--command", self.command]
        return said


Opened = TorchSubject | PipeSubject


def open_target(target: Target, seconds: float = SECONDS) -> tuple[Opened, tuple[str, ...]]:
    """Load the subject, and give what is to be said of how it was loaded.

    A command has so many seconds for its first answers.

    Raises: LoadError of the kind that fits; AdapterError, GetBatchError.
    """
    if target.command is not None:
        return opened(target.command, seconds), ()
    if target.target is None:
        return OWN[target.engine](), ()
    define = dict(map(parse_definition, target.define))
    elsewhere = {part: name for part, name in target.parts.items() if ":" in name}
    here = {part: name for part, name in target.parts.items() if ":" not in name}
    model = load(
        target.target,
        define=define,
        also=tuple(here.values()),
        supplied=_supplied("get_batch" in here),
    )
    parts = {part: model.namespace[name] for part, name in here.items()}
    notes = list(model.notes)
    for part, place in elsewhere.items():
        other = load(place, define=define, supplied=_supplied(part == "get_batch"))
        parts[part] = other.value
        notes += other.notes
    subject = subject_of(
        _tried(model),
        adapter=target.adapter,
        **cast("dict[str, Any]", parts),
    )
    return subject, tuple(dict.fromkeys(notes))


def _supplied(of_get_batch: bool) -> tuple[str, ...]:  # noqa: FBT001  one of two lists
    """Give the globals that the kit sets itself, and that need not be bound."""
    return (SIZE, *SET_BY_THE_KIT, "data") if of_get_batch else (SIZE,)


def _tried(model: Loaded) -> Callable[[int], object]:
    """Make the factory, and one model, as a factory tells only then that it needs more than a size.

    Whatever else fails is for the clauses to tell.

    Raises: FactoryError.
    """
    factory = factory_of(model)
    try:
        factory(PROBE)
    except FactoryError:
        raise
    except (Exception, SystemExit):  # noqa: BLE001  as said
        return factory
    return factory
