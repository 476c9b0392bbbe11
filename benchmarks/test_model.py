"""Batch, embedding, forward, generate: the notes' lines, the reference, what its checks cost.

Each is held against the others before it is timed. Compare within one run: machines are shared.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference import BigramLanguageModel, Corpus, get_batch, load_corpus

SIZES = [(4, 8), (32, 8), (256, 64)]
VARIANTS = ["notes", "reference", "reference, unchecked"]

Timed = Callable[..., None]


class Notes(nn.Module):
    """The notes' lines as they stand."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.token_embedding_table(idx)
        if targets is None:
            loss = None
        else:
            B, T, C = logits.shape
            logits = logits.view(B * T, C)
            targets = targets.view(B * T)
            loss = F.cross_entropy(logits, targets)
        return logits, loss

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            logits, _loss = self(idx)
            logits = logits[:, -1, :]
            probs = F.softmax(logits, dim=1)
            idx_next = torch.multinomial(probs, num_samples=1)
            idx = torch.cat((idx, idx_next), dim=1)
        return idx


def notes_get_batch(data: Tensor, block_size: int, batch_size: int) -> tuple[Tensor, Tensor]:
    ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    return x, y


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus()


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest, device: torch.device) -> nn.Module:
    torch.manual_seed(1337)
    if request.param == "notes":
        return Notes(65).to(device)
    return BigramLanguageModel(65, validate=request.param == "reference").to(device)


@pytest.fixture
def plain(device: torch.device) -> Notes:
    torch.manual_seed(1337)
    return Notes(65).to(device)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def batch(
    request: pytest.FixtureRequest, corpus: Corpus, device: torch.device
) -> tuple[Tensor, Tensor]:
    B, T = request.param
    x, y = corpus.get_batch("train", T, B, generator=torch.Generator().manual_seed(1))
    return x.to(device), y.to(device)


@pytest.mark.parametrize("variant", ["notes", "reference"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_get_batch(
    variant: str, size: tuple[int, int], corpus: Corpus, device: torch.device, timed: Timed
) -> None:
    data = corpus.train.to(device)
    B, T = size
    draw = notes_get_batch if variant == "notes" else get_batch
    torch.manual_seed(1)
    x, y = draw(data, T, B)
    torch.manual_seed(1)
    expected_x, expected_y = notes_get_batch(data, T, B)
    assert torch.equal(x, expected_x)
    assert torch.equal(y, expected_y)
    timed(lambda: draw(data, T, B), tokens=B * T, group=f"get_batch {B} x {T}")


def test_embedding(
    model: nn.Module, plain: Notes, batch: tuple[Tensor, Tensor], timed: Timed
) -> None:
    x, _y = batch
    logits, _none = model(x)
    assert torch.equal(logits, plain.token_embedding_table.weight[x])
    timed(lambda: model(x), tokens=x.numel(), group=f"embedding {x.shape[0]} x {x.shape[1]}")


def test_forward(
    model: nn.Module, plain: Notes, batch: tuple[Tensor, Tensor], timed: Timed
) -> None:
    x, y = batch
    _logits, loss = model(x, y)
    assert torch.equal(loss, plain(x, y)[1])
    timed(lambda: model(x, y), tokens=x.numel(), group=f"forward {x.shape[0]} x {x.shape[1]}")


@pytest.mark.parametrize("n", [100, 1000])
def test_generate(
    model: nn.Module, plain: Notes, n: int, device: torch.device, timed: Timed
) -> None:
    idx = torch.zeros((1, 1), dtype=torch.long, device=device)
    torch.manual_seed(1)
    grown = model.generate(idx, n)  # type: ignore[operator]  # both kinds of model have it
    torch.manual_seed(1)
    assert torch.equal(grown, plain.generate(idx, n))
    timed(lambda: model.generate(idx, n), tokens=n, group=f"generate 1 x {n}")  # type: ignore[operator]  # likewise
