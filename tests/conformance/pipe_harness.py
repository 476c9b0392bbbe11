"""A harness at the other end of the pipe, for a subject in Python.

`python pipe_harness.py SUBJECT` serves any subject that `bigram check` takes, by default the
reference.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, cast

import torch

from reference.conformance.pipe.messages import VERSION, Can, Randomness, RefusalError
from reference.conformance.pipe.piped import PARTS
from reference.conformance.pipe.protocol import parsed
from reference.conformance.pipe.wire import ANSWERS, QUESTIONS
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.target import Target, open_target
from reference.conformance.vectors.players import SubjectPlayer
from reference.conformance.vectors.playing import NoSuchPartError
from reference.spec.subject import Part

NEEDS = {ability: {PARTS[ability]} for ability in Can} | {
    Can.GRADIENT: {Part.LOSS, Part.TABLE, Part.GRADIENT}
}


class Serving:
    """A subject that answers questions. Its draws follow from seeds."""

    def __init__(self, subject: TorchSubject, name: str) -> None:
        can = [ability for ability, parts in NEEDS.items() if parts <= subject.parts]
        self.hello = {
            "protocol": VERSION,
            "name": name,
            "can": can,
            "dtype": "float32",
            "randomness": Randomness.SEED,
        }
        self.player = SubjectPlayer(subject)

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a question."""
        fields = dict(question)
        sequence, operation = fields.pop("seq"), fields.pop("op")
        if "seed" in fields:
            torch.manual_seed(fields.pop("seed"))
        if operation in {"hello", "bye"}:
            return {"seq": sequence, **(self.hello if operation == "hello" else {})}
        try:
            return {"seq": sequence, **self.player.ask(operation, fields)}
        except (RefusalError, NoSuchPartError) as error:
            return {"seq": sequence, "error": str(error)}


def serve(subject: TorchSubject, name: str) -> None:
    """Answer what comes on descriptor 3, on descriptor 4, until a bye or the end."""
    serving = Serving(subject, name)
    with os.fdopen(QUESTIONS, "rb") as questions, os.fdopen(ANSWERS, "wb", buffering=0) as answers:
        for line in questions:
            question = parsed(line)
            answers.write(json.dumps(serving.answer(question)).encode() + b"\n")
            if question["op"] == "bye":
                return


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else None
    opened, _notes = open_target(Target(target=named))
    serve(cast("TorchSubject", opened), named or "the reference")
