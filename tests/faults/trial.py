"""A long random trial of a subject's public operations, and the digest of all that came of it.

Two subjects with the same digests gave the same bits everywhere: the same answers, errors, tables,
gradients and random streams.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects.guard import guarded
from reference.conformance.subjects.torch_models import TorchModel, TorchSubject
from reference.spec.clause import BIGRAM
from reference.spec.randomness import seed_all, streams
from reference.spec.subject import Part, SubjectError

SHAPES = ((1, 1), (2, 1), (1, 3), (3, 2), (2, 4), (4, 8), (2, 9), (6, 5), (1, 33), (2, 40))
LONG = ((1, 65), (2, 70))
SIZES = (1, 2, 3, 5, 65, 257)
TEXTS = ("a", "hello world", "zéa中🙂 a", "".join(map(chr, range(32, 127))) * 2)


STREAMS, DRAWS, ERRORS, START, NUMBERS = "streams", "draws", "errors", "start", "numbers"
ANY = "any"
"""What a loose trial overlooks: where the streams are, what is drawn, which error is raised,
what tensors a model holds that its answers do not show, floating-point numbers."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """Right code to make faults in."""

    name: str
    make: Callable[[], TorchSubject]
    concepts: tuple[str, ...] | None = None
    profile: str = BIGRAM

    @property
    def whole(self) -> bool:
        """Whether it is a model, and not one of the other parts."""
        return self.concepts is None or "forward" in self.concepts


class Different(Exception):  # noqa: N818  not an error: it ends a trial early
    """The trial differs from an earlier one, from this step on."""


class Digest:
    """Takes in whatever comes back, step by step, and compares it with an earlier trial's."""

    def __init__(
        self, expected: Sequence[str] | None = None, loose: frozenset[str] = frozenset()
    ) -> None:
        self.hash = hashlib.sha256()
        self.loose = loose
        self.steps: list[str] = []
        """The digest of all so far, after each step."""
        self.expected = expected

    def add(self, *values: object) -> None:
        """Take in values."""
        for value in values:
            if isinstance(value, Tensor):
                dense = value.detach().cpu().to_dense().contiguous()
                if NUMBERS in self.loose and dense.is_floating_point():
                    self.add("numbers", tuple(dense.shape), value.requires_grad)
                    continue
                self.add(str(dense.dtype), tuple(dense.shape), value.requires_grad)
                self.hash.update(dense.numpy().tobytes())
            elif isinstance(value, dict):
                for name, one in value.items():
                    self.add(name, one)
            elif isinstance(value, tuple):
                self.add(len(value), *value)
            else:
                self.hash.update(repr(value).encode("utf-8", "backslashreplace") + b"\0")

    def attempt(self, call: Callable[..., object], *arguments: Any, drawn: bool = False) -> None:
        """Take in what a call gives, or the type of what it raises, and where the streams are.

        Tensors among the arguments are taken in too: the call may have written into them.

        Raises: Different if this is not what was expected.
        """
        if self.loose:
            seed_all(len(self.steps))
        try:
            answer = call(*arguments)
            if drawn and DRAWS in self.loose:
                answer = _forms(answer)
        except SubjectError as error:
            raised = error.__cause__
            name = "" if ERRORS in self.loose else type(raised or error).__name__
            self.add("raised", name)
        except SubjectCrash as error:
            self.add("crashed", str(error))
        else:
            self.add(answer)
        self.add(*(one for one in arguments if isinstance(one, Tensor)))
        if STREAMS not in self.loose:
            self.add(streams())
        self.end_step()

    def end_step(self) -> None:
        """Keep the digest of all so far, and compare it."""
        self.steps.append(self.hash.hexdigest()[:12])
        number = len(self.steps) - 1
        if self.expected is not None and self.expected[number : number + 1] != self.steps[-1:]:
            raise Different(number)


def _forms(answer: object) -> object:
    """Return the shapes and types of what was drawn."""
    if isinstance(answer, tuple):
        return tuple(_forms(one) for one in answer)
    return (answer.dtype, tuple(answer.shape)) if isinstance(answer, Tensor) else answer


def differs(
    make: Callable[[], TorchSubject],
    expected: Sequence[str],
    *,
    whole: bool,
    loose: frozenset[str] = frozenset(),
) -> bool:
    """Return whether a trial differs from what is expected; it ends at the first difference."""
    try:
        return digest_of(make, whole=whole, expected=expected, loose=loose) != list(expected)
    except Different:
        return True


def digest_of(
    make: Callable[[], TorchSubject],
    *,
    whole: bool,
    expected: Sequence[str] | None = None,
    loose: frozenset[str] = frozenset(),
) -> list[str]:
    """Try a subject, its model only if it is `whole`, and return the digest of each step."""
    digest = Digest(expected, loose)
    seed_all(0)
    numbers = np.random.default_rng(0)
    subject = make()
    digest.add(sorted(subject.parts))
    digest.end_step()
    if whole:
        for C in SIZES:
            digest.attempt(_try_model, subject, digest, C, numbers)
        digest.attempt(_try_history, subject, digest, numbers)
    if Part.GET_BATCH in subject.parts:
        _try_batches(subject, digest)
    if Part.VOCABULARY in subject.parts:
        _try_vocabulary(subject, digest)
    if Part.SOFTMAX in subject.parts:
        for B, C in ((1, 1), (1, 5), (3, 3), (4, 65)):
            z = torch.tensor(numbers.normal(0, 2, (B, C)), dtype=torch.float32)
            digest.attempt(subject.softmax, z)
        digest.attempt(subject.softmax, torch.tensor([[1e4, -1e4, 0.0]]))
    if Part.TRAIN_STEP in subject.parts:
        for C in (3, 5):
            digest.attempt(_train, subject, C, numbers)
    return digest.steps


def _ids(numbers: np.random.Generator, shape: tuple[int, int], C: int) -> Tensor:
    return torch.tensor(numbers.integers(0, C, shape))


def _try_model(
    subject: TorchSubject, digest: Digest, C: int, numbers: np.random.Generator
) -> object:
    model = subject.model(C)
    assert isinstance(model, TorchModel)
    if START not in digest.loose:
        digest.add(model.state())
    if model.can_be_set:
        table = torch.tensor(numbers.normal(0, 1.5, (C, C)), dtype=torch.float32)
        digest.attempt(model.set_table, table)
    generates = Part.GENERATE in subject.parts
    for keep in (True, False):
        for number, shape in enumerate((*SHAPES, *LONG) if C in {5, 65} else SHAPES[: 4 + C % 3]):
            training = number % 2 == 1
            digest.attempt(lambda mode: model.train(mode=mode), training)
            idx, targets = _ids(numbers, shape, C), _ids(numbers, shape, C)
            if number % 3 == 0:
                idx[:, -1] = C - 1
            digest.attempt(model, idx)
            digest.attempt(lambda idx: model.forward(idx).logits, idx)
            digest.attempt(_backward, model, idx, targets)
            if generates:
                digest.attempt(model.generate, idx, (0, 1, 2, 5)[number % 4], drawn=True)
            digest.add(model.modes())
        if generates:
            rows = torch.arange(min(64 * C, 2048))
            digest.attempt(model.generate, rows[:, None] % C, 1, drawn=True)
        for wrong in (torch.tensor([[C]]), torch.tensor([[-1]]), torch.zeros(0, 1).long()):
            digest.attempt(model, wrong)
        digest.attempt(_learn, model, numbers, keep)
        if START not in digest.loose:
            digest.add(model.state())
    return "tried"


def _try_history(subject: TorchSubject, digest: Digest, numbers: np.random.Generator) -> object:
    """Try what users do with one model over time, one thing after another."""
    C = 6
    model = subject.model(C)
    assert isinstance(model, TorchModel)
    idx, targets = _ids(numbers, (3, 4), C), _ids(numbers, (3, 4), C)

    def use(model: TorchModel) -> None:
        digest.attempt(model, idx)
        digest.attempt(_backward, model, idx, targets)
        if Part.GENERATE in subject.parts:
            digest.attempt(model.generate, idx, 3, drawn=True)

    if model.can_be_set:
        table = torch.tensor(numbers.normal(0, 1, (C, C)), dtype=torch.float32)
        digest.attempt(model.set_table, table)
    use(model)
    digest.attempt(_backward, model, idx, targets)  # which adds to the gradient
    for without in (torch.no_grad, torch.inference_mode):
        with without():
            use(model)
    raw = model.raw
    if isinstance(raw, nn.Module):
        for make in (partial(SGD, lr=0.5), partial(AdamW, lr=0.1)):
            digest.attempt(_steps, model, make, idx, targets)
            use(model)
    with suppress(SubjectError, SubjectCrash):  # no copy, no use of it
        use(TorchModel(subject, guarded("deepcopy", lambda: deepcopy(raw)), C))
    if isinstance(raw, nn.Module):
        other = subject.model(C)
        assert isinstance(other, TorchModel)
        digest.attempt(
            lambda: str(guarded("", lambda: other.raw.load_state_dict(raw.state_dict())))
        )
        use(other)
        use(model)
        digest.attempt(lambda: type(guarded("double()", raw.double)).__name__)
        use(model)
    if START not in digest.loose:
        digest.add(model.state())
    return "tried"


def _steps(
    model: TorchModel, make: Callable[..., Optimizer], idx: Tensor, targets: Tensor
) -> tuple[object, ...]:
    """Take the notes' step, twice."""
    optimizer = guarded("the optimizer", lambda: make(model.raw.parameters()))

    def step() -> tuple[object, ...]:
        optimizer.zero_grad()
        answer = _backward(model, idx, targets)
        guarded("step()", optimizer.step)
        return answer

    return step(), step()


def _backward(model: TorchModel, idx: Tensor, targets: Tensor) -> tuple[object, ...]:
    logits, loss = model(idx, targets)
    if loss is not None and loss.requires_grad:
        model.backward(loss)
    return logits, loss, model.gradient()


def parameters_of(model: TorchModel) -> list[nn.Parameter]:
    """Return the parameters themselves, which model.parameters() only shows."""
    return list(model.raw.parameters()) if isinstance(model.raw, nn.Module) else []


def _learn(model: TorchModel, numbers: np.random.Generator, keep: bool) -> tuple[object, ...]:
    """Take two plain steps against the gradient, or against the sum of those so far."""
    for _ in range(2):
        if not keep:
            for one in parameters_of(model):
                one.grad = None
        idx, targets = _ids(numbers, (3, 4), model.C), _ids(numbers, (3, 4), model.C)
        loss = model(idx, targets).loss
        if loss is None or not loss.requires_grad:
            return ("no gradient",)
        model.backward(loss)
        with torch.no_grad():
            for one in parameters_of(model):
                if one.grad is not None:
                    one.add_(one.grad.to_dense(), alpha=-0.1)
    return tuple(model.parameters().values())


BATCHES = (
    *((300, T, B) for T, B in ((1, 1), (3, 1), (1, 5), (8, 4), (70, 2))),
    *((N, 8, 2) for N in (3, 9, 10, 13)),
    (4, 2, 8), (5, 1, 8), (90_000, 2, 64), (70_000, 80, 33),
)  # fmt: skip
"""N, T and B."""


def _try_batches(subject: TorchSubject, digest: Digest) -> None:
    for N, T, B in BATCHES:
        if N == T + 1 and DRAWS in digest.loose:
            continue  # its one window may be drawn, or be refused: see batch.last-window
        data = torch.arange(N).flip(0) * 3 % 70_001
        digest.attempt(subject.get_batch, data, T, B, drawn=True)
        if Part.GET_BATCH_GENERATOR in subject.parts:
            own = torch.Generator().manual_seed(5)
            draw = partial(subject.get_batch, generator=own)
            digest.attempt(draw, data, T, B, drawn=True)
            if STREAMS not in digest.loose:
                digest.add(own.get_state())
    if Part.SPLIT in subject.parts:
        train, val = torch.arange(500), torch.arange(1000, 1400)
        for split in ("train", "val", "Train", "test"):
            digest.attempt(subject.get_split_batch, train, val, split, 8, 4, drawn=True)


def _try_vocabulary(subject: TorchSubject, digest: Digest) -> None:
    for text in TEXTS:
        digest.attempt(try_words, subject, text)
        digest.attempt(lambda text: subject.vocabulary(text).encode("Ж"), text)
        for bad in (-1, 10_000):
            digest.attempt(lambda text, bad: subject.vocabulary(text).decode([bad]), text, bad)


def try_words(subject: TorchSubject, text: str) -> tuple[object, ...]:
    words = subject.vocabulary(text)
    ids = words.encode(text)
    every = words.decode(list(range(len(words))))
    return len(words), ids, words.decode(ids), words.encode(""), every


def _train(subject: TorchSubject, C: int, numbers: np.random.Generator) -> tuple[object, ...]:
    model = subject.model(C)
    model.set_table(torch.tensor(numbers.normal(0, 1, (C, C)), dtype=torch.float32))
    take = subject.trainer(model)
    for shape in ((2, 4), (1, 3), (5, 2)):
        take(_ids(numbers, shape, C), _ids(numbers, shape, C))
    return model.table(), model.state()
