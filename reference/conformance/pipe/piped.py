"""A subject in any language: its process is asked for all that a check may want to know."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, cast

import torch
from torch import Tensor

from reference.conformance.pipe.messages import Can, Randomness
from reference.conformance.pipe.pool import Pool
from reference.conformance.pipe.protocol import Answer, tensor
from reference.conformance.pipe.wire import nothing
from reference.conformance.subjects.torch_models import Note, TorchModel, TorchSubject, asking_loss
from reference.shapes import Ids
from reference.spec.subject import Model, Output, Part, SubjectError, VocabularyLike

PARTS: Mapping[str, Part] = {
    Can.LOSS: Part.LOSS,
    Can.TABLE: Part.TABLE,
    Can.GRADIENT: Part.GRADIENT,
    Can.GENERATE: Part.GENERATE,
    Can.GET_BATCH: Part.GET_BATCH,
    Can.GET_SPLIT_BATCH: Part.SPLIT,
    Can.TRAIN_STEP: Part.TRAIN_STEP,
    Can.SOFTMAX: Part.SOFTMAX,
    Can.VOCABULARY: Part.VOCABULARY,
}
"""The part that a subject has if it can do something."""


class PipeModel:
    """One model of the subject's, the only one of its process."""

    def __init__(self, pool: Pool, C: int) -> None:
        self.pool = pool
        self.C = C
        self.wire = pool.take()
        weakref.finalize(self, pool.back, self.wire)
        # What backward leaves its gradient in; its numbers are not looked at.
        self.leaf = torch.zeros(C, C, dtype=pool.hello.dtype, requires_grad=True)
        self.wire.ask("reset", nothing, C=C, **pool.seed())

    def __call__(self, idx: Tensor, targets: Tensor | None = None) -> Output:
        """Give logits and loss, of which the loss can go back where the subject can."""
        output = self._forward(idx, targets)
        if output.loss is None or targets is None or Can.GRADIENT not in self.pool.hello.can:
            return output
        ask = partial(self.derivative, idx, targets)
        return Output(output.logits, asking_loss(self.leaf, output.loss, ask))

    def _forward(self, idx: Tensor, targets: Tensor | None) -> Output:
        hello = self.pool.hello
        given = {"idx": tensor(idx)}
        if targets is not None:
            if Can.LOSS not in hello.can:
                raise SubjectError("forward", "takes no targets", TypeError("no targets"))
            given["targets"] = tensor(targets)

        def read(answer: Answer) -> Output:
            logits = answer.floats("logits", hello.dtype)
            if answer.fields.get("loss") is None:
                return Output(logits, None)
            return Output(logits, torch.tensor(answer.number("loss"), dtype=hello.dtype))

        return self.wire.ask("forward", read, **given)

    def derivative(self, idx: Tensor, targets: Tensor) -> Tensor:
        """Ask for the gradient of the loss by the table.

        Shape: (B, T), (B, T) -> (C, C).
        """
        dtype = self.pool.hello.dtype

        def read(answer: Answer) -> Tensor:
            gradient = answer.floats("gradient", dtype)
            if gradient.shape != (self.C, self.C):
                raise answer.wrong("gradient", f"it must be of shape ({self.C}, {self.C})")
            return gradient

        return self.wire.ask("gradient", read, idx=tensor(idx), targets=tensor(targets))

    def generate(
        self, idx: Tensor, max_new_tokens: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Continue idx."""
        draws = self.pool.draws((max(max_new_tokens, 0), len(idx)), generator)
        return self.wire.ask(
            "generate",
            lambda answer: answer.ids("idx"),
            idx=tensor(idx),
            max_new_tokens=max_new_tokens,
            **draws,
        )

    def table(self) -> Tensor:
        """Ask for the table."""
        dtype = self.pool.hello.dtype
        return self.wire.ask("get_table", lambda answer: answer.floats("table", dtype))

    def set_table(self, table: Tensor) -> None:
        """Write the table."""
        self.wire.ask("set_table", nothing, table=tensor(table))

    def train_step(self, idx: Tensor, targets: Tensor, *, first: bool) -> None:
        """Take a step, with a new optimizer or the last one."""
        self.wire.ask(
            "train_step",
            nothing,
            idx=tensor(idx),
            targets=tensor(targets),
            first=first,
        )


class PipedModel(TorchModel):
    """A model at the other end of a pipe, whose table and gradient are asked for."""

    raw: PipeModel

    def __init__(self, pool: Pool, C: int) -> None:
        super().__init__(_reached(pool), PipeModel(pool, C), C)

    def table(self) -> Tensor:
        """Return the table, of whatever shape it came."""
        return self.raw.table() if self.can_be_set else super().table()

    def gradient(self) -> Tensor | None:
        """Return what backward has left."""
        return self.raw.leaf.grad


def _reached(pool: Pool) -> TorchSubject:
    """Return how the models of a pipe are reached: as anyone's, with questions for their table."""
    if Can.TABLE not in pool.hello.can:
        return TorchSubject(factory=lambda _C: None)
    given: dict[str, Callable[..., Any]] = {
        "get_table": PipeModel.table,
        "set_table": PipeModel.set_table,
    }
    return TorchSubject(factory=partial(PipeModel, pool), given=given)


class PipeWords:
    """A vocabulary of the subject's: the text that it is made of goes with every question."""

    def __init__(self, pool: Pool, corpus: str) -> None:
        self.pool = pool
        self.corpus = corpus

    def __len__(self) -> int:
        """Give C."""
        size = self.pool.alone("vocabulary", lambda answer: answer.integer("C"), corpus=self.corpus)
        return max(size, 0)

    def encode(self, text: str) -> list[int]:
        """Give the ids of a text."""
        return self.pool.alone(
            "encode", lambda answer: answer.id_list("ids"), corpus=self.corpus, text=text
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Give the text of ids."""
        return self.pool.alone(
            "decode", lambda answer: answer.text_of("text"), corpus=self.corpus, ids=list(ids)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PipeSubject:
    """Code under judgement at the other end of a pipe."""

    pool: Pool

    @property
    def parts(self) -> frozenset[Part]:
        """What it says it can do."""
        can = self.pool.hello.can
        parts = {part for ability, part in PARTS.items() if ability in can}
        if Can.GENERATE in can:
            parts.add(Part.GENERATE_NONE)
        if self.pool.hello.randomness is not Randomness.OWN:
            parts.add(Part.SEED)
        return frozenset(parts)

    @property
    def notes(self) -> list[Note]:
        """Say how it is reached."""
        draws = {
            Randomness.UNIFORMS: "its draws are made from numbers that the kit supplies",
            Randomness.SEED: "its draws follow from seeds that the kit supplies",
            Randomness.OWN: "its draws are its own, so that only their law is judged",
        }
        reached = f"{self.pool.hello.name}, asked over a pipe"
        if {Can.GENERATE, Can.GET_BATCH, Can.GET_SPLIT_BATCH} & self.pool.hello.can:
            reached += f"; {draws[self.pool.hello.randomness]}"
        notes = [Note(reached)]
        if Can.TABLE not in self.pool.hello.can:
            unset = "the table cannot be set: the model is checked as a black box"
            notes.append(Note(unset, of_table=True))
        return notes

    def model(self, C: int) -> Model:
        """Make a fresh model."""
        return PipedModel(self.pool, C)

    def get_batch(
        self,
        data: Tensor,
        block_size: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch."""
        return self._batch(
            "get_batch",
            data=tensor(data),
            block_size=block_size,
            batch_size=batch_size,
            **self.pool.draws((max(batch_size, 0),), generator),
        )

    def get_split_batch(
        self,
        train_data: Tensor,
        val_data: Tensor,
        split: str,
        block_size: int,
        batch_size: int,
    ) -> tuple[Tensor, Tensor]:
        """Draw a batch of a split."""
        return self._batch(
            "get_split_batch",
            train_data=tensor(train_data),
            val_data=tensor(val_data),
            split=split,
            block_size=block_size,
            batch_size=batch_size,
            **self.pool.draws((max(batch_size, 0),)),
        )

    def _batch(self, operation: str, **fields: object) -> tuple[Tensor, Tensor]:
        def read(answer: Answer) -> tuple[Tensor, Tensor]:
            return answer.ids("x"), answer.ids("y")

        return self.pool.alone(operation, read, **fields)

    def vocabulary(self, text: str) -> VocabularyLike:
        """Make a vocabulary."""
        return PipeWords(self.pool, text)

    def softmax(self, logits: Tensor) -> Tensor:
        """Take the softmax."""
        dtype = self.pool.hello.dtype
        return self.pool.alone(
            "softmax", lambda answer: answer.floats("probs", dtype), logits=tensor(logits)
        )

    def trainer(self, model: Model) -> Callable[[Ids, Ids], None]:
        """Make a function that takes one step; the first makes the optimizer."""
        piped = cast("PipedModel", model).raw
        first = chain([True], repeat(False))
        return lambda xb, yb: piped.train_step(xb, yb, first=next(first))
