"""Embedding, forward, loss, and loss with its gradient.

"reference, unchecked" and "engine, unchecked" do not look whether every token is in range.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from benchmarks.notes_code import Notes
from benchmarks.timing import Timer, Work, spelled
from reference import BigramLanguageModel, fast
from reference.fast import losses
from reference.oracle.learning import gradient

SIZES = [
    (4, 8, 65),
    (32, 8, 65),
    (256, 64, 65),
    (512, 256, 65),
    (256, 64, 1024),
    (64, 64, 4096),
]
GROWING = [(32, 64, 65), (32, 512, 65), (32, 4096, 65)]
"""More lengths T for the growth curve of the loss and its gradient, which begins at 32 x 8."""

COMPILED = (256, 64, 65)
"""The one size for torch.compile, which takes half a minute to compile."""

LOSS_TOLERANCE = 1e-5
"""Relative: both sums of up to 131,072 float32 terms are rounded, each in its own order."""

GRADIENT_TOLERANCE = 1e-6
"""Relative to the greatest entry, where it is taken from counts, as the engine takes large batches.

The plain way adds a term for each time that a token is a current one, and rounds each sum; the
terms are much alike, so that the errors are too, and add up: to half a unit in the last place for
each term at most. At 512 x 256 that is 20,000 terms, and errors of 2e-4 are seen."""

Size = tuple[int, int, int]
MODELS = ["notes", "reference", "reference, unchecked", "engine"]
LOSSES = [*MODELS, "engine, unchecked"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A variant's model, the notes' with the same table, and a batch for both."""

    variant: str
    size: Size
    model: nn.Module
    plain: Notes
    x: Tensor
    y: Tensor

    def beside(self, notes: Callable[[], object]) -> dict[str, Callable[[], object]]:
        """Name what the notes do for the same, unless it is the notes' own turn."""
        return {} if self.variant == "notes" else {"notes": notes}

    def work(self, operation: str, *, variant: str = "") -> Work:
        B, T, C = self.size
        n, looked_up = B * T, 4 * min(B * T, C) * C  # of the table, at most a row for each token
        moved = {
            "embedding": 8 * n + looked_up + 4 * n * C,  # idx and rows read, logits written
            "forward": 16 * n + looked_up + 4 * n * C,  # and targets read
            "loss": 16 * n + looked_up,  # no logits are wanted
            "loss and gradient": 16 * n + looked_up + 4 * C * C,  # the gradient written
        }
        return Work(
            operation=operation,
            variant=variant or self.variant,
            size={"B": B, "T": T, "C": C},
            tokens=n,
            moved=moved[operation],
        )


@pytest.fixture
def case(variant: str, size: Size, device: torch.device) -> Case:
    B, T, C = size
    torch.manual_seed(1337)
    plain = Notes(C).to(device)
    model: nn.Module = plain
    if variant != "notes":
        kind = fast.BigramLanguageModel if variant.startswith("engine") else BigramLanguageModel
        model = kind(C, validate="unchecked" not in variant).to(device)
        model.load_state_dict(plain.state_dict())
    x, y = torch.randint(C, (2, B, T)).to(device)
    return Case(variant=variant, size=size, model=model, plain=plain, x=x, y=y)


@pytest.mark.parametrize("variant", MODELS)
@pytest.mark.parametrize("size", SIZES, ids=spelled)
def test_embedding(case: Case, timed: Timer) -> None:
    model, x = case.model, case.x
    logits, _none = model(x)
    assert torch.equal(logits, case.plain.token_embedding_table.weight[x])
    timed(lambda: model(x), case.work("embedding"), beside=case.beside(lambda: case.plain(x)))


@pytest.mark.parametrize("variant", MODELS)
@pytest.mark.parametrize("size", SIZES, ids=spelled)
def test_forward(case: Case, timed: Timer) -> None:
    model, x, y = case.model, case.x, case.y
    logits, loss = model(x, y)
    expected_logits, expected_loss = case.plain(x, y)
    assert torch.equal(logits, expected_logits)
    torch.testing.assert_close(loss, expected_loss, rtol=LOSS_TOLERANCE, atol=0)
    timed(lambda: model(x, y), case.work("forward"), beside=case.beside(lambda: case.plain(x, y)))


@pytest.mark.parametrize("variant", LOSSES)
@pytest.mark.parametrize("size", SIZES, ids=spelled)
def test_loss(case: Case, timed: Timer) -> None:
    """Time the loss alone, as on a validation text: no gradient, and nobody wants the logits."""
    model, x, y = case.model, case.x, case.y

    @torch.no_grad()
    def loss() -> Tensor:
        mean: Tensor = (
            model.loss(x, y) if isinstance(model, fast.BigramLanguageModel) else model(x, y)[1]
        )
        return mean

    _logits, expected = case.plain(x, y)
    torch.testing.assert_close(loss(), expected.detach(), rtol=LOSS_TOLERANCE, atol=0)
    notes = torch.no_grad()(lambda: case.plain(x, y))
    timed(loss, case.work("loss"), beside=case.beside(notes))


@pytest.mark.parametrize("variant", LOSSES)
@pytest.mark.parametrize("size", SIZES + GROWING, ids=spelled)
def test_loss_and_gradient(case: Case, timed: Timer) -> None:
    x, y = case.x, case.y
    expected_loss = loss_and_gradient(case.plain, case.plain, x, y)
    call = step_of(case.model, x, y)
    torch.testing.assert_close(call(), expected_loss, rtol=LOSS_TOLERANCE, atol=0)
    B, T, C = case.size
    counted = case.variant.startswith("engine") and losses.worth_counting(B * T, C)
    expect_close_to_exact(table_gradient(case.model), case, counted=counted)
    beside = case.beside(lambda: loss_and_gradient(case.plain, case.plain, x, y))
    timed(call, case.work("loss and gradient"), beside=beside)


# torch's compiler still uses what torch.jit has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("variant", ["notes"])
@pytest.mark.parametrize("size", [COMPILED], ids=spelled)
def test_compiled_loss_and_gradient(case: Case, timed: Timer, *, brief: bool) -> None:
    """Time what torch.compile makes of the notes' lines."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("torch.compile needs a C compiler, and there is none")
    if brief:
        pytest.skip("torch.compile takes half a minute to compile: only done to be timed")
    x, y, plain = case.x, case.y, case.plain
    compiled = torch.compile(plain, fullgraph=True)
    loss_and_gradient(compiled, plain, x, y)
    expect_close_to_exact(table_gradient(plain), case, counted=False)
    timed(
        lambda: loss_and_gradient(compiled, plain, x, y),
        case.work("loss and gradient", variant="notes, torch.compile"),
        beside={"notes": lambda: loss_and_gradient(plain, plain, x, y)},
    )


def step_of(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    if not isinstance(model, fast.BigramLanguageModel):
        return lambda: loss_and_gradient(model, model, x, y)
    table, validate = model.token_embedding_table.weight, model.validate

    def counted() -> Tensor:
        table.grad = None
        loss = fast.loss(table, x, y, validate=validate)
        loss.backward()
        return loss.detach()

    return counted


def loss_and_gradient(
    call: Callable[..., tuple[Tensor, Tensor]], model: nn.Module, x: Tensor, y: Tensor
) -> Tensor:
    model.zero_grad(set_to_none=True)
    _logits, loss = call(x, y)
    loss.backward()
    return loss.detach()


def table_gradient(model: nn.Module) -> Tensor:
    (table,) = model.parameters()
    assert table.grad is not None
    return table.grad.clone()


def expect_close_to_exact(found: Tensor, case: Case, *, counted: bool) -> None:
    """Hold a gradient against the oracle's, in float64."""
    C = case.size[2]
    pairs = torch.bincount((case.x * C + case.y).flatten().cpu(), minlength=C * C).view(C, C)
    table = case.plain.token_embedding_table.weight.detach()
    exact = torch.from_numpy(gradient(table.double().cpu().numpy(), pairs.numpy())).float()
    terms = pairs.sum(dim=1).max().item()
    plainly = terms * torch.finfo(torch.float32).eps / 2
    tolerance = GRADIENT_TOLERANCE if counted else max(GRADIENT_TOLERANCE, plainly)
    bound = tolerance * exact.abs().max().item()
    torch.testing.assert_close(found.cpu(), exact, rtol=0, atol=bound)
