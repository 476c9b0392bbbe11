"""Wrong in how a step is taken."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from wrong_forward import Notes
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel

Step = Callable[[Tensor, Tensor], object]
Trainer = Callable[[BigramLanguageModel], Step]


def subject_of(trainer: Trainer) -> TorchSubject:
    return TorchSubject(factory=BigramLanguageModel, given={"train_step": trainer})


def mutant(breaks: str, name: str) -> Callable[[Trainer], Trainer]:
    """Add a function, which makes the training step of a model, to the specimens."""

    def add(trainer: Trainer) -> Trainer:
        wrong(breaks, name, concepts=("training",))(partial(subject_of, trainer))
        return trainer

    return add


def with_optimizer(breaks: str, name: str) -> Callable[[Callable[..., Optimizer]], None]:
    """Add the notes' loop with another optimizer to the specimens."""

    def add(optimizer_of: Callable[..., Optimizer]) -> None:
        @mutant(breaks, name)
        def trainer(m: BigramLanguageModel) -> Step:
            return loop(m, optimizer_of(m.parameters()))

    return add


def loss_of(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    _logits, loss = m(xb, yb)
    return loss


def loop(
    m: BigramLanguageModel,
    optimizer: Optimizer,
    loss_of: Callable[[BigramLanguageModel, Tensor, Tensor], Tensor] = loss_of,
    between: Callable[[int], object] = lambda number: None,
) -> Step:
    """Give the notes' step, with one thing changed; `between` runs just before the update."""
    number = 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal number
        number += 1
        loss = loss_of(m, xb, yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        between(number)
        optimizer.step()

    return step


def notes_optimizer(m: nn.Module) -> AdamW:
    return AdamW(m.parameters(), lr=1e-3)


# -- another optimizer --

with_optimizer("training.step", "takes SGD")(partial(SGD, lr=1e-3))
with_optimizer("training.step", "takes SGD with momentum")(partial(SGD, lr=1e-3, momentum=0.9))
with_optimizer("training.step", "takes Adam, without any decay")(partial(Adam, lr=1e-3))
with_optimizer("training.step", "takes Adam, with the decay in the gradient")(
    partial(Adam, lr=1e-3, weight_decay=0.01)
)
with_optimizer("training.step", "takes RMSprop")(partial(RMSprop, lr=1e-3))
with_optimizer("training.step", "has a learning rate of 1e-2")(partial(AdamW, lr=1e-2))
with_optimizer("training.step", "has a learning rate of 1.01e-3")(partial(AdamW, lr=1.01e-3))
with_optimizer("training.step", "has a weight decay of 0")(partial(AdamW, lr=1e-3, weight_decay=0))
with_optimizer("training.step", "has a weight decay of 0.1")(
    partial(AdamW, lr=1e-3, weight_decay=0.1)
)
with_optimizer("training.step", "maximises the loss")(partial(AdamW, lr=1e-3, maximize=True))
with_optimizer("training.state", "has betas of 0.9 and 0.95")(
    partial(AdamW, lr=1e-3, betas=(0.9, 0.95))
)
with_optimizer("training.state", "has betas of 0.8 and 0.999")(
    partial(AdamW, lr=1e-3, betas=(0.8, 0.999))
)


# -- another loss --


def with_loss(breaks: str, name: str) -> Callable[[Callable[..., Tensor]], None]:
    """Add the notes' loop with another loss to the specimens."""

    def add(loss_of: Callable[..., Tensor]) -> None:
        @mutant(breaks, name)
        def trainer(m: BigramLanguageModel) -> Step:
            return loop(m, notes_optimizer(m), loss_of)

    return add


@with_loss("training.step", "trains on inputs and targets the wrong way round")
def swapped(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, yb, xb)


@with_loss("training.step", "trains the model to copy its input")
def copying(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, xb, xb)


@with_loss("training.step", "trains on the first sequence of the batch only")
def first_sequence(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, xb[:1], yb[:1])


@with_loss("training.step", "trains on the last position only")
def last_position(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, xb[:, -1:], yb[:, -1:])


@with_loss("training.step", "smooths the targets")
def smoothed(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return F.cross_entropy(m(xb)[0].flatten(0, 1), yb.flatten(), label_smoothing=0.1)


@with_loss("training.step", "trains on the softmax, of which cross-entropy takes it again")
def twice(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return F.cross_entropy(m(xb)[0].softmax(dim=-1).flatten(0, 1), yb.flatten())


@with_loss("training.zero-grad", "adds the loss up over the batch")
def summed(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, xb, yb) * xb.numel()


@with_loss("training.zero-grad", "divides the loss by the number of sequences again")
def divided(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> Tensor:
    return loss_of(m, xb, yb) / len(xb)


# -- another step --


@mutant("training.step", "clears the gradient between backward and step")
def cleared(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)
    return loop(m, optimizer, between=lambda _number: optimizer.zero_grad(set_to_none=False))


@mutant("training.step", "forgets optimizer.step()")
def no_step(m: BigramLanguageModel) -> Step:
    def step(xb: Tensor, yb: Tensor) -> None:
        loss_of(m, xb, yb).backward()

    return step


@mutant("training.step", "takes two steps for one")
def two_steps(m: BigramLanguageModel) -> Step:
    once = loop(m, notes_optimizer(m))
    return lambda xb, yb: (once(xb, yb), once(xb, yb))


@mutant("training.step", "warms the learning rate up from 0")
def warm_up(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def rate(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, number / 100)

    return loop(m, optimizer, between=rate)


@mutant("training.step", "moves each entry by 0.6% too much")
def outside(m: BigramLanguageModel) -> Step:
    return loop(m, AdamW(m.parameters(), lr=1.006e-3))


@mutant("training.zero-grad", "does not clear the gradient")
def accumulates(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def step(xb: Tensor, yb: Tensor) -> None:
        loss_of(m, xb, yb).backward()
        optimizer.step()

    return step


def micro(m: BigramLanguageModel, size: int, weight: Callable[[int], float]) -> Step:
    """Take the batch in parts of some rows, and weigh the loss of each by how many there are."""
    optimizer = notes_optimizer(m)

    def step(xb: Tensor, yb: Tensor) -> None:
        optimizer.zero_grad()
        parts = list(zip(xb.split(size), yb.split(size), strict=True))
        for x, y in parts:
            (loss_of(m, x, y) * weight(len(parts))).backward()
        optimizer.step()

    return step


@mutant("training.zero-grad", "adds up the gradients of micro-batches of one row each")
def micro_rows(m: BigramLanguageModel) -> Step:
    return micro(m, 1, lambda number: 1.0)


@mutant("training.zero-grad", "adds up the gradients of micro-batches of two rows or one")
def micro_summed(m: BigramLanguageModel) -> Step:
    return micro(m, 2, lambda number: 1.0)


@mutant("training.zero-grad", "averages micro-batches of two rows or one, whatever their sizes")
def micro_averaged(m: BigramLanguageModel) -> Step:
    return micro(m, 2, lambda number: 1 / number)


@mutant("training.zero-grad", "clears the gradient before every second step only")
def every_second(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)
    number = 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal number
        if number % 2 == 0:
            optimizer.zero_grad()
        number += 1
        loss_of(m, xb, yb).backward()
        optimizer.step()

    return step


@mutant("training.zero-grad", "clears the gradient of an optimizer that it no longer uses")
def another_cleared(m: BigramLanguageModel) -> Step:
    optimizer, other = notes_optimizer(m), notes_optimizer(BigramLanguageModel(2))

    def step(xb: Tensor, yb: Tensor) -> None:
        other.zero_grad()
        loss_of(m, xb, yb).backward()
        optimizer.step()

    return step


@mutant("training.zero-grad", "clips the gradient to a length of 0.1")
def clipped(m: BigramLanguageModel) -> Step:
    def clip(_number: int) -> None:
        nn.utils.clip_grad_norm_(m.parameters(), 0.1)

    return loop(m, notes_optimizer(m), between=clip)


@mutant("training.state", "makes the optimizer anew at each step")
def anew(m: BigramLanguageModel) -> Step:
    def step(xb: Tensor, yb: Tensor) -> None:
        loop(m, notes_optimizer(m))(xb, yb)

    return step


@mutant("training.state", "goes by the signs of the gradient, without any memory")
def signs(m: BigramLanguageModel) -> Step:
    table = m.token_embedding_table.weight

    @torch.no_grad()
    def step(xb: Tensor, yb: Tensor) -> None:
        with torch.enable_grad():
            (g,) = torch.autograd.grad(loss_of(m, xb, yb), table)
        table.mul_(1 - 1e-5).sub_(1e-3 * g / (g.abs() + 1e-8))

    return step


@mutant("training.state", "halves the learning rate after the first step")
def halved(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def rate(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 if number == 1 else 5e-4

    return loop(m, optimizer, between=rate)


@mutant("training.state", "forgets how many steps it has taken, and does not correct its means")
def uncorrected(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def forget(number: int) -> None:
        for state in optimizer.state.values():
            state["step"].fill_(1000.0 if number > 1 else 0.0)

    return loop(m, optimizer, between=forget)


@mutant("training.state", "updates only the rows of the batch")
def sparse(m: BigramLanguageModel) -> Step:
    table = m.token_embedding_table.weight
    optimizer = notes_optimizer(m)
    plain = loop(m, optimizer)
    first = True

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal first
        before = table.detach().clone()
        plain(xb, yb)
        absent = torch.ones(len(table), dtype=torch.bool)
        absent[xb] = False
        if not first:
            table.data[absent] = before[absent]
        first = False

    return step


# -- what else happens --


def after_step(breaks: str, name: str) -> Callable[[Callable[..., object]], None]:
    """Add the notes' loop, with something after each step, to the specimens."""

    def add(after: Callable[..., object]) -> None:
        @mutant(breaks, name)
        def trainer(m: BigramLanguageModel) -> Step:
            plain = loop(m, notes_optimizer(m))

            def step(xb: Tensor, yb: Tensor) -> None:
                plain(xb, yb)
                after(m, xb, yb)

            return step

    return add


@after_step("training.only-table", "masks the targets once it has learned them")
def masks(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> None:
    yb.fill_(-100)


@after_step("training.only-table", "moves the targets of the batch into its inputs")
def moves_on(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> None:
    xb.copy_(yb)


@after_step("training.reproducible", "adds noise of 1e-8 to the table")
def noise(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> None:
    table = m.token_embedding_table.weight.data
    table += 1e-8 * torch.randn_like(table)


@after_step("training.stream", "seeds torch with 1337 after each step")
def seeds(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> None:
    torch.manual_seed(1337)


@after_step("training.stream", "seeds torch with 1337 after a step on one token of each sequence")
def seeds_of_one(m: BigramLanguageModel, xb: Tensor, yb: Tensor) -> None:
    if xb.shape[1] == 1:
        torch.manual_seed(1337)


class Counting(BigramLanguageModel):
    """A model that holds how many tokens it has seen in training."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("seen", torch.zeros(vocab_size))


@wrong("training.only-table", "counts the tokens that it has seen", concepts=("training",))
def counts() -> TorchSubject:
    def trainer(m: Counting) -> Step:
        plain = loop(m, notes_optimizer(m))

        def step(xb: Tensor, yb: Tensor) -> None:
            plain(xb, yb)
            m.get_buffer("seen").add_(torch.bincount(xb.flatten(), minlength=m.vocab_size))

        return step

    return TorchSubject(factory=Counting, given={"train_step": trainer})


moments: dict[int, dict[str, Tensor]] = {}


@mutant("training.reproducible", "hands the optimizer's memory on to the next model")
def handed_on(m: BigramLanguageModel) -> Step:
    table = m.token_embedding_table.weight
    optimizer = notes_optimizer(m)
    inherited = moments.get(m.vocab_size, {})
    plain = loop(m, optimizer)
    number = 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal number
        number += 1
        if number == 2:
            optimizer.state[table].update(inherited)
        plain(xb, yb)
        moments[m.vocab_size] = {name: one.clone() for name, one in optimizer.state[table].items()}

    return step


first_tables: dict[int, Tensor] = {}


@mutant("training.step", "decays by the first table that it saw of this size, of any model")
def shared_decay(m: BigramLanguageModel) -> Step:
    return decay_by(m, first_tables.setdefault(m.vocab_size, table_of(m)))


def table_of(m: BigramLanguageModel) -> Tensor:
    return m.token_embedding_table.weight.detach().clone()


def decay_by(m: BigramLanguageModel, table: Tensor) -> Step:
    """Give Adam's step, and the decay of a table that need not be the model's."""
    plain = loop(m, Adam(m.parameters(), lr=1e-3))

    def step(xb: Tensor, yb: Tensor) -> None:
        plain(xb, yb)
        m.token_embedding_table.weight.data.sub_(1e-5 * table)

    return step


def kept_targets(breaks: str, name: str, least: int) -> None:
    """Add a loop that keeps its first targets, of as many columns or more, for their shape."""

    @mutant(breaks, name)
    def trainer(m: BigramLanguageModel) -> Step:
        plain, kept = loop(m, notes_optimizer(m)), list[Tensor]()

        def step(xb: Tensor, yb: Tensor) -> None:
            if yb.shape[1] >= least:
                kept.append(yb.clone())
                yb = kept[0] if kept[0].shape == yb.shape else yb
            plain(xb, yb)

        return step


kept_targets("training.zero-grad", "keeps the first batch's targets for all of its shape", 1)
kept_targets("training.state", "keeps the first long batch's targets for all of its shape", 65)


# -- in the long run --


@mutant("training.converges", "decays by the table that it began with")
def first_decay(m: BigramLanguageModel) -> Step:
    return decay_by(m, table_of(m))


@mutant("training.state", "goes uphill from the fifth step on")
def uphill(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def turn(number: int) -> None:
        optimizer.param_groups[0]["maximize"] = number >= 5

    return loop(m, optimizer, between=turn)


@mutant("training.descends", "stops after fifteen steps")
def stops(m: BigramLanguageModel) -> Step:
    plain, number = loop(m, notes_optimizer(m)), 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal number
        number += 1
        if number <= 15:
            plain(xb, yb)

    return step


@mutant("training.descends", "doubles its learning rate at each step from the tenth on")
def explodes(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def rate(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 if number < 10 else float(2**number)

    return loop(m, optimizer, between=rate)


@mutant("training.converges", "lets the learning rate fall to 0 within 100 steps")
def decays(m: BigramLanguageModel) -> Step:
    optimizer = notes_optimizer(m)

    def rate(number: int) -> None:
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, max(0.0, (100 - number) / 60))

    return loop(m, optimizer, between=rate)


@mutant("training.converges", "keeps the table within -0.2 and 0.2 once it has trained a while")
def bounded(m: BigramLanguageModel) -> Step:
    plain, number = loop(m, notes_optimizer(m)), 0

    def step(xb: Tensor, yb: Tensor) -> None:
        nonlocal number
        number += 1
        plain(xb, yb)
        if number > 30:
            m.token_embedding_table.weight.data.clamp_(-0.2, 0.2)

    return step


@mutant("training.converges", "stops as soon as the loss falls by less than a thousandth")
def stops_early(m: BigramLanguageModel) -> Step:
    plain, losses = loop(m, notes_optimizer(m)), [float("inf")]

    def step(xb: Tensor, yb: Tensor) -> None:
        losses.append(loss_of(m, xb, yb).item())
        if len(losses) < 50 or losses[-2] - losses[-1] > 1e-3:
            plain(xb, yb)

    return step


# -- models that the notes' loop cannot train --


@wrong("training.loop", "has an embedding with sparse=True, whose gradient AdamW does not take")
def sparse_gradient() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.token_embedding_table = nn.Embedding(vocab_size, vocab_size, sparse=True)

    return TorchSubject(factory=M)


@wrong("training.loop", "makes its table a new parameter at every forward")
def made_again() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            table = self.token_embedding_table
            table.weight = nn.Parameter(table.weight.detach())
            return super().forward(idx, targets)

    return TorchSubject(factory=M)
