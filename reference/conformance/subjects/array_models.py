"""Models over arrays, NumPy's or JAX's: they are handed arrays, and what they give is read as such.

NumPy arrays share the tensor's memory, so that a model which writes into them is seen to. Tokens
come back as int64, whatever the library's own integers are.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial, wraps
from importlib import import_module
from operator import attrgetter
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects.guard import guarded, parameters_of
from reference.conformance.subjects.torch_models import Access, Function, TorchSubject, asking_loss
from reference.spec.subject import Output, Part, SubjectError

SEEDS = 2**32


def given(value: object) -> object:
    """Return the array of a tensor, in the same memory; anything else as it is."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def taken(value: object) -> object:
    """Return the tensor of an array, or of each in a tuple; anything else as it is."""
    if isinstance(value, (tuple, list)):
        return tuple(taken(one) for one in value)
    if isinstance(value, (bool, int, str)) or not hasattr(value, "__array__"):
        return torch.tensor(value, dtype=torch.float64) if isinstance(value, float) else value
    array = np.asarray(value)
    if array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    if array.dtype.kind not in "biuf":
        return value
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def crossing(function: Callable[..., object]) -> Callable[..., object]:
    """Hand a function arrays for tensors, and give tensors for its arrays."""

    @wraps(function)
    def crossed(*arguments: object, **named: object) -> object:
        return taken(function(*map(given, arguments), **named, **_source(function)))

    return crossed


def _key(seed: int) -> object:
    # Only whoever takes a key has it.
    return import_module("jax.random").key(seed)


SOURCES: Mapping[str, Callable[[int], object]] = {
    "rng": np.random.default_rng,
    "key": _key,
    "seed": int,
}
"""By the name of an argument: how what a function draws from is made of a seed."""


def _source(function: Callable[..., object]) -> dict[str, object]:
    """Make what a function draws from, if it has an argument for it, from torch's stream."""
    name = source_of(function)
    return {} if name is None else {name: SOURCES[name](int(torch.randint(SEEDS, ())))}


def source_of(function: Callable[..., object]) -> str | None:
    """Name the argument that a function draws from."""
    return next((name for name in SOURCES if name in parameters_of(function)), None)


class Reach(NamedTuple):
    """How the table of a model is reached; without `put` the parameters are the table itself."""

    get: Callable[[object], object]
    put: Callable[[object, object], object] | None
    how: str


def _reach(state: object, given: Mapping[str, Function], C: int) -> Reach | None:
    """Find the table: as the user says, or the only (C, C) array that there is."""
    if {"get_table", "set_table"} <= given.keys():
        return Reach(given["get_table"], given["set_table"], "get_table and set_table")
    if _is_table(state, C):
        return Reach(lambda state: state, None, "all that the factory gives")
    squares = [name for name, value in _attributes(state) if _is_table(value, C)]
    if len(squares) != 1:
        return None
    (name,) = squares
    return Reach(attrgetter(name), lambda s, table: setattr(s, name, table), f"its {name}")


def _attributes(state: object) -> Iterable[tuple[str, object]]:
    return vars(state).items() if hasattr(state, "__dict__") else ()


def _is_table(value: object, C: int) -> bool:
    return hasattr(value, "__array__") and tuple(getattr(value, "shape", ())) == (C, C)


class ArrayModel:
    """A model that is called with tensors; `state` is what the user's factory gave."""

    def __init__(self, state: Any, given: Mapping[str, Function], C: int) -> None:  # noqa: ANN401  a stranger's
        self.state = state
        self.reach = _reach(state, given, C)
        self._given = given
        self._leaf: Tensor | None = None

    @property
    def can_go_back(self) -> bool:
        """Whether the gradient of the loss by the table can be had."""
        return self.reach is not None and self._bound("gradient") is not None

    @property
    def generate(self) -> Function:
        """The model's own generate, if it has one."""
        return crossing(self.state.generate)

    def _bound(self, name: str) -> Function | None:
        """Return a function of the model: the one given by itself, or its own method."""
        if name in self._given:
            return partial(self._given[name], self.state)
        own = getattr(self.state, name, None)
        return own if callable(own) else None

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Return logits and loss; the loss can go back where the model has a gradient."""
        function = self._bound("forward") or self.state
        more = () if targets is None else (targets,)
        answer = crossing(function)(idx, *more)
        derivative = self._bound("gradient")
        if targets is None or derivative is None or self.reach is None:
            return answer
        if not isinstance(answer, tuple) or len(answer) != len(Output._fields):
            return answer
        logits, loss = answer
        if not isinstance(loss, Tensor):
            return answer
        ask = partial(crossing(derivative), idx, targets)
        return logits, asking_loss(self.table(), loss, ask)

    __call__ = forward

    def table(self) -> Tensor:
        """Return the table, as the leaf that backward leaves its gradient in."""
        assert self.reach is not None  # noqa: S101  the subject's access tells
        now = cast("Tensor", taken(self.reach.get(self.state)))
        if self._leaf is None:
            self._leaf = now.clone().requires_grad_()
        self._leaf.data = now
        return self._leaf

    def set_table(self, table: Tensor) -> None:
        """Write the table; where the parameters are the table itself, it takes their place."""
        assert self.reach is not None  # noqa: S101  likewise
        array = given(table.clone())
        if self.reach.put is None:
            self.state = array
        else:
            self.reach.put(self.state, array)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySubject(TorchSubject):
    """Code over arrays under judgement: its factory gives ArrayModels."""

    @cached_property
    def access(self) -> Access | None:
        """How the table is reached."""
        probe = self._probe
        if not isinstance(probe, ArrayModel) or probe.reach is None:
            return None
        return Access(get=ArrayModel.table, set=ArrayModel.set_table, how=probe.reach.how)  # type: ignore[arg-type]  # they are ArrayModels

    @cached_property
    def parts(self) -> frozenset[Part]:
        """What there is: arrays have no torch dtype, and go back only where there is a gradient."""
        parts = set(super().parts) - {Part.TENSORS}
        with suppress(SubjectError, SubjectCrash):
            guarded("looking at the model", lambda: self._take_away(parts))
        return frozenset(parts)

    def _take_away(self, parts: set[Part]) -> None:
        """Take away what the model's own functions show that it lacks."""
        probe = self._probe
        if isinstance(probe, ArrayModel):
            if not probe.can_go_back:
                parts.discard(Part.GRADIENT)
            drawing = [self.generate_of(probe)] if Part.GENERATE in parts else []
            drawing += [self.given["get_batch"]] if "get_batch" in self.given else []
            if any(source_of(function) is None for function in drawing):
                parts.discard(Part.SEED)


def array_subject(factory: Callable[[int], object], given: Mapping[str, Function]) -> ArraySubject:
    """Put the parts of a subject over arrays together."""
    crossed = {name: CROSSINGS[name](given[name]) for name in CROSSINGS.keys() & given.keys()}
    return ArraySubject(
        factory=lambda C: ArrayModel(factory(C), given, C), given={**given, **crossed}
    )


def _of_model(function: Function) -> Function:
    """Let a function of the state and arrays take a model and tensors."""

    @wraps(function)
    def crossed(model: ArrayModel, *arguments: object, **named: object) -> object:
        return crossing(partial(function, model.state))(*arguments, **named)

    return crossed


def _training(make: Function) -> Function:
    """Let a step that cannot change the parameters give the new ones."""

    def trainer(model: ArrayModel) -> Callable[[Tensor, Tensor], None]:
        step = make(model.state)

        def take(xb: Tensor, yb: Tensor) -> None:
            new = step(given(xb), given(yb))
            if new is not None and model.reach is not None and model.reach.put is None:
                model.state = new

        return take

    return trainer


CROSSINGS: Mapping[str, Callable[[Function], Function]] = {
    Part.GET_BATCH: crossing,
    Part.SPLIT: crossing,
    "softmax": crossing,
    "train_step": _training,
    "generate": _of_model,
    "plain_generate": _of_model,
}
"""By the names of parts: how each is called with tensors; any other is called as it is."""
