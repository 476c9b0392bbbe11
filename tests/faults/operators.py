"""The faults themselves: what a mistake makes of a value, and when it does so.

An operator takes the value of one expression and returns what a mistaken one would have. It gets a
`Memory`, in which it can keep something from one call to the next. A condition limits it to some
calls of the function that contains the expression.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

Operator: TypeAlias = "Callable[[Any, Memory], Any]"


@dataclass
class Memory:
    """What one fault remembers while its model lives."""

    first: Any = None
    """The value at the first call."""
    calls: int = 0
    stream: Tensor | None = None
    """The state of torch's stream at the first call."""


@dataclass(frozen=True)
class Call:
    """How a function was called, as far as its arguments show."""

    number: int = 1
    B: int | None = None
    T: int | None = None
    C: int | None = None
    training: bool | None = None
    has_targets: bool | None = None
    repeats: bool | None = None
    """Whether a token occurs twice in a row of idx."""
    ends_in_last: bool | None = None
    """Whether a row of idx ends in the last token of the vocabulary."""

    @cached_property
    def held(self) -> frozenset[str]:
        """The conditions that hold of the call."""
        return frozenset(name for name, holds in CONDITIONS.items() if holds(self))


FLOATS: dict[str, Operator] = {}
"""For tensors of floating-point numbers."""
INTS: dict[str, Operator] = {}
"""For tensors of whole numbers, and for a plain int as a tensor of one."""


OPERATORS = {"float": FLOATS, "int": INTS}


def floats(function: Operator) -> Operator:
    """Add an operator for floating-point tensors, under the name of its function."""
    FLOATS[function.__name__] = function
    return function


def ints(function: Operator) -> Operator:
    """Add an operator for whole numbers."""
    INTS[function.__name__] = function
    return function


def both(function: Operator) -> Operator:
    """Add an operator for all numbers."""
    return floats(ints(function))


def simple(name: str, change: Callable[[Tensor], Tensor]) -> None:
    """Add an operator for floating-point tensors that remembers nothing."""
    FLOATS[name] = lambda value, _memory: change(value)


def whole(name: str, change: Callable[[Tensor], Tensor]) -> None:
    """Add one for whole numbers."""
    INTS[name] = lambda value, _memory: change(value)


# -- numbers that are a little wrong --

simple("round_3", lambda x: x.round(decimals=3))
simple("round_2", lambda x: x.round(decimals=2))
simple("round_0", lambda x: x.round())
simple("half", lambda x: x.half().to(x.dtype))
simple("bfloat16", lambda x: x.bfloat16().to(x.dtype))
simple("scale_1.001", lambda x: x * 1.001)
simple("scale_0.99", lambda x: x * 0.99)
simple("scale_2", lambda x: x * 2)
simple("shift_1e-3", lambda x: x + 1e-3)
simple("shift_1", lambda x: x + 1)
simple("noise_1e-3", lambda x: x + 1e-3 * torch.linspace(-1, 1, x.numel()).view(x.shape).to(x))
simple("smooth", lambda x: 0.999 * x + 0.001 * x.mean() if x.numel() else x)
simple("square", lambda x: x * x)

# -- numbers that are cut off, or taken for others --

simple("clamp_3", lambda x: x.clamp(-3, 3))
simple("clamp_20", lambda x: x.clamp(-20, 20))
simple("clamp_1", lambda x: x.clamp(max=1))
simple("relu", lambda x: x.clamp(min=0))
simple("at_least_1e-3", lambda x: x.clamp(min=1e-3))
simple("small_to_0", lambda x: torch.where(x.abs() < 1e-3, torch.zeros_like(x), x))
simple("abs", lambda x: x.abs())
simple("negate", lambda x: -x)
simple("zeros", torch.zeros_like)
simple("ones", torch.ones_like)
simple("nan_to_num", lambda x: torch.nan_to_num(x, posinf=0.0, neginf=0.0))
simple("log", lambda x: x.log())
simple("exp", lambda x: x.exp())
simple("softmax_twice", lambda x: x.softmax(dim=-1) if x.ndim else x)
simple("softmax_other_axis", lambda x: x.softmax(dim=0) if x.ndim else x)

# -- filters, as they are left on by default --


def keep_top(x: Tensor, k: int) -> Tensor:
    """Keep the k greatest of each row, and what equals the least of these."""
    if not x.ndim or k >= x.shape[-1] or k < 1:
        return x
    least = x.topk(k, dim=-1).values[..., -1:]
    fill = 0.0 if bool((x >= 0).all()) else float("-inf")
    return x.masked_fill(x < least, fill)


def probabilities(x: Tensor) -> Tensor:
    """Return probabilities as they are, and the softmax of scores."""
    return x if bool((x >= 0).all()) else x.softmax(dim=-1)


def keep_likely(x: Tensor, kept: Tensor) -> Tensor:
    """Keep these entries."""
    fill = 0.0 if bool((x >= 0).all()) else float("-inf")
    return x.masked_fill(~kept, fill)


def nucleus(x: Tensor, p: float) -> Tensor:
    """Keep the likeliest entries of each row that make up a share p."""
    if not x.ndim or not x.numel():
        return x
    sorted_, order = probabilities(x).sort(dim=-1, descending=True)
    before = sorted_.cumsum(dim=-1) - sorted_
    kept = torch.zeros_like(x, dtype=torch.bool).scatter(-1, order, before < p)
    return keep_likely(x, kept)


simple("top_10", lambda x: keep_top(x, 10))
simple("top_50", lambda x: keep_top(x, 50))
simple("top_all_but_one", lambda x: keep_top(x, x.shape[-1] - 1) if x.ndim else x)
simple("nucleus_0.99", lambda x: nucleus(x, 0.99))
simple("epsilon_1e-3", lambda x: keep_likely(x, probabilities(x) >= 1e-3) if x.ndim else x)
simple("greedy", lambda x: keep_top(x, 1))

# -- numbers in the wrong place --


def changed_at(x: Tensor, place: tuple[Any, ...], change: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a copy in which one part is changed."""
    copy = x.clone()
    copy[place] = change(copy[place])
    return copy


def swapped(x: Tensor, dim: int) -> Tensor:
    """Return a copy whose first two rows or columns are swapped."""
    if x.ndim < abs(dim) or x.shape[dim] < 2:
        return x
    order = list(range(x.shape[dim]))
    order[0], order[1] = 1, 0
    return x.index_select(dim, torch.tensor(order))


PLACED: dict[str, Callable[[Tensor], Tensor]] = {
    "sort": lambda x: x.sort(dim=-1).values if x.ndim else x,
    "flip_last": lambda x: x.flip(-1) if x.ndim else x,
    "flip_first": lambda x: x.flip(0) if x.ndim else x,
    "roll_last": lambda x: x.roll(1, dims=-1) if x.ndim else x,
    "roll_first": lambda x: x.roll(1, dims=0) if x.ndim else x,
    "transpose": lambda x: x.transpose(-1, -2) if x.ndim > 1 else x,
    "swap_rows": lambda x: swapped(x, 0),
    "swap_columns": lambda x: swapped(x, -1),
    "first_row_for_all": lambda x: x[:1].expand_as(x).clone() if x.ndim else x,
    "drop_last_column": lambda x: x[..., :-1] if x.ndim else x,
    "drop_last_row": lambda x: x[:-1] if x.ndim else x,
    "repeat_last_column": lambda x: torch.cat([x, x[..., -1:]], dim=-1) if x.ndim else x,
    "flatten": lambda x: x.reshape(-1),
    "unsqueeze": lambda x: x.unsqueeze(0),
}
for name, change in PLACED.items():
    simple(name, change)
    whole(name, change)

simple("last_row_wrong", lambda x: changed_at(x, (-1,), lambda part: part + 0.5) if x.ndim else x)
simple(
    "last_column_wrong",
    lambda x: changed_at(x, (..., -1), lambda part: part + 0.5) if x.ndim else x,
)
simple("first_column_0", lambda x: changed_at(x, (..., 0), torch.zeros_like) if x.ndim else x)
simple("mean_over_rows", lambda x: x.mean(dim=0, keepdim=True).expand_as(x) if x.ndim else x)

# -- whole numbers that are wrong --

whole("plus_1", lambda x: x + 1)
whole("minus_1", lambda x: x - 1)
whole("cap_64", lambda x: x.clamp(max=64))
whole("cap_50", lambda x: x.clamp(max=50))
whole("cap_8", lambda x: x.clamp(max=8))
whole("at_least_1", lambda x: x.clamp(min=1))
whole("at_least_0", lambda x: x.clamp(min=0))
whole("modulo_64", lambda x: x % 64)
whole("as_uint8", lambda x: x.to(torch.uint8).to(x.dtype))
whole("as_int8", lambda x: x.to(torch.int8).to(x.dtype))
whole("int32", lambda x: x.int())
whole("zero", torch.zeros_like)
whole("double", lambda x: x * 2)
whole("halve", lambda x: x // 2)
whole("negate", lambda x: -x)
whole(
    "last_element_0",
    lambda x: changed_at(x.reshape(-1), (-1,), torch.zeros_like).view(x.shape) if x.numel() else x,
)
whole(
    "first_element_plus_1",
    lambda x: (
        changed_at(x.reshape(-1), (0,), lambda part: part + 1).view(x.shape) if x.numel() else x
    ),
)

# -- what happens beside the value --


@both
def stale(value: Any, memory: Memory) -> Any:
    """Return the first call's value again, if it has this shape."""
    if memory.first is None:
        memory.first = value.detach().clone()
    return memory.first.clone() if memory.first.shape == value.shape else value


@both
def reseed(value: Any, memory: Memory) -> Any:
    """Seed torch's stream."""
    torch.manual_seed(1337)
    return value


@both
def extra_draw(value: Any, memory: Memory) -> Any:
    """Draw a number that nobody uses."""
    torch.rand(1)
    return value


@both
def shared_draw(value: Any, memory: Memory) -> Any:
    """Set torch's stream back to where it was at the first call."""
    if memory.stream is None:
        memory.stream = torch.get_rng_state()
    torch.set_rng_state(memory.stream)
    return value


@both
def write_into(value: Any, memory: Memory) -> Any:
    """Return a changed copy of the value, and write into the value itself."""
    before = value.detach().clone()
    with torch.no_grad():
        value.zero_()
    return before


@both
def add_into(value: Any, memory: Memory) -> Any:
    """Add 1 to the value in place."""
    with torch.no_grad():
        value.add_(1)
    return value


simple("detach", lambda x: x.detach())
simple("float64", lambda x: x.double())
simple("float32", lambda x: x.float())
simple("to_long", lambda x: x.long())


@floats
def noise_in_training(value: Tensor, memory: Memory) -> Tensor:
    """Drop a tenth of the numbers."""
    return torch.nn.functional.dropout(value, 0.1)


@floats
def decay(value: Tensor, memory: Memory) -> Tensor:
    """Return a little less at each call."""
    memory.calls += 1
    return value * 0.999**memory.calls


def _is(holds: Callable[[Call], bool | None]) -> Callable[[Call], bool]:
    return lambda call: bool(holds(call))


CONDITIONS: dict[str, Callable[[Call], bool]] = {
    "always": lambda _call: True,
    "B = 1": _is(lambda call: call.B == 1),
    "B > 4": _is(lambda call: call.B is not None and call.B > 4),
    "T = 1": _is(lambda call: call.T == 1),
    "T > 64": _is(lambda call: call.T is not None and call.T > 64),
    "C > 50": _is(lambda call: call.C is not None and call.C > 50),
    "from the second call": _is(lambda call: call.number > 1),
    "in evaluation": _is(lambda call: call.training is False),
    "in training": _is(lambda call: call.training),
    "without targets": _is(lambda call: call.has_targets is False),
    "with a repeated token": _is(lambda call: call.repeats),
    "after the last token": _is(lambda call: call.ends_in_last),
}


BESIDE = frozenset({"reseed", "extra_draw", "shared_draw"})
"""Operators that return the value as it is, and change something else."""


def changes_a_number(operator: str, numbers: Iterable[int]) -> bool:
    """Return whether an operator does anything at a site that has these values, in this order."""
    if operator in BESIDE:
        return True
    memory = Memory()
    try:
        return any(apply(INTS[operator], number, memory) != number for number in numbers)
    except Exception:  # noqa: BLE001  which changes a lot
        return True


def operator_of(kind: str, name: str) -> Operator:
    """Return an operator by the kind of value and its name."""
    return OPERATORS[kind][name]


def kind_of(value: object) -> str:
    """Return the kind of operators that a value takes: float, int, or none."""
    if isinstance(value, bool) or not isinstance(value, int | Tensor):
        return ""
    if isinstance(value, int):
        return "int"
    if value.dtype.is_floating_point:
        return "float"
    integers = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.uint16)
    return "int" if value.dtype in integers else ""


def apply(operator: Operator, value: Any, memory: Memory) -> Any:
    """Return what the operator makes of a tensor or an int."""
    if isinstance(value, int):
        changed = operator(torch.tensor(value), memory)
        return int(changed) if changed.numel() == 1 else value
    return operator(value, memory)
