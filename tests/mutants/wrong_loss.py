"""Wrong in the loss."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from wrong_forward import Notes, losing, trimming
from zoo import SCORES, wrong as wrong_in

from reference.conformance.subjects.torch_models import TorchSubject
from reference.spec.measures import tolerance

wrong = partial(wrong_in, concepts=SCORES)


def each(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the loss of each position: (B*T, C), (B, T) -> (B, T)."""
    return F.cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)


def chosen(scores: Tensor, targets: Tensor) -> Tensor:
    """Give the score of each target: (B*T, C), (B, T) -> (B*T,)."""
    return -F.nll_loss(scores, targets.flatten(), reduction="none")


def likelihood(logits: Tensor, targets: Tensor) -> Tensor:
    """Give the probability of each target: (B*T, C), (B, T) -> (B*T,)."""
    return chosen(logits.softmax(dim=1), targets)


# For loss.scalar


@wrong("loss.scalar", "gives the loss of each position: reduction='none'")
def unreduced() -> TorchSubject:
    return losing(each)


@wrong("loss.scalar", "gives the loss with a dimension of one number")
def one_number() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean()[None])


@wrong("loss.scalar", "gives the loss as a number of Python's")
def item() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean().item())  # type: ignore[arg-type,return-value]  # as people write it


@wrong("loss.scalar", "takes no targets")
def no_targets() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor) -> Any:  # type: ignore[override]  # another signature, on purpose
            return super().forward(idx)

    return TorchSubject(factory=M)


@wrong("loss.scalar", "gives a loss in training only")
def only_in_training() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return super().forward(idx, targets if self.training else None)

    return TorchSubject(factory=M)


@wrong("loss.scalar", "gives the loss alone where there are targets")
def loss_alone() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            answer = super().forward(idx, targets)
            return answer if targets is None else answer[1]

    return TorchSubject(factory=M)


@wrong("loss.scalar", "forgets to flatten, and fails in F.cross_entropy")
def not_flattened() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, _none = super().forward(idx)
            if targets is None:
                return logits, None
            return logits.flatten(0, 1), F.cross_entropy(logits, targets)

    return TorchSubject(factory=M)


# For loss.mean-cross-entropy


@wrong("loss.mean-cross-entropy", "adds the losses up: reduction='sum'")
def summed() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).sum())


@wrong("loss.mean-cross-entropy", "adds up over time, and averages over the batch")
def summed_over_time() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).sum(dim=1).mean())


@wrong("loss.mean-cross-entropy", "divides by the size of the vocabulary too")
def divided() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean() / logits.shape[1])


@wrong("loss.mean-cross-entropy", "measures in bits")
def bits() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean() / math.log(2))


@wrong("loss.mean-cross-entropy", "gives the perplexity")
def perplexity() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean().exp())


@wrong("loss.mean-cross-entropy", "gives the mean log-likelihood, without the minus")
def no_minus() -> TorchSubject:
    return losing(lambda logits, targets: chosen(logits.log_softmax(dim=1), targets).mean())


@wrong("loss.mean-cross-entropy", "moves the targets by one once more")
def moved() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets.roll(-1, 1))[:, :-1].mean())


@wrong("loss.mean-cross-entropy", "takes the softmax, and F.cross_entropy takes it again")
def softmax_twice() -> TorchSubject:
    return losing(lambda logits, targets: each(logits.softmax(dim=1), targets).mean())


@wrong("loss.mean-cross-entropy", "takes the softmax over the positions")
def softmax_over_positions() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.nll_loss(logits.log_softmax(dim=0), targets.flatten())

    return losing(loss)


@wrong("loss.mean-cross-entropy", "gives raw logits to F.nll_loss")
def no_softmax() -> TorchSubject:
    return losing(lambda logits, targets: F.nll_loss(logits, targets.flatten()))


@wrong("loss.mean-cross-entropy", "smoothes the labels by 0.001")
def smoothed() -> TorchSubject:
    return losing(
        lambda logits, targets: F.cross_entropy(logits, targets.flatten(), label_smoothing=1e-3)
    )


@wrong("loss.mean-cross-entropy", "ignores targets of token 0, as padding")
def ignores_first() -> TorchSubject:
    return losing(
        lambda logits, targets: F.cross_entropy(logits, targets.flatten(), ignore_index=0)
    )


@wrong("loss.mean-cross-entropy", "ignores targets of the last token, as padding")
def ignores_last() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets.flatten(), ignore_index=logits.shape[1] - 1)

    return losing(loss)


@wrong("loss.mean-cross-entropy", "counts the last position only")
def last_position() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets)[:, -1].mean())


@wrong("loss.mean-cross-entropy", "leaves out the first position")
def without_first() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets)[:, 1:].mean())


@wrong("loss.mean-cross-entropy", "leaves sequences beyond 32 out of the mean")
def beyond_batch() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets)[:32].mean())


@wrong("loss.mean-cross-entropy", "is wrong where there is one position only")
def one_position() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean() * (targets.numel() > 1))


@wrong("loss.mean-cross-entropy", "weighs token 0 twice")
def weighted() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        weights = 1.0 + (torch.arange(logits.shape[1]) == 0)
        return F.cross_entropy(logits, targets.flatten(), weights)

    return losing(loss)


@wrong("loss.mean-cross-entropy", "counts each pair of tokens once, however often it occurs")
def distinct_pairs() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        losses: Tensor = each(logits, targets).unique()
        return losses.mean()

    return losing(loss)


@wrong("loss.mean-cross-entropy", "focuses on what is hard, by (1 - p) squared")
def focal() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return ((1 - likelihood(logits, targets)) ** 2 * each(logits, targets).flatten()).mean()

    return losing(loss)


@wrong("loss.mean-cross-entropy", "takes the log of the mean probability")
def log_of_mean() -> TorchSubject:
    return losing(lambda logits, targets: -likelihood(logits, targets).mean().log())


@wrong("loss.mean-cross-entropy", "takes the squared distance to the one-hot target")
def squared() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        probs = logits.softmax(dim=1)
        return (probs.square().sum(dim=1) + 1 - 2 * chosen(probs, targets)).mean()

    return losing(loss)


@wrong("loss.mean-cross-entropy", "takes a binary cross-entropy for each token")
def binary() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        one_hot = F.one_hot(targets.flatten(), logits.shape[1]).float()
        return F.binary_cross_entropy_with_logits(logits, one_hot)

    return losing(loss)


@wrong("loss.mean-cross-entropy", "adds 0.001 to each probability before the logarithm")
def against_zero() -> TorchSubject:
    return losing(lambda logits, targets: -(likelihood(logits, targets) + 1e-3).log().mean())


@wrong("loss.mean-cross-entropy", "flattens the targets down the columns")
def down_columns() -> TorchSubject:
    return trimming(lambda targets, idx: targets.t().reshape(targets.shape))


@wrong("loss.mean-cross-entropy", "takes its inputs for the targets")
def copies() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits, None if loss is None else F.cross_entropy(logits, idx.flatten())

    return TorchSubject(factory=M)


@wrong("loss.mean-cross-entropy", "computes in bfloat16")
def few_digits() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.bfloat16(), targets.flatten()).float()

    return losing(loss)


@wrong("loss.mean-cross-entropy", "penalises the table by its squares times 0.0001")
def penalty() -> TorchSubject:
    return losing(
        lambda logits, targets: each(logits, targets).mean() + 1e-4 * logits.square().sum()
    )


@wrong("loss.mean-cross-entropy", "has a loss that is off by twice the tolerance")
def just_outside() -> TorchSubject:
    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            table = self.token_embedding_table.weight.detach()
            return logits, None if loss is None else loss + 2 * tolerance(table, idx.numel())

    return TorchSubject(factory=M)


# For loss.uniform


@wrong("loss.uniform", "takes rows of zeros for padding, which costs nothing")
def padding() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return (each(logits, targets).flatten() * logits.any(dim=1)).mean()

    return losing(loss)


@wrong("loss.uniform", "divides each row by its length and multiplies it back, even if that is 0")
def there_and_back() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        length = logits.norm(dim=1, keepdim=True)
        return each(logits / length * length, targets).mean()

    return losing(loss)


# For loss.floor


@wrong("loss.floor", "lifts scores that are more than 7 below the best")
def lifts() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        best = logits.max(dim=1, keepdim=True).values
        return each(logits.maximum(best - 7), targets).mean()

    return losing(loss)


@wrong("loss.floor", "keeps every probability above a hundred-thousandth")
def keeps_above() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        probs = logits.softmax(dim=1).clamp(min=1e-5)
        return -chosen(probs / probs.sum(dim=1, keepdim=True), targets).log().mean()

    return losing(loss)


# For loss.non-negative


@wrong("loss.non-negative", "adds a billionth")
def billionth() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean() + 1e-9)


@wrong("loss.non-negative", "takes a billionth away")
def below_zero() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean() - 1e-9)


@wrong("loss.non-negative", "smoothes the labels by a billionth")
def hardly_smoothed() -> TorchSubject:
    return losing(
        lambda logits, targets: F.cross_entropy(logits, targets.flatten(), label_smoothing=1e-9)
    )


# For loss.unbounded


@wrong("loss.unbounded", "adds a tiny number to each probability before the logarithm")
def tiny() -> TorchSubject:
    return losing(lambda logits, targets: -(likelihood(logits, targets) + 1e-12).log().mean())


@wrong("loss.unbounded", "counts no position as worse than 20")
def ceiling() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).clamp(max=20).mean())


@wrong("loss.unbounded", "clips the loss of the batch at 50")
def clipped() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean().clamp(max=50))


# For loss.row-shift


@wrong("loss.row-shift", "divides exponentials by their sum, which overflows")
def overflows() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        probs = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        return -chosen(probs, targets).log().mean()

    return losing(loss)


@wrong("loss.row-shift", "subtracts the greatest score of the batch, and not of each row")
def greatest_of_all() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits - logits.max()
        return (logits.exp().sum(dim=1).log() - chosen(logits, targets)).mean()

    return losing(loss)


@wrong("loss.row-shift", "clamps the scores to between -1000 and 1000")
def clamps_scores() -> TorchSubject:
    return losing(lambda logits, targets: each(logits.clamp(-1000, 1000), targets).mean())


# For loss.permutation


def in_chunks(size: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Average the means of chunks, the last of which is smaller."""
    return lambda logits, targets: torch.stack(
        [chunk.mean() for chunk in each(logits, targets).flatten().split(size)]
    ).mean()


@wrong("loss.permutation", "averages the means of chunks of 66, of which the last is smaller")
def chunks() -> TorchSubject:
    return losing(in_chunks(66))


@wrong("loss.permutation", "leaves out the positions beyond the last whole 66")
def whole_chunks() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        losses = each(logits, targets).flatten()
        return (losses[: len(losses) // 66 * 66] if len(losses) > 66 else losses).mean()

    return losing(loss)


@wrong("loss.permutation", "weighs positions beyond 16 half")
def late_positions() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        weights = torch.where(torch.arange(targets.shape[1]) < 16, 1.0, 0.5).expand(targets.shape)
        return (each(logits, targets) * weights).sum() / weights.sum()

    return losing(loss)


# For loss.any-length


@wrong("loss.any-length", "leaves positions beyond 32 out of the loss")
def beyond_block() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets)[:, :32].mean())


@wrong("loss.any-length", "averages in blocks of 128 positions, of which the last is smaller")
def blocks() -> TorchSubject:
    return losing(in_chunks(128))


# For loss.live


@wrong("loss.live", "gives the first loss to every call of that size")
def first_loss() -> TorchSubject:
    class M(Notes):
        def __init__(self, vocab_size: int) -> None:
            super().__init__(vocab_size)
            self.losses: dict[torch.Size, Tensor] = {}

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            return logits, None if loss is None else self.losses.setdefault(idx.shape, loss)

    return TorchSubject(factory=M)


@wrong("loss.live", "keeps the log-softmax of the table from the first call")
def kept_log_softmax() -> TorchSubject:
    class M(Notes):
        kept: Tensor | None = None

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, loss = super().forward(idx, targets)
            if loss is None or targets is None:
                return logits, None
            if self.kept is None:
                self.kept = self.token_embedding_table.weight.log_softmax(dim=1)
            return logits, F.nll_loss(self.kept[idx].flatten(0, 1), targets.flatten())

    return TorchSubject(factory=M)


# For loss.modes


def in_training(loss: Callable[[Tensor, Tensor], Tensor]) -> TorchSubject:
    """Give the notes' model with another loss in training mode: (logits, targets) -> loss."""

    class M(Notes):
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            logits, right = super().forward(idx, targets)
            if targets is None or not self.training:
                return logits, right
            return logits, loss(logits, targets.flatten())

    return TorchSubject(factory=M)


@wrong("loss.modes", "smoothes the labels in training")
def smoothed_in_training() -> TorchSubject:
    return in_training(
        lambda logits, targets: F.cross_entropy(logits, targets, label_smoothing=0.1)
    )


@wrong("loss.modes", "drops logits out for the loss in training")
def dropout_in_training() -> TorchSubject:
    return in_training(lambda logits, targets: F.cross_entropy(F.dropout(logits, 0.5), targets))


# For loss.differentiable


@wrong("loss.differentiable", "detaches the loss")
def detached() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets).mean().detach())


@wrong("loss.differentiable", "makes a new tensor of the loss")
def made_anew() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.tensor(each(logits, targets).mean().item(), requires_grad=True)

    return losing(loss)


@wrong("loss.differentiable", "computes the loss under no_grad")
def no_grad() -> TorchSubject:
    return losing(torch.no_grad()(lambda logits, targets: each(logits, targets).mean()))


@wrong("loss.differentiable", "computes the loss with NumPy")
def numpy() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.from_numpy(each(logits.detach(), targets).numpy()).mean()

    return losing(loss)


# For loss.targets.range


@wrong("loss.targets.range", "ignores targets of -1")
def ignores_minus_one() -> TorchSubject:
    return losing(
        lambda logits, targets: F.cross_entropy(logits, targets.flatten(), ignore_index=-1)
    )


@wrong("loss.targets.range", "clamps targets into the vocabulary")
def clamped() -> TorchSubject:
    return losing(
        lambda logits, targets: each(logits, targets.clamp(0, logits.shape[1] - 1)).mean()
    )


@wrong("loss.targets.range", "takes targets modulo the size of the vocabulary")
def modulo() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets % logits.shape[1]).mean())


@wrong("loss.targets.range", "picks log-probabilities by index, in which -1 wraps round")
def wraps() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        flat = targets.view(len(logits))
        return -logits.log_softmax(dim=1)[torch.arange(len(flat)), flat].mean()

    return losing(loss)


@wrong("loss.targets.range", "compares targets with arange, so that unknown ones cost nothing")
def compares() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        tokens = torch.arange(logits.shape[1]).expand(logits.shape)
        hits = tokens.eq(targets.view(len(logits), 1))
        return -(logits.log_softmax(dim=1) * hits).sum(dim=1).mean()

    return losing(loss)


# For loss.targets.dtype


@wrong("loss.targets.dtype", "cuts fractions of targets off with .long()")
def casts() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets.long()).mean())


@wrong("loss.targets.dtype", "rounds targets to the nearest token")
def rounds() -> TorchSubject:
    return losing(lambda logits, targets: each(logits, targets.float().round().long()).mean())


# For loss.layout


@wrong("loss.layout", "reads the targets in the order of memory")
def memory_order() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        flat = torch.from_numpy(targets.numpy().ravel(order="K").copy())
        return F.cross_entropy(logits, flat)

    return losing(loss)


@wrong("loss.layout", "reads the targets as if one lay behind the other")
def as_strided() -> TorchSubject:
    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets.as_strided((targets.numel(),), (1,)))

    return losing(loss)
