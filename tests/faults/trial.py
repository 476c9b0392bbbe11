"""A long random trial of a subject's public operations, and the digest of all that came of it.

Two subjects with the same digest gave the same bits everywhere: the same answers, errors, tables,
gradients and random streams.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects.torch_models import TorchModel, TorchSubject
from reference.spec.randomness import seed_all, streams
from reference.spec.subject import Part, SubjectError

SHAPES = ((1, 1), (2, 1), (1, 3), (3, 2), (2, 4), (4, 8), (2, 9), (6, 5), (1, 33), (2, 40))
LONG = ((1, 65), (2, 70))
SIZES = (1, 2, 3, 5, 65, 257)
TEXTS = ("a", "hello world", "zéa中🙂 a", "".join(map(chr, range(32, 127))) * 2)


class Digest:
    """Takes in whatever comes back."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def add(self, *values: object) -> None:
        """Take in values."""
        for value in values:
            if isinstance(value, Tensor):
                dense = value.detach().cpu().to_dense().contiguous()
                self.add(str(dense.dtype), tuple(dense.shape), value.requires_grad)
                self.hash.update(dense.numpy().tobytes())
            elif isinstance(value, dict):
                for name, one in value.items():
                    self.add(name, one)
            else:
                self.hash.update(repr(value).encode("utf-8", "backslashreplace") + b"\0")

    def attempt(self, call: Callable[..., object], *arguments: Any) -> None:
        """Take in what a call gives, or the type of what it raises, and where the streams are.

        Tensors among the arguments are taken in too: the call may have written into them.
        """
        try:
            answer = call(*arguments)
        except SubjectError as error:
            raised = error.__cause__
            self.add("raised", type(raised or error).__name__)
        except SubjectCrash as error:
            self.add("crashed", str(error))
        else:
            self.add(*answer if isinstance(answer, tuple) else (answer,))
        self.add(*(one for one in arguments if isinstance(one, Tensor)))
        self.add(streams())


def digest_of(subject: TorchSubject, *, whole: bool) -> str:
    """Try a subject, its model only if it is `whole`, and return the digest."""
    digest = Digest()
    seed_all(0)
    numbers = np.random.default_rng(0)
    digest.add(sorted(subject.parts))
    if whole:
        for C in SIZES:
            digest.attempt(_try_model, subject, digest, C, numbers)
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
    return digest.hash.hexdigest()


def _ids(numbers: np.random.Generator, shape: tuple[int, int], C: int) -> Tensor:
    return torch.tensor(numbers.integers(0, C, shape))


def _try_model(
    subject: TorchSubject, digest: Digest, C: int, numbers: np.random.Generator
) -> object:
    model = subject.model(C)
    assert isinstance(model, TorchModel)
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
                digest.attempt(model.generate, idx, (0, 1, 2, 5)[number % 4])
            digest.add(model.modes())
        if generates:
            digest.attempt(model.generate, torch.arange(64 * C)[:, None] % C, 1)
        for wrong in (torch.tensor([[C]]), torch.tensor([[-1]]), torch.zeros(0, 1).long()):
            digest.attempt(model, wrong)
        digest.attempt(_learn, model, numbers, keep)
        digest.add(model.state())
    return "tried"


def _backward(model: TorchModel, idx: Tensor, targets: Tensor) -> tuple[object, ...]:
    logits, loss = model(idx, targets)
    if loss is not None and loss.requires_grad:
        model.backward(loss)
    return logits, loss, model.gradient()


def _learn(model: TorchModel, numbers: np.random.Generator, keep: bool) -> tuple[object, ...]:
    """Take two plain steps against the gradient, or against the sum of those so far."""
    for _ in range(2):
        for one in model.parameters().values():
            if not keep:
                one.grad = None
        idx, targets = _ids(numbers, (3, 4), model.C), _ids(numbers, (3, 4), model.C)
        loss = model(idx, targets).loss
        if loss is None or not loss.requires_grad:
            return ("no gradient",)
        model.backward(loss)
        with torch.no_grad():
            for one in model.parameters().values():
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
        data = torch.arange(N).flip(0) * 3 % 70_001
        digest.attempt(subject.get_batch, data, T, B)
        if Part.GET_BATCH_GENERATOR in subject.parts:
            own = torch.Generator().manual_seed(5)
            digest.attempt(lambda *a: subject.get_batch(*a[:3], generator=a[3]), data, T, B, own)
    if Part.SPLIT in subject.parts:
        train, val = torch.arange(500), torch.arange(1000, 1400)
        for split in ("train", "val", "Train", "test"):
            digest.attempt(subject.get_split_batch, train, val, split, 8, 4)


def _try_vocabulary(subject: TorchSubject, digest: Digest) -> None:
    for text in TEXTS:
        digest.attempt(_words, subject, text)
        digest.attempt(lambda text: subject.vocabulary(text).encode("Ж"), text)
        for bad in (-1, 10_000):
            digest.attempt(lambda text, bad: subject.vocabulary(text).decode([bad]), text, bad)


def _words(subject: TorchSubject, text: str) -> tuple[object, ...]:
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
