"""A subject of this process answers the questions of the pipe's protocol."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from reference.conformance.pipe.messages import Json, RefusalError
from reference.conformance.pipe.piped import PARTS
from reference.conformance.pipe.protocol import Answer, number, tensor
from reference.conformance.vectors.machine import answer_of
from reference.conformance.vectors.playing import NoSuchPartError
from reference.shapes import Ids
from reference.spec.subject import Model, Part, Subject, SubjectError

NEEDS: dict[str, Part] = {**PARTS, **dict.fromkeys(("encode", "decode"), Part.VOCABULARY)}
"""The part that an operation asks; `reset`, `forward` and the table are seen when they come."""


class SubjectPlayer:
    """A subject of this process. It draws as it does: the numbers of a question are not its."""

    takes_uniforms = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._model: Model | None = None
        self._step: Callable[[Ids, Ids], None] | None = None

    @property
    def model(self) -> Model:
        """The model that the vector has made."""
        assert self._model is not None  # noqa: S101  a vector begins with reset
        return self._model

    def ask(self, operation: str, fields: Mapping[str, Any]) -> Json:
        """Answer."""
        need = NEEDS.get(operation)
        if need is not None and need not in self.subject.parts:
            raise NoSuchPartError(f"the subject has no {need}")
        try:
            given = {name: value for name, value in fields.items() if name != "uniforms"}
            return answer_of(self, operation, given)
        except SubjectError as error:
            raise RefusalError(str(error)) from error

    def _reset(self, C: int) -> Json:
        self._model = self._step = None
        self._model = self.subject.model(C)
        return {}

    def _set_table(self, table: Json) -> Json:
        if not self.model.can_be_set:
            raise NoSuchPartError("the subject's table cannot be set")
        self.model.set_table(floats(table))
        return {}

    def _get_table(self) -> Json:
        return {"table": tensor(self.model.table())}

    def _forward(self, idx: Json, targets: Json | None = None) -> Json:
        if targets is None:
            logits, loss = self.model(ids(idx))
        elif Part.LOSS in self.subject.parts:
            logits, loss = self.model(ids(idx), ids(targets))
        else:
            raise NoSuchPartError("the subject takes no targets")
        return {"logits": tensor(logits), "loss": None if loss is None else _scalar(loss)}

    def _gradient(self, idx: Json, targets: Json) -> Json:
        before = self.model.gradient()
        before = None if before is None else before.clone()
        loss = self.model(ids(idx), ids(targets)).loss
        if loss is None:
            raise SubjectError("forward", "gave no loss for targets")
        self.model.backward(loss)
        gradient = self.model.gradient()
        if gradient is None:
            raise SubjectError("loss.backward()", "left no gradient in the table")
        return {"gradient": tensor(gradient if before is None else gradient - before)}

    def _generate(self, idx: Json, max_new_tokens: int) -> Json:
        return {"idx": tensor(self.model.generate(ids(idx), max_new_tokens))}

    def _get_batch(self, data: Json, block_size: int, batch_size: int) -> Json:
        x, y = self.subject.get_batch(ids(data), block_size, batch_size)
        return {"x": tensor(x), "y": tensor(y)}

    def _get_split_batch(
        self, train_data: Json, val_data: Json, split: str, block_size: int, batch_size: int
    ) -> Json:
        texts = ids(train_data), ids(val_data)
        x, y = self.subject.get_split_batch(*texts, split, block_size, batch_size)
        return {"x": tensor(x), "y": tensor(y)}

    def _train_step(self, idx: Json, targets: Json, *, first: bool) -> Json:
        if first or self._step is None:
            self.model.train(mode=True)
            self._step = self.subject.trainer(self.model)
        self._step(ids(idx), ids(targets))
        return {}

    def _softmax(self, logits: Json) -> Json:
        return {"probs": tensor(self.subject.softmax(floats(logits)))}

    def _vocabulary(self, corpus: str) -> Json:
        return {"C": len(self.subject.vocabulary(corpus))}

    def _encode(self, corpus: str, text: str) -> Json:
        return {"ids": self.subject.vocabulary(corpus).encode(text)}

    def _decode(self, corpus: str, ids: list[int]) -> Json:
        return {"text": self.subject.vocabulary(corpus).decode(ids)}


def ids(value: Json) -> Tensor:
    """Read tokens."""
    return Answer(b"", {"ids": value}).ids("ids")


def floats(value: Json) -> Tensor:
    """Read numbers, as float32."""
    return Answer(b"", {"floats": value}).floats("floats", torch.float32)


def _scalar(loss: Tensor) -> Any:  # noqa: ANN401  a float, or what stands in its place
    return number(loss.item()) if loss.shape == () else tensor(loss)
