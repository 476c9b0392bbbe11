"""The first questions to a subject: whether its harness speaks the protocol, whatever its model is.

A crash, a silence or an answer that cannot be read is the harness's fault here. A wrong number is
not looked at, and an error in place of an answer is one that the clauses judge.
"""

from collections.abc import Callable, Iterator

import torch

from reference.conformance.errors import HarnessError, SubjectCrash
from reference.conformance.pipe.messages import Can
from reference.conformance.pipe.piped import PipeModel, PipeSubject
from reference.conformance.pipe.pool import Pool
from reference.conformance.pipe.wire import split
from reference.spec.cases import table_of
from reference.spec.expect import observe
from reference.spec.subject import SubjectError

C = 3
IDX, TARGETS = torch.tensor([[0, 1]]), torch.tensor([[1, 2]])
TRAIN, VAL = torch.arange(9), torch.arange(9) + 9
TEXT = "hello world"
NEVER_REFUSED = ("reset", "set_table", "reset, again")
"""Without these nothing can be judged."""


def opened(command: str, seconds: float) -> PipeSubject:
    """Start a subject, and ask it each thing that it says it can do.

    Raises: CommandError where it cannot be started; HarnessError where it does not speak the
        protocol.
    """
    pool = Pool(split(command))
    pool.give(seconds)
    step = "hello"
    try:
        pool.back(pool.start())
        subject = PipeSubject(pool=pool)
        for step, ask in _steps(subject):
            answer = observe(ask)
            if isinstance(answer, SubjectError) and step in NEVER_REFUSED:
                raise answer  # noqa: TRY301  as one that was not observed
    except (SubjectError, SubjectCrash) as error:
        pool.close()
        said = "the harness is at fault, and nothing is known of the model yet"
        raise HarnessError(f"{said}: at {step}: {error}") from error
    except BaseException:
        pool.close()
        raise
    return subject


Step = tuple[str, Callable[[], object]]


def _steps(subject: PipeSubject) -> Iterator[Step]:
    """Give each step: its name, and what it asks."""
    made: list[PipeModel] = []
    yield "reset", lambda: made.append(PipeModel(subject.pool, C))
    (model,) = made
    every: dict[Can | None, list[Step]] = {
        Can.TABLE: [
            ("set_table", lambda: model.set_table(table_of(C, 0))),
            ("get_table", model.table),
        ],
        None: [
            ("forward", lambda: model(IDX)),
            ("forward, with a token that is none", lambda: model(IDX + C)),
        ],
        Can.LOSS: [("forward, with targets", lambda: model(IDX, TARGETS))],
        Can.GRADIENT: [("gradient", lambda: model.derivative(IDX, TARGETS))],
        Can.GENERATE: [("generate", lambda: model.generate(IDX, 2))],
        Can.TRAIN_STEP: [("train_step", lambda: model.train_step(IDX, TARGETS, first=True))],
        Can.GET_BATCH: [("get_batch", lambda: subject.get_batch(TRAIN, 2, 2))],
        Can.GET_SPLIT_BATCH: [
            ("get_split_batch", lambda: subject.get_split_batch(TRAIN, VAL, "val", 2, 2))
        ],
        Can.SOFTMAX: [("softmax", lambda: subject.softmax(torch.zeros(1, C)))],
        Can.VOCABULARY: [
            ("vocabulary", subject.vocabulary(TEXT).__len__),
            ("encode", lambda: subject.vocabulary(TEXT).encode(TEXT)),
            ("decode", lambda: subject.vocabulary(TEXT).decode([0, 1])),
        ],
    }
    for ability, steps in every.items():
        if ability is None or ability in subject.pool.hello.can:
            yield from steps
    yield "reset, again", lambda: PipeModel(subject.pool, C + 1)
