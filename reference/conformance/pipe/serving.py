"""The other end of the pipe, for a subject in Python: what a harness does, with nothing left out.

`python -m reference.conformance.pipe.serving SUBJECT` serves any subject that `bigram check` takes,
and without one the reference.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor

from reference.conformance.pipe.protocol import (
    VERSION,
    Answer,
    Can,
    Randomness,
    number,
    parsed,
    tensor,
)
from reference.conformance.pipe.wire import ANSWERS, QUESTIONS
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.target import Target, open_target
from reference.spec.subject import Model, Part, SubjectError

Fields = dict[str, object]

NEEDS = {
    Can.LOSS: {Part.LOSS},
    Can.TABLE: {Part.TABLE},
    Can.GRADIENT: {Part.LOSS, Part.TABLE, Part.GRADIENT},
    Can.GENERATE: {Part.GENERATE},
    Can.GET_BATCH: {Part.GET_BATCH},
    Can.GET_SPLIT_BATCH: {Part.SPLIT},
    Can.TRAIN_STEP: {Part.TRAIN_STEP},
    Can.SOFTMAX: {Part.SOFTMAX},
    Can.VOCABULARY: {Part.VOCABULARY},
}


class Serving:
    """A subject that answers questions. Its draws follow from seeds."""

    def __init__(self, subject: TorchSubject, name: str) -> None:
        self.subject = subject
        self.name = name
        self._model: Model | None = None
        self._step: Callable[[Tensor, Tensor], None] | None = None

    @property
    def can(self) -> list[Can]:
        """What the subject has the parts for."""
        return [ability for ability, parts in NEEDS.items() if parts <= self.subject.parts]

    @property
    def model(self) -> Model:
        """The model that the last reset made."""
        if self._model is None:
            raise SubjectError("the question", "came before reset")
        return self._model

    def answer(self, question: Mapping[str, object]) -> Fields:
        """Answer a question.

        Raises: MalformedError where it is none of the protocol's.
        """
        asked = Answer(json.dumps(question).encode(), question)
        answering = self._operations().get(asked.text_of("op"))
        if answering is None:
            raise asked.wrong("op", "there is no such operation")
        seed = question.get("seed")
        if isinstance(seed, int):
            torch.manual_seed(seed)
        try:
            answer = answering(asked)
        except SubjectError as error:
            answer = {"error": str(error)}
        return {"seq": asked.integer("seq"), **(answer or {})}

    def _operations(self) -> dict[str, Callable[[Answer], Fields | None]]:
        subject = self.subject
        return {
            "hello": self._hello,
            "reset": self._reset,
            "set_table": lambda asked: self.model.set_table(asked.floats("table", torch.float32)),
            "get_table": lambda _asked: {"table": tensor(self.model.table())},
            "forward": self._forward,
            "gradient": self._gradient,
            "generate": lambda asked: {
                "idx": tensor(
                    self.model.generate(asked.ids("idx"), asked.integer("max_new_tokens"))
                )
            },
            "get_batch": lambda asked: _batch(
                subject.get_batch(asked.ids("data"), *_sizes(asked)),
            ),
            "get_split_batch": lambda asked: _batch(
                subject.get_split_batch(
                    asked.ids("train_data"),
                    asked.ids("val_data"),
                    asked.text_of("split"),
                    *_sizes(asked),
                )
            ),
            "train_step": self._train_step,
            "softmax": lambda asked: {
                "probs": tensor(subject.softmax(asked.floats("logits", torch.float32)))
            },
            "vocabulary": lambda asked: {"C": len(subject.vocabulary(asked.text_of("corpus")))},
            "encode": lambda asked: {
                "ids": subject.vocabulary(asked.text_of("corpus")).encode(asked.text_of("text"))
            },
            "decode": lambda asked: {
                "text": subject.vocabulary(asked.text_of("corpus")).decode(asked.id_list("ids"))
            },
            "bye": lambda _asked: None,
        }

    def _hello(self, _asked: Answer) -> Fields:
        return {
            "protocol": VERSION,
            "name": self.name,
            "can": [*self.can],
            "dtype": "float32",
            "randomness": Randomness.SEED,
        }

    def _reset(self, asked: Answer) -> None:
        self._model = self._step = None
        self._model = self.subject.model(asked.integer("C"))

    def _forward(self, asked: Answer) -> Fields:
        targets = asked.ids("targets") if "targets" in asked.fields else None
        logits, loss = self.model(asked.ids("idx"), targets)
        return {"logits": tensor(logits), "loss": None if loss is None else number(float(loss))}

    def _gradient(self, asked: Answer) -> Fields:
        before = self.model.gradient()
        if before is not None:
            before.zero_()
        _logits, loss = self.model(asked.ids("idx"), asked.ids("targets"))
        if loss is not None and loss.requires_grad:
            loss.backward()
        gradient = self.model.gradient()
        if gradient is None:
            raise SubjectError("loss.backward()", "left no gradient in the table")
        return {"gradient": tensor(gradient)}

    def _train_step(self, asked: Answer) -> None:
        if self._step is None or asked.get("first"):
            self.model.train(mode=True)
            self._step = self.subject.trainer(self.model)
        self._step(asked.ids("idx"), asked.ids("targets"))


def _sizes(asked: Answer) -> tuple[int, int]:
    return asked.integer("block_size"), asked.integer("batch_size")


def _batch(batch: tuple[Tensor, Tensor]) -> Fields:
    x, y = batch
    return {"x": tensor(x), "y": tensor(y)}


def serve(subject: TorchSubject, name: str) -> None:
    """Answer what comes on descriptor 3, on descriptor 4, until a bye or the end."""
    serving = Serving(subject, name)
    with os.fdopen(QUESTIONS, "rb") as questions, os.fdopen(ANSWERS, "wb", buffering=0) as answers:
        for line in questions:
            question = parsed(line)
            answers.write(json.dumps(serving.answer(question)).encode() + b"\n")
            if question["op"] == "bye":
                return


def main() -> None:
    """Serve the subject that the command line names."""
    target = sys.argv[1] if len(sys.argv) > 1 else None
    subject, _notes = open_target(Target(target=target))
    serve(cast("TorchSubject", subject), target or "the reference")


if __name__ == "__main__":
    main()
