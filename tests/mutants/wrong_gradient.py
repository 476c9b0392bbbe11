"""Wrong in the gradient of a loss that is right."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from wrong_forward import Notes, losing
from zoo import SCORES, wrong as wrong_in

from reference.conformance.subjects.torch_models import TorchSubject
from reference.spec.measures import gradient_tolerance as tolerance

wrong = partial(wrong_in, concepts=SCORES)


def backward_only(extra: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Add to the loss, in backward only: (table, idx) -> what is added, whose value is not."""

    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is not None:
                more = extra(self.token_embedding_table.weight, idx)
                loss = loss + (more - more.detach())
            return logits, loss

    return TorchSubject(factory=M)


def on_the_way(change: Callable[[Tensor], Tensor]) -> TorchSubject:
    """Change the gradient of the logits, (B*T, C), on its way from the loss."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        own = logits + 0
        if own.requires_grad:
            own.register_hook(change)
        return F.cross_entropy(own, targets.flatten())

    return losing(loss)


def as_if(loss: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Give the right loss with the gradient of another: (logits (B*T, C), targets (B*T,))."""

    def both(logits: Tensor, targets: Tensor) -> Tensor:
        right, other = F.cross_entropy(logits, targets.flatten()), loss(logits, targets.flatten())
        return right.detach() + (other - other.detach())

    return losing(both)


# For gradient.value


@wrong("gradient.value", "has the gradient of the sum, and the value of the mean")
def of_the_sum() -> TorchSubject:
    return as_if(lambda logits, targets: F.cross_entropy(logits, targets, reduction="sum"))


@wrong("gradient.value", "halves the gradient, for two steps of accumulation")
def halved() -> TorchSubject:
    return on_the_way(lambda grad: grad / 2)


@wrong("gradient.value", "has the gradient in bits, and the value in nats")
def in_bits() -> TorchSubject:
    return on_the_way(lambda grad: grad / 0.6931)


@wrong("gradient.value", "has the gradient the wrong way round")
def upwards() -> TorchSubject:
    return on_the_way(lambda grad: -grad)


@wrong("gradient.value", "keeps the sign of the gradient only")
def signs() -> TorchSubject:
    return on_the_way(lambda grad: grad.sign())


@wrong("gradient.value", "clips the gradient of each score at 0.05")
def clipped() -> TorchSubject:
    return on_the_way(lambda grad: grad.clamp(-0.05, 0.05))


@wrong("gradient.value", "clips the length of the gradient at 0.1")
def clipped_length() -> TorchSubject:
    return on_the_way(lambda grad: grad * (0.1 / grad.norm().clamp(min=0.1)))


@wrong("gradient.value", "detaches the normaliser of the softmax")
def detached_normaliser() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        chosen = logits.gather(1, targets[:, None])[:, 0]
        return (logits.logsumexp(dim=1).detach() - chosen).mean()

    return as_if(loss)


@wrong("gradient.value", "lets only the first sequence learn")
def first_learns() -> TorchSubject:
    def keep_first(grad: Tensor) -> Tensor:
        return grad * (torch.arange(len(grad)) == 0)[:, None]

    return on_the_way(keep_first)


@wrong("gradient.value", "smoothes the labels in backward only")
def smoothed() -> TorchSubject:
    return as_if(lambda logits, targets: F.cross_entropy(logits, targets, label_smoothing=0.01))


@wrong("gradient.value", "lets the target of token 0 not count in backward")
def ignores_first() -> TorchSubject:
    return as_if(
        lambda logits, targets: (
            F.cross_entropy(logits, targets, ignore_index=0, reduction="sum") / len(targets)
        )
    )


@wrong("gradient.value", "calls backward by itself, inside forward")
def by_itself() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is not None and loss.requires_grad:
                loss.backward(retain_graph=True)
            return logits, loss

    return TorchSubject(factory=M)


@wrong("gradient.value", "adds noise to the gradient")
def noisy() -> TorchSubject:
    return on_the_way(lambda grad: grad + 1e-4 * torch.randn_like(grad))


@wrong("gradient.value", "rounds the gradient to bfloat16")
def rounded() -> TorchSubject:
    return on_the_way(lambda grad: grad.bfloat16().float())


@wrong("gradient.value", "penalises the rows' lengths in backward only")
def penalty() -> TorchSubject:
    return backward_only(lambda table, idx: 1e-3 * table.square().sum())


@wrong("gradient.value", "changes in place what backward needs")
def in_place() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        probs = logits.softmax(dim=1)
        value = -(-F.nll_loss(probs, targets.flatten(), reduction="none")).log().mean()
        with torch.no_grad():
            probs.mul_(0)
        return value

    return as_if(loss)


@wrong("gradient.value", "has a gradient that is off by twice the tolerance")
def just_outside() -> TorchSubject:
    def off(table: Tensor, idx: Tensor) -> Tensor:
        return 2 * tolerance(table.detach(), idx.numel()) * table[idx.unique()].sum()

    return backward_only(off)


# For gradient.untouched-rows


@wrong("gradient.untouched-rows", "penalises the whole table by a ten-millionth in backward only")
def tiny_penalty() -> TorchSubject:
    return backward_only(lambda table, idx: 1e-7 * table.square().sum() / 2)


@wrong("gradient.untouched-rows", "adds a little noise to the gradient of every row")
def tiny_noise() -> TorchSubject:
    return backward_only(lambda table, idx: 1e-8 * (table * torch.randn_like(table)).sum())


@wrong("gradient.untouched-rows", "pushes the rows of the neighbours too")
def neighbours() -> TorchSubject:
    return backward_only(lambda table, idx: 1e-7 * table.roll(1, 0)[idx].sum())


# For gradient.row-sum


@wrong("gradient.row-sum", "pushes all scores of the tokens in idx up a little")
def lifts() -> TorchSubject:
    return backward_only(lambda table, idx: 3e-7 * table[idx.unique()].sum())


@wrong("gradient.row-sum", "rounds the gradient down")
def rounding_down() -> TorchSubject:
    def down(grad: Tensor) -> Tensor:
        return torch.floor(grad * 2**23) / 2**23

    return on_the_way(down)
