import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from trial import STREAMS, differs, digest_of

from reference.conformance.subjects.torch_models import TorchSubject

Pair = tuple[Tensor, Tensor | None]


class Plain(nn.Module):
    """A bigram model, which others here change in one way."""

    def __init__(self, C: int) -> None:
        super().__init__()
        self.table = nn.Embedding(C, C)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits: Tensor = self.table(idx)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def generate(self, idx: Tensor, n: int) -> Tensor:
        for _ in range(n):
            p = self(idx)[0][:, -1].softmax(dim=-1)
            idx = torch.cat([idx, torch.multinomial(p, 1)], dim=1)
        return idx


class OneBit(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits, loss = super().forward(idx, targets)
        return torch.nextafter(logits, logits + 1) if logits.shape[1] == 33 else logits, loss


class WritesTable(Plain):
    def generate(self, idx: Tensor, n: int) -> Tensor:
        with torch.no_grad():
            self.table.weight[0, 0] *= 1.0001
        return super().generate(idx, n)


class OtherGradient(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits, loss = super().forward(idx, targets)
        if loss is not None:
            loss = loss * 2 - loss.detach()
        return logits, loss


class Draws(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        torch.rand(1)
        return super().forward(idx, targets)


class DrawsFromNumPy(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        np.random.rand()  # noqa: NPY002  the shared stream is meant
        return super().forward(idx, targets)


class WritesArgument(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        answer = super().forward(idx, targets)
        idx[:] = 0
        return answer


class NoGradient(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits, loss = super().forward(idx, targets)
        return logits.detach(), loss


class LeavesTraining(Plain):
    def generate(self, idx: Tensor, n: int) -> Tensor:
        out = super().generate(idx, n)
        self.train()
        return out


class OtherError(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        if bool((idx < 0).any()):
            raise TypeError
        return super().forward(idx, targets)


class StaleAfterTraining(Plain):
    law: Tensor | None = None

    def generate(self, idx: Tensor, n: int) -> Tensor:
        if self.law is None:
            self.law = self.table.weight.detach().softmax(dim=-1)
        for _ in range(n):
            idx = torch.cat([idx, torch.multinomial(self.law[idx[:, -1]], 1)], dim=1)
        return idx


class LosesItsState(Plain):
    def load_state_dict(self, *_given: object, **_named: object) -> object:
        return None


class WrongInDoubles(Plain):
    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Pair:
        logits, loss = super().forward(idx, targets)
        return logits.float().to(
            logits.dtype
        ) * 1.5 if logits.dtype == torch.double else logits, loss


CHANGES = [one for one in Plain.__subclasses__()]  # noqa: C416  to be shown by name


@pytest.fixture(scope="module")
def before() -> list[str]:
    return digest_of(lambda: TorchSubject(factory=Plain), whole=True)


def test_the_same_model_has_the_same_digest(before: list[str]) -> None:
    random.seed(7)
    torch.manual_seed(7)
    assert digest_of(lambda: TorchSubject(factory=Plain), whole=True) == before


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_change_of_any_kind_changes_the_digest(
    before: list[str], change: Callable[[int], object]
) -> None:
    assert differs(lambda: TorchSubject(factory=change), before, whole=True)


def test_a_trial_that_overlooks_the_stream_sees_no_draw_that_nobody_uses() -> None:
    loose = frozenset({STREAMS})
    plain = digest_of(lambda: TorchSubject(factory=Plain), whole=True, loose=loose)

    def alike(model: Callable[[int], object]) -> bool:
        make = lambda: TorchSubject(factory=model)  # noqa: E731  the form that it takes
        return not differs(make, plain, whole=True, loose=loose)

    assert alike(Plain)
    assert not alike(OneBit)


def test_a_change_of_a_part_changes_the_digest() -> None:
    def batch(data: Tensor, T: int, B: int) -> tuple[Tensor, Tensor]:
        starts = torch.randint(len(data) - T, (B,))
        rows = torch.stack([data[i : i + T + 1] for i in starts])
        return rows[:, :-1], rows[:, 1:]

    def wrong(data: Tensor, T: int, B: int) -> tuple[Tensor, Tensor]:
        x, y = batch(data, T, B)
        return x, y + (T > 64)

    def subject(get_batch: Callable[..., object]) -> Callable[[], TorchSubject]:
        return lambda: TorchSubject(factory=Plain, given={"get_batch": get_batch})

    right = digest_of(subject(batch), whole=False)
    assert not differs(subject(batch), right, whole=False)
    assert differs(subject(wrong), right, whole=False)
