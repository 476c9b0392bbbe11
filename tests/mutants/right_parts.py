"""Right, and written otherwise: get_batch, the vocabulary, softmax and the training step."""

import bisect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, AdamW, Optimizer
from torch.utils.data import DataLoader, Dataset, RandomSampler
from wrong_forward import Notes
from zoo import right

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.spec.subject import Part

Batch = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor], object]


def part(name: str, factory: Any = BigramLanguageModel, **given: Any) -> None:
    """Add a subject with one part of its own to the specimens."""
    concepts = {"get_batch": "batch", "vocabulary": "vocabulary"}
    concepts |= {"softmax": "softmax", "train_step": "training"}
    concept = next(concepts[one] for one in given if one in concepts)
    right(name, concepts=(concept,))(partial(TorchSubject, factory=factory, given=given))


def named(option: str, name: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add a function, as one part of the reference, to the specimens."""

    def add(function: Callable[..., object]) -> Callable[..., object]:
        part(name, **{option: function})
        return function

    return add


# -- get_batch --


@named("get_batch", "the notes' get_batch, word for word")
def notes_batch(data: Tensor, block_size: int, batch_size: int) -> Batch:
    ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    return x, y


@named("get_batch", "a get_batch that draws the last window too")
def wider(data: Tensor, T: int, B: int) -> Batch:
    ix = torch.randint(len(data) - T, (B,))
    return torch.stack([data[i : i + T] for i in ix]), torch.stack(
        [data[i + 1 : i + 1 + T] for i in ix]
    )


@named("get_batch", "a get_batch that indexes with a table of places")
def gathered(data: Tensor, T: int, B: int, *, generator: Generator | None = None) -> Batch:
    places = torch.randint(len(data) - T - 1, (B, 1), generator=generator) + torch.arange(T)
    return data[places], data[places + 1]


@named("get_batch", "a get_batch that unfolds the text")
def unfolded(data: Tensor, T: int, B: int) -> Batch:
    pieces = data.unfold(0, T + 1, 1)[torch.randint(len(data) - T, (B,))]
    return pieces[:, :-1].contiguous(), pieces[:, 1:].clone()


@named("get_batch", "a get_batch of lists of numbers")
def lists(data: Tensor, T: int, B: int) -> Batch:
    starts = torch.randint(0, len(data) - T - 1, (B,)).tolist()
    text = data.tolist()
    x = [[text[i + t] for t in range(T)] for i in starts]
    y = [[text[i + t + 1] for t in range(T)] for i in starts]
    return torch.tensor(x), torch.tensor(y)


@named("get_batch", "a get_batch that draws with NumPy, seeded by torch")
def with_numpy(data: Tensor, T: int, B: int) -> Batch:
    rng = np.random.default_rng(int(torch.randint(2**62, ())))
    starts = rng.integers(0, len(data) - T - 1, B)
    text = data.numpy()
    x = np.stack([text[i : i + T] for i in starts])
    y = np.stack([text[i + 1 : i + 1 + T] for i in starts])
    return torch.from_numpy(x), torch.from_numpy(y)


@named("get_batch", "a get_batch that draws with Python's random, seeded by torch")
def with_python(data: Tensor, T: int, B: int, generator: Generator | None = None) -> Batch:
    numbers = random.Random(int(torch.randint(2**62, (), generator=generator)))
    starts = [numbers.randrange(len(data) - T - 1) for _ in range(B)]
    return torch.stack([data[i:][:T] for i in starts]), torch.stack(
        [data[i + 1 :][:T] for i in starts]
    )


@named("get_batch", "a get_batch that scales numbers between 0 and 1")
def scaled(data: Tensor, T: int, B: int) -> Batch:
    K = len(data) - T - 1
    if K < 1:
        raise ValueError(f"{len(data)} tokens are too few for windows of {T}")
    starts = (torch.rand(B, dtype=torch.float64) * K).long()
    places = starts[:, None] + torch.arange(T)
    return data.take(places), data.take(places + 1)


class Windows(Dataset[Batch]):
    """Every window of a text, for a DataLoader."""

    def __init__(self, data: Tensor, T: int) -> None:
        self.data, self.T = data, T

    def __len__(self) -> int:
        return len(self.data) - self.T - 1

    def __getitem__(self, i: int) -> Batch:
        return self.data[i : i + self.T], self.data[i + 1 : i + self.T + 1]


@named("get_batch", "a get_batch that asks a DataLoader")
def loaded(data: Tensor, T: int, B: int) -> Batch:
    windows = Windows(data, T)
    sampler = RandomSampler(windows, replacement=True, num_samples=B)
    batches: Iterator[list[Tensor]] = iter(DataLoader(windows, batch_size=B, sampler=sampler))
    x, y = next(batches)
    return x, y


def notes_split(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return notes_batch(train if split == "train" else val, T, B)  # type: ignore[return-value]  # as people write it


def dict_split(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return gathered({"train": train, "val": val}[split], T, B)  # type: ignore[return-value]  # as people write it


def starts_with_t(train: Tensor, val: Tensor, split: str, T: int, B: int) -> Batch:
    return wider(train if split.lower().startswith("t") else val, T, B)  # type: ignore[return-value]  # as people write it


def batches(whole: Callable[..., object], split: Callable[..., object]) -> dict[str, Any]:
    return {Part.GET_BATCH: whole, Part.SPLIT: split}


part("takes any other split for val, as the notes do", **batches(notes_batch, notes_split))
part("refuses any other split", **batches(gathered, dict_split))
part("reads the split whatever its case", **batches(wider, starts_with_t))


# -- the vocabulary --


@named("vocabulary", "two dictionaries, made by comprehension")
class Dictionaries:
    def __init__(self, text: str) -> None:
        chars = sorted(set(text))
        self.vocab_size = len(chars)
        self.stoi = {ch: i for i, ch in enumerate(chars)}
        self.itos = {i: ch for i, ch in enumerate(chars)}  # noqa: C416  as people write it
        self.encode = lambda s: [self.stoi[c] for c in s]
        self.decode = lambda ids: "".join(self.itos[i] for i in ids)


@dataclass
class Sorted:
    """A list that is searched by halves."""

    chars: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, text: str) -> "Sorted":
        words = cls()
        for ch in text:
            place = bisect.bisect_left(words.chars, ch)
            if words.chars[place : place + 1] != [ch]:
                words.chars.insert(place, ch)
        return words

    def __len__(self) -> int:
        return len(self.chars)

    def encode(self, text: str) -> Tensor:
        ids = []
        for place, ch in enumerate(text):
            number = bisect.bisect_left(self.chars, ch)
            if self.chars[number : number + 1] != [ch]:
                raise ValueError(f"{ch!r} at {place} is not in the vocabulary")
            ids.append(number)
        return torch.tensor(ids)

    def decode(self, ids: Sequence[int]) -> str:
        if not all(0 <= i < len(self) for i in ids):
            raise IndexError(f"{ids} has an id that is none")
        return "".join(self.chars[i] for i in ids)


part("a dataclass with a sorted list, which gives tensors", vocabulary=Sorted.of)


@named("vocabulary", "code points that NumPy sorts")
class WithNumpy:
    def __init__(self, text: str) -> None:
        self.points = np.unique([ord(ch) for ch in text])

    def __len__(self) -> int:
        return len(self.points)

    def encode(self, text: str) -> NDArray[np.int64]:
        points = np.array([ord(ch) for ch in text], dtype=np.int64)
        for ch in text:
            if ord(ch) not in self.points:
                raise KeyError(ch)
        return np.searchsorted(self.points, points)

    def decode(self, ids: Sequence[int]) -> str:
        if min(ids, default=0) < 0:
            raise IndexError(f"{min(ids)} is below 0")
        return "".join(chr(self.points[i]) for i in ids)


# -- softmax --


def last_axis(z: Tensor) -> Tensor:
    return z.softmax(dim=-1)


def less_the_greatest(z: Tensor) -> Tensor:
    e = (z - z.max(dim=1, keepdim=True).values).exp()
    return e / e.sum(dim=1, keepdim=True)


def by_logarithms(z: Tensor) -> Tensor:
    return (z - z.logsumexp(dim=1, keepdim=True)).exp()


def in_doubles(z: Tensor) -> Tensor:
    return less_the_greatest(z.double()).to(z.dtype)


def row_by_row(z: Tensor) -> Tensor:
    return torch.stack([F.softmax(row, dim=0) for row in z])


part("softmax over the last axis", softmax=last_axis)
part("softmax by hand, with each row's greatest score taken away", softmax=less_the_greatest)
part("softmax as the exponential of the log-probabilities", softmax=by_logarithms)
part("softmax in float64, given back in float32", softmax=in_doubles)
part("softmax row by row", softmax=row_by_row)
part("softmax as a module", softmax=nn.Softmax(dim=1))


# -- the training step --


def loop(m: nn.Module, optimizer: Optimizer) -> Step:
    """Give the notes' step."""

    def step(xb: Tensor, yb: Tensor) -> None:
        _logits, loss = m(xb, yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


@named("train_step", "the notes' loop")
def notes_loop(m: nn.Module) -> Step:
    return loop(m, AdamW(m.parameters(), lr=1e-3))


@named("train_step", "AdamW over all tensors at once")
def foreach(m: nn.Module) -> Step:
    return loop(m, AdamW(m.parameters(), lr=1e-3, foreach=True))


@named("train_step", "fused AdamW")
def fused(m: nn.Module) -> Step:
    return loop(m, AdamW(m.parameters(), lr=1e-3, fused=True))


@named("train_step", "AdamW with every default written out, in a group")
def grouped(m: nn.Module) -> Step:
    group = {"params": list(m.parameters()), "weight_decay": 0.01}
    return loop(m, AdamW([group], lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False))


@named("train_step", "a learning rate within the tolerance of a step")
def inside(m: nn.Module) -> Step:
    return loop(m, AdamW(m.parameters(), lr=1.001e-3))


@named("train_step", "Adam, after the decay by hand")
def decay_apart(m: nn.Module) -> Step:
    plain = loop(m, Adam(m.parameters(), lr=1e-3))

    def step(xb: Tensor, yb: Tensor) -> None:
        before = {name: one.detach().clone() for name, one in m.named_parameters()}
        plain(xb, yb)
        with torch.no_grad():
            for name, one in m.named_parameters():
                one.sub_(1e-5 * before[name])

    return step


@named("train_step", "zero_grad after the step")
def cleared_after(m: nn.Module) -> Step:
    optimizer = AdamW(m.parameters(), lr=1e-3)

    def step(xb: Tensor, yb: Tensor) -> None:
        _logits, loss = m(xb, yb)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@named("train_step", "zero_grad that leaves zeros, after the step")
def zeros_after(m: nn.Module) -> Step:
    optimizer = AdamW(m.parameters(), lr=1e-3)

    def step(xb: Tensor, yb: Tensor) -> None:
        _logits, loss = m(xb, yb)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    return step


@named("train_step", "a closure for the optimizer to call")
def closure(m: nn.Module) -> Step:
    optimizer = AdamW(m.parameters(), lr=1e-3)

    def step(xb: Tensor, yb: Tensor) -> None:
        def again() -> float:
            optimizer.zero_grad()
            _logits, loss = m(xb, yb)
            loss.backward()
            return float(loss)

        optimizer.step(again)

    return step


@named("train_step", "gradients by torch.func, without backward")
def functional(m: BigramLanguageModel) -> Step:
    optimizer = AdamW(m.parameters(), lr=1e-3)

    def loss_of(parameters: dict[str, Tensor], xb: Tensor, yb: Tensor) -> Tensor:
        logits = torch.func.functional_call(m, parameters, (xb,))[0]
        return F.cross_entropy(logits.flatten(0, 1), yb.flatten())

    m.validate = False  # torch.func cannot look into its tokens

    def step(xb: Tensor, yb: Tensor) -> None:
        parameters = {name: one.detach() for name, one in m.named_parameters()}
        slopes = torch.func.grad(loss_of)(parameters, xb, yb)
        for name, one in m.named_parameters():
            one.grad = slopes[name]
        optimizer.step()

    return step


@named("train_step", "AdamW in NumPy, in float64, from counts")
def in_numpy(m: BigramLanguageModel) -> Step:
    weight = m.token_embedding_table.weight
    mean, square, steps = np.zeros(weight.shape), np.zeros(weight.shape), 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal mean, square, steps
        table = weight.detach().double().numpy()
        counts = np.zeros(table.shape)
        np.add.at(counts, (xb.flatten().numpy(), yb.flatten().numpy()), 1)
        p = np.exp(table - table.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        g = (counts.sum(axis=1, keepdims=True) * p - counts) / counts.sum()
        steps += 1
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        update = (mean / (1 - 0.9**steps)) / (np.sqrt(square / (1 - 0.999**steps)) + 1e-8)
        weight.data.copy_(torch.from_numpy(table * (1 - 1e-5) - 1e-3 * update))

    return step


part(
    "the notes' model and the notes' loop",
    factory=Notes,
    train_step=notes_loop,
)
