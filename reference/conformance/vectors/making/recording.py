"""What a check asks, and the right answers: a subject over the pipe's protocol with no process.

The answers come from exact arithmetic. One of them can be spoilt, to see whether the check minds:
so a vector expects what its clause judges, and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from reference.conformance.pipe.messages import Can, Json, Randomness, RefusalError
from reference.conformance.pipe.piped import PipedModel, PipeSubject
from reference.conformance.pipe.pool import Hello, Pool
from reference.conformance.pipe.protocol import Answer, tensor
from reference.conformance.pipe.wire import Wire
from reference.conformance.subjects.answers import output_of
from reference.conformance.vectors.exact import Exact
from reference.conformance.vectors.machine import Machine
from reference.conformance.vectors.making.tolerances import allowed
from reference.spec.cases import certain_table
from reference.spec.subject import Model, Output, SubjectError

T = TypeVar("T")

CERTAIN_GAP = 60.0
"""Between a row's best score and the next: another token comes once in e^60 draws."""

WIDE = 50
"""Tokens; a table of more is set without its decimals, which would take most of the room."""

HELLO = Hello("the recorder", frozenset(Can), torch.float32, Randomness.UNIFORMS)
OF_A_TABLE = {"get_table", "forward", "gradient", "generate", "train_step"}
OF_A_MODEL = OF_A_TABLE | {"reset", "set_table"}


class AtRandomError(BaseException):
    """A check draws where any draw is right, and so judges a law. No answer, whatever it is."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A question and its right answer."""

    operation: str
    fields: Json
    answer: Json
    place: str = ""
    """Stands for the question, and for all that the same model was asked before it."""
    refused: bool = False
    named: str = ""
    """What a refusal has to name, if it has to."""
    known: bool = True
    """Whether the answer follows from what was asked, and not from how a table was drawn."""
    certain: bool = True
    """Whether it would be the same for any draws."""
    tolerances: Mapping[str, Any] = field(default_factory=dict)


class Spoilt(NamedTuple):
    """One answer made wrong, wherever it is given after the same questions."""

    place: str
    spoil: Callable[[Step], Step]


class Transcript(Wire):
    """What was asked of one model, in place of a process that it is asked of."""

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.steps: list[Step] = []
        self._machine = Machine(Exact())
        self._told = 0  # of the steps, to the machine

    @property
    def characters(self) -> int:
        """How long its questions are, what is asked again and again counted once."""
        return sum(map(len, {str(step.fields) for step in self.steps}))

    def table(self) -> Step:
        """Give the table as it is after all that was asked, and how far it may be off."""
        return replace(answered(self._machine, "get_table", {}), place="the end")

    @property
    def open(self) -> bool:
        """It never ends."""
        return True

    def close(self) -> None:
        """There is nothing to close."""

    def answer(self, operation: str, fields: Mapping[str, object]) -> Answer:
        """Answer rightly, or as it was spoilt."""
        step = self._right(operation, dict(fields))
        self.steps.append(step)
        spoilt = self.recorder.spoilt
        if spoilt is not None and spoilt.place == step.place:
            step = spoilt.spoil(step)
        if step.refused:
            raise SubjectError(operation, f"refused: {step.named}", RefusalError(step.named))
        return Answer(b"", step.answer)

    def _right(self, operation: str, fields: Json) -> Step:
        """Give the right answer, from memory where the same was asked before."""
        last = self.steps[-1].place if self.steps and operation in OF_A_MODEL else ""
        place = sha256(f"{last}\n{operation} {fields}".encode()).hexdigest()
        known = self.recorder.known
        if place not in known:
            for step in self.steps[self._told :]:
                if not step.refused:
                    self._machine.ask(step.operation, step.fields)
            known[place] = replace(answered(self._machine, operation, fields), place=place)
            self._told = len(self.steps) + 1
        return known[place]


def answered(machine: Machine, operation: str, fields: Json) -> Step:
    """Ask a machine, with numbers for the draws that suit the question."""
    drawn = operation in OF_A_TABLE and not machine.known
    if drawn:  # what a fresh table holds: the answer is not looked at
        machine.arithmetic.put([[0.0] * machine.C for _ in range(machine.C)])
    if "uniforms" in fields:
        fields = {**fields, "uniforms": machine.uniforms(operation, fields)}
    step = Step(operation=operation, fields=fields, answer={}, known=not drawn)
    try:
        answer = machine.ask(operation, fields)
    except RefusalError as error:
        return replace(step, refused=True, named=error.named)
    return replace(
        step,
        answer=answer,
        certain=operation != "generate" or machine.certain,
        tolerances=allowed(operation, fields, machine),
    )


class Recorder(Pool):
    """Gives each model a transcript of its own, and all that needs no model another."""

    def __init__(self, *, certain: bool, of_a_law: bool) -> None:
        super().__init__([])
        self._hello = HELLO
        self.certain = certain
        """Whether a table with one successor for each token is set in place of the check's."""
        self.of_a_law = of_a_law
        """Whether a draw that is not certain ends it."""
        self.known: dict[str, Step] = {}
        self.begin()

    def begin(self, spoilt: Spoilt | None = None) -> None:
        """Forget what was asked, and spoil this answer or none from now on."""
        self.spoilt = spoilt
        self.transcripts = [Transcript(self)]
        self.models: list[RecordedModel] = []
        self.notes: set[str] = set()

    def take(self) -> Wire:
        """Begin a transcript."""
        self.transcripts.append(Transcript(self))
        return self.transcripts[-1]

    def back(self, wire: Wire) -> None:
        """Leave it: it is not used again."""

    def alone(self, operation: str, read: Callable[[Answer], T], **fields: object) -> T:
        """Ask for something that no model is needed for."""
        if self.of_a_law and "uniforms" in fields:
            raise AtRandomError
        return self.transcripts[0].ask(operation, read, **fields)

    def draws(
        self, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> dict[str, object]:
        """Leave a place for the numbers, which are chosen when the question is known."""
        del generator
        return {"uniforms": tensor(torch.zeros(shape))}


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded(PipeSubject):
    """The subject that a check is given."""

    pool: Recorder

    def model(self, C: int) -> Model:
        """Make a model that notes what no transcript can hold."""
        return RecordedModel(self.pool, C)


class RecordedModel(PipedModel):
    """A model that notes what no transcript can hold."""

    def __init__(self, recorder: Recorder, C: int) -> None:
        super().__init__(recorder, C)
        self.recorder = recorder
        self.recorder.models.append(self)
        self.given: list[Tensor] = []
        """The logits that it gave, into which the check may write."""
        self._training = False
        self._written: Tensor | None = None
        """The table that was set last."""

    def _look(self) -> None:
        if self._training:
            self.recorder.notes.add("whether the model is in training mode")

    def answer(self, idx: Tensor, targets: Tensor | None = None) -> object:
        """Return logits and loss."""
        self._look()
        output = output_of(super().answer(idx, targets))
        self.given.append(output.logits)
        return output

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Call forward by its name, which a transcript does not tell from a call."""
        self.recorder.notes.add("whether forward is called by its name")
        return self(idx, targets)

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        self._look()
        if self.recorder.of_a_law and (self._written is None or not is_certain(self._written)):
            raise AtRandomError
        return super().generate(idx, max_new_tokens, generator=generator)

    def set_table(self, table: Tensor) -> None:
        """Write the table, or one in its place that takes less room or lets nothing to chance."""
        if self.recorder.certain and not is_certain(table):
            table = certain_table([(3 * token + 1) % self.C for token in range(self.C)])
        if self.C > WIDE:
            table = table.trunc()
        super().set_table(table)
        self._written = table

    def state(self) -> dict[str, Tensor]:
        """Give nothing: there is no question for it."""
        self.recorder.notes.add("what the model holds beside its table")
        return {}

    def train(self, *, mode: bool) -> None:
        """Remember the mode, of which train_step knows without being told."""
        self._training = mode


def is_certain(table: Tensor) -> bool:
    """Tell whether each token has one successor."""
    if len(table) == 1:
        return True
    best = table.topk(2, dim=1).values
    return bool((best[:, 0] - best[:, 1] > CERTAIN_GAP).all())
