"""What a stranger's function may do in place of its work: raise anything, or return anything."""

import asyncio
import errno
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis.errors import Flaky, UnsatisfiedAssumption
from torch import Tensor, nn

from reference.conformance.errors import SubjectCrash
from reference.spec.expect import Broken
from reference.spec.subject import SubjectError


class WordlessError(Exception):
    def __str__(self) -> str:
        return str(self.args[1])


class NumberForText(Exception):  # noqa: N818  as strangers name theirs
    def __str__(self) -> str:
        return 3  # noqa: PLE0307  as it is meant


class EndOfProgram(BaseException):
    """Not an Exception, and not one of Python's own."""


def raises(make: Callable[[], BaseException]) -> Callable[[Any], Any]:
    def act(_right: Any) -> NoReturn:
        raise make()

    return act


def recurses(right: Any) -> Any:
    return recurses(right) + 1


RAISED: dict[str, Callable[[Any], Any]] = {
    name: raises(make)
    for name, make in {
        "ValueError": lambda: ValueError("no"),
        "without words": ValueError,
        "an empty line": lambda: ValueError("\n\n"),
        "its own str fails": lambda: WordlessError(1),
        "its own str is no text": NumberForText,
        "a long message": lambda: ValueError("x" * 10**6),
        "control characters": lambda: ValueError("\x1b[2J\x07\r\ud800[/b]"),
        "KeyError": lambda: KeyError("€"),
        "StopIteration": StopIteration,
        "GeneratorExit": GeneratorExit,
        "SystemExit": SystemExit,
        "SystemExit with a status": lambda: SystemExit(3),
        "SystemExit with a text": lambda: SystemExit("x" * 10**6),
        "SystemExit with an object": lambda: SystemExit(NoRepr()),
        "MemoryError": MemoryError,
        "a full disk": lambda: OSError(errno.ENOSPC, "No space left on device"),
        "OSError without words": OSError,
        "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
        "AssertionError": AssertionError,
        "a warning": lambda: UserWarning("not raised, as a rule"),
        "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError(1), KeyError(2)]),
        "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [SystemExit(1), KeyError(2)]),
        "EndOfProgram": EndOfProgram,
        "CancelledError": asyncio.CancelledError,
        "a skipped test": lambda: pytest.skip.Exception("not today"),
        "a failed test": lambda: pytest.fail.Exception("no"),
        "UnsatisfiedAssumption": UnsatisfiedAssumption,
        "Flaky": lambda: Flaky("now and then"),
        "the kit's SubjectError": lambda: SubjectError("forward", "says so"),
        "the kit's Broken": lambda: Broken(expected="1", seen="2", cause="3"),
        "the kit's SubjectCrash": lambda: SubjectCrash("it says"),
        "torch's out of memory": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    }.items()
} | {"RecursionError": recurses}


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no looks")


class LongRepr:
    def __repr__(self) -> str:
        return "x" * 10**7


class NoClass:
    @property
    def __class__(self) -> type:
        raise RuntimeError("of no class")


class NothingWorks:
    """Any question that Python asks of an object fails."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"no {name}")

    def refuse(self, *_: object) -> NoReturn:
        raise RuntimeError("no")

    __len__ = __iter__ = __bool__ = __eq__ = __int__ = __float__ = __call__ = refuse
    __hash__ = __getitem__ = __array__ = refuse


class NegativeLength:
    def __len__(self) -> int:
        return -1  # noqa: PLE0303  as it is meant


class Endless:
    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


class NamelessType(type):
    @property
    def __name__(cls) -> str:
        raise RuntimeError("no name")


class Nameless(metaclass=NamelessType):
    pass


class OddText(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = str.__hash__


class OddPair(tuple[Any, ...]):
    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("not to be read")

    def __len__(self) -> int:
        raise RuntimeError("not to be counted")


class Quiet(Tensor):
    """A tensor of a class of its own, as people make."""


class Loud(Tensor):
    """A tensor with which nothing can be done."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"no {func}")


Pair = namedtuple("Pair", ["logits", "loss"])  # noqa: PYI024  as people write it


@dataclass
class Answer:
    logits: object
    loss: object


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(10**5):
        made = [made]
    return made


def tensors() -> dict[str, Callable[[], object]]:
    of = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    made: dict[str, Callable[[], object]] = {
        "no numbers": lambda: torch.empty(0),
        "no rows": lambda: torch.empty(0, 3),
        "one number": lambda: torch.tensor(1.0),
        "one whole number": lambda: torch.tensor(1),
        "five dimensions": lambda: torch.zeros(1, 2, 1, 3, 1),
        "NaN": lambda: torch.full((2, 2), torch.nan),
        "infinity": lambda: torch.tensor(torch.inf),
        "on meta": lambda: torch.empty(2, 2, device="meta"),
        "sparse": of.to_sparse,
        "sparse rows": of.to_sparse_csr,
        "complex": lambda: of.to(torch.complex64),
        "turned round": lambda: of.to(torch.complex64).conj().imag,
        "quantized": lambda: torch.quantize_per_tensor(of, 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([of[0], of[:, 0]]),
        "a parameter": lambda: nn.Parameter(of.clone()),
        "a parameter without a shape": nn.UninitializedParameter,
        "of a class of its own": lambda: of.clone().as_subclass(Quiet),
        "of a class that does nothing": lambda: of.clone().as_subclass(Loud),
        "with a past": lambda: nn.Parameter(of.clone()) * 2,
        "one number many times": lambda: torch.zeros(1).expand(2, 2),
    }
    for dtype in (torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.float64, torch.bool):
        made[f"{dtype}"] = lambda dtype=dtype: torch.ones(2, 2).to(dtype)
    for dtype in (torch.int8, torch.int16, torch.int32, torch.uint8, torch.uint16, torch.uint64):
        made[f"{dtype}"] = lambda dtype=dtype: torch.ones(2, 2).to(dtype)
    return made


def inference() -> Tensor:
    with torch.inference_mode():
        return torch.ones(2, 2)


def generator() -> Iterator[int]:
    yield 1


MADE: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "a number without end": lambda: 10**6000,
    "a fraction": lambda: 1.5,
    "not a number": lambda: float("nan"),
    "infinite": lambda: float("inf"),
    "no text": str,
    "a text": lambda: "a text",
    "half a character": lambda: "\ud800\x1b[2J",
    "a text of another class": lambda: OddText("a"),
    "bytes": lambda: b"\xff",
    "no list": list,
    "a list": lambda: [1, 2],
    "a long list": lambda: [0.123456] * 600_000,
    "a deep list": deep,
    "no pair": tuple,
    "one of a pair": lambda: (1,),
    "a pair of numbers": lambda: (1, 2),
    "three": lambda: (1, 2, 3),
    "a long tuple": lambda: (None,) * 10**5,
    "a pair that cannot be read": lambda: OddPair((1, 2)),
    "a dict": lambda: {"logits": 1},
    "a set": lambda: {1, 2},
    "an object": object,
    "a class": lambda: dict,
    "a function": lambda: len,
    "a generator": generator,
    "no repr": NoRepr,
    "a long repr": LongRepr,
    "no class": NoClass,
    "nothing works": NothingWorks,
    "of no length": NegativeLength,
    "endless": Endless,
    "nameless": Nameless,
    "an array": lambda: np.ones((2, 2)),
    "an array of objects": lambda: np.array([None, object()], dtype=object),
    "an array of texts": lambda: np.array(["a", "b"]),
    "an array of dates": lambda: np.array(["2026-01-01"], dtype="datetime64[D]"),
    "an array that is locked": lambda: np.broadcast_to(np.ones(1), (2, 2)),
    "no numbers in an array": lambda: np.empty((0, 2)),
    "a namespace": lambda: SimpleNamespace(logits=None, loss=None),
    "inference": inference,
} | tensors()


def instead(make: Callable[[], object]) -> Callable[[Any], Any]:
    return lambda _right: make()


def _each(change: Callable[[Tensor], object]) -> Callable[[Any], Any]:
    """Change each tensor of an answer, and leave the rest of it as it is."""

    def act(right: Any) -> Any:
        if isinstance(right, tuple):
            return tuple(act(one) for one in right)
        return change(right) if isinstance(right, Tensor) else right

    return act


def _first(change: Callable[[Any], object]) -> Callable[[Any], Any]:
    return lambda right: (change(right[0]), *right[1:]) if isinstance(right, tuple) else right


def _last(change: Callable[[Any], object]) -> Callable[[Any], Any]:
    return lambda right: (*right[:-1], change(right[-1])) if isinstance(right, tuple) else right


CHANGED: dict[str, Callable[[Any], Any]] = {
    "a list of it": lambda right: list(right) if isinstance(right, tuple) else [right],
    "a pair with a name": lambda right: Pair(*right) if isinstance(right, tuple) else right,
    "a dataclass of it": lambda right: Answer(*right) if isinstance(right, tuple) else right,
    "one more": lambda right: (*right, 1) if isinstance(right, tuple) else (right, 1),
    "the first alone": lambda right: right[0] if isinstance(right, tuple) else right,
    "twice as long": lambda right: right * 2 if isinstance(right, (str, list)) else right,
    "cut short": lambda right: right[:-1] if isinstance(right, (str, list)) else right,
    "no dimension of size 1": _each(lambda t: t.squeeze()),
    "one dimension more": _each(lambda t: t[None]),
    "in one row": _each(lambda t: t.flatten()),
    "turned": _each(lambda t: t.transpose(0, -1) if t.ndim else t),
    "a row less": _each(lambda t: t[:-1] if t.ndim else t),
    "a column less": _each(lambda t: t[..., :-1] if t.ndim else t),
    "a column more": _each(lambda t: torch.cat([t, t[..., -1:]], dim=-1) if t.ndim else t),
    "nothing of it": _each(lambda t: t[:0] if t.ndim else t),
    "NaN for it": _each(lambda t: t * torch.nan),
    "infinity for it": _each(lambda t: t + torch.inf),
    "very great": _each(lambda t: t * 1e38),
    "whole numbers": _each(lambda t: t.long()),
    "fractions": _each(lambda t: t.double() + 0.5),
    "as float16": _each(lambda t: t.half()),
    "as uint16": _each(lambda t: t.to(torch.uint16)),
    "as bool": _each(lambda t: t.bool()),
    "as complex": _each(lambda t: t.to(torch.complex64)),
    "as numbers": _each(lambda t: t.tolist()),
    "as arrays": _each(lambda t: t.detach().numpy()),
    "without a past": _each(lambda t: t.detach()),
    "below 0": _each(lambda t: -t - 1 if t.dtype != torch.bool else t),
    "far away": _each(lambda t: t + 10**6 if t.dtype != torch.bool else t),
    "first: None": _first(lambda _one: None),
    "last: None": _last(lambda _one: None),
    "last: a number": _last(float),
    "last: a tensor": _last(lambda _one: torch.ones(3)),
    "last: whole": _last(lambda _one: torch.tensor(1)),
}

EVERY: dict[str, Callable[[Any], Any]] = (
    {f"raises {name}": act for name, act in RAISED.items()}
    | {f"returns {name}": instead(make) for name, make in MADE.items()}
    | {f"changes it: {name}": act for name, act in CHANGED.items()}
)
"""What a function does in place of returning what it should; each is given that."""
