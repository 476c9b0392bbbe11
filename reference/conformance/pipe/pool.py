"""The processes of a subject, what they say of themselves, and how they are asked."""

import gc
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch

from reference.conformance.pipe.messages import VERSION, Can, Randomness
from reference.conformance.pipe.protocol import Answer, MalformedError, shown, tensor
from reference.conformance.pipe.wire import Clock, Wire

T = TypeVar("T")

DTYPES = {"float32": torch.float32, "float64": torch.float64}
SEEDS = 2**32
MANY = 4
"""Processes at once; before there are more, what is no longer used is collected."""


class Hello(NamedTuple):
    """What a subject says of itself."""

    name: str
    can: frozenset[Can]
    dtype: torch.dtype
    randomness: Randomness

    @classmethod
    def of(cls, answer: Answer) -> "Hello":
        """Read it.

        Raises: MalformedError.
        """
        protocol = answer.integer("protocol")
        if protocol != VERSION:
            raise answer.wrong("protocol", f"it speaks {protocol}, and was asked for {VERSION}")
        dtype = answer.one_of("dtype", list(DTYPES))
        randomness = answer.one_of("randomness", list(Randomness))
        said = answer.get("can")
        if not isinstance(said, list):
            raise answer.wrong("can", f"it must be a list, and is {shown(said)}")
        for name in said:
            if name not in list(Can):
                raise answer.wrong("can", f"{shown(name)} is none of {', '.join(Can)}")
        can = frozenset(map(Can, said))
        if Can.GRADIENT in can and not {Can.LOSS, Can.TABLE} <= can:
            raise answer.wrong("can", "a gradient is that of the loss by a table that can be set")
        return cls(answer.text_of("name"), can, DTYPES[dtype], Randomness(randomness))


class Pool:
    """The processes of one command: one for each model that is in use at the same time."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = command
        self._hello: Hello | None = None
        self._wires: list[Wire] = []
        self._idle: list[Wire] = []
        self._clock = Clock()

    @property
    def hello(self) -> Hello:
        """What the first of them said."""
        assert self._hello is not None  # noqa: S101  it is started first
        return self._hello

    def give(self, seconds: float) -> None:
        """Start the clock anew, for all of them and for those to come."""
        self._wires = [wire for wire in self._wires if wire.open]
        self._idle = [wire for wire in self._idle if wire.open]
        self._clock.give(seconds)

    def take(self) -> Wire:
        """Give a process that nobody uses.

        Raises: CommandError where there can be none; SubjectCrash.
        """
        if not self._idle and len(self._wires) >= MANY:
            gc.collect()  # models that hold one only in a circle
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                return wire
        return self.start()

    def start(self) -> Wire:
        """Start another process, and have it say hello.

        Raises: CommandError, SubjectCrash.
        """
        wire = Wire(self.command, self._clock)
        self._wires.append(wire)
        self._hello = wire.ask("hello", self._as_before, protocol=VERSION)
        return wire

    def _as_before(self, answer: Answer) -> Hello:
        hello = Hello.of(answer)
        if self._hello not in {None, hello}:
            raise MalformedError(f"is another than its first: {hello} and {self._hello}")
        return hello

    def back(self, wire: Wire) -> None:
        """Take back a process that is no longer used."""
        self._idle.append(wire)

    def close(self) -> None:
        """End all."""
        for wire in self._wires:
            wire.bye()
        self._wires = []

    def alone(self, operation: str, read: Callable[[Answer], T], **fields: object) -> T:
        """Ask for something that no model is needed for."""
        wire = self.take()
        try:
            return wire.ask(operation, read, **fields)
        finally:
            self.back(wire)

    def seed(self, generator: torch.Generator | None = None) -> dict[str, object]:
        """Draw the seed of an operation, for a subject that takes one."""
        if self.hello.randomness is not Randomness.SEED:
            return {}
        return {"seed": int(torch.randint(SEEDS, (), generator=generator))}

    def draws(
        self, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> dict[str, object]:
        """Draw what the draws of an operation are made from, or its seed."""
        if self.hello.randomness is not Randomness.UNIFORMS:
            return self.seed(generator)
        uniforms = torch.rand(shape, dtype=torch.float64, generator=generator)
        return {"uniforms": tensor(uniforms)}
