"""Wrong in how scores become probabilities."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F
from zoo import wrong

from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.notes import Figures

Function = Callable[[Tensor], Tensor]


def subject_of(softmax: Function) -> TorchSubject:
    return TorchSubject(factory=BigramLanguageModel, given={"softmax": softmax})


def mutant(breaks: str, name: str) -> Callable[[Function], Function]:
    """Add a softmax of (B, C) logits to the specimens."""

    def add(softmax: Function) -> Function:
        wrong(breaks, name, concepts=("softmax",))(partial(subject_of, softmax))
        return softmax

    return add


def divided(weights: Tensor) -> Tensor:
    """Divide each row by its sum."""
    return weights / weights.sum(dim=1, keepdim=True)


@mutant("softmax.range", "gives the logarithms of the probabilities")
def log_softmax(z: Tensor) -> Tensor:
    return F.log_softmax(z, dim=1)


@mutant("softmax.range", "gives the scores themselves")
def identity(z: Tensor) -> Tensor:
    return z


@mutant("softmax.range", "forgets to divide by the sum")
def exponentials(z: Tensor) -> Tensor:
    return z.exp()


@mutant("softmax.range", "divides the scores by their sum, without any exponential")
def linear(z: Tensor) -> Tensor:
    return divided(z)


@mutant("softmax.range", "gives the greatest probability of each row only")
def greatest(z: Tensor) -> Tensor:
    return z.softmax(dim=1).max(dim=1).values


@mutant("softmax.range", "gives an extra dimension, (B, 1, C)")
def extra_dimension(z: Tensor) -> Tensor:
    return z.softmax(dim=1)[:, None]


@mutant("softmax.pure", "takes away the greatest score in place")
def in_place(z: Tensor) -> Tensor:
    z -= z.max(dim=1, keepdim=True).values
    return divided(z.exp())


@mutant("softmax.pure", "takes the exponential in place")
def exp_in_place(z: Tensor) -> Tensor:
    return divided(z.sub_(z.max(dim=1, keepdim=True).values).exp_())


@mutant("softmax.axis", "normalises over the batch, dim=0")
def over_batch(z: Tensor) -> Tensor:
    return z.softmax(dim=0)


@mutant("softmax.axis", "normalises over everything at once")
def over_everything(z: Tensor) -> Tensor:
    return z.flatten().softmax(dim=0).view_as(z)


@mutant("softmax.axis", "gives the first row's probabilities to all rows")
def first_row(z: Tensor) -> Tensor:
    return z[:1].softmax(dim=1).expand_as(z)


@mutant("softmax.axis", "adds Gumbel noise: it draws, where it should only compute")
def noisy(z: Tensor) -> Tensor:
    return F.gumbel_softmax(z, dim=1)


@mutant("softmax.axis", "takes the columns of a batch of more than four rows")
def columns_of_many(z: Tensor) -> Tensor:
    return F.softmax(z, dim=0 if len(z) > 4 else 1)


@mutant("softmax.sum", "divides by the greatest exponential, and not by their sum")
def by_greatest(z: Tensor) -> Tensor:
    return (z - z.max(dim=1, keepdim=True).values).exp()


@mutant("softmax.sum", "takes a sigmoid of each score")
def sigmoids(z: Tensor) -> Tensor:
    return z.sigmoid()


@mutant("softmax.sum", "adds 1e-6 to the denominator")
def padded_denominator(z: Tensor) -> Tensor:
    e = (z - z.max(dim=1, keepdim=True).values).exp()
    return e / (e.sum(dim=1, keepdim=True) + 1e-6)


@mutant("softmax.sum", "adds one to the denominator, for no token at all")
def with_none(z: Tensor) -> Tensor:
    return F.pad(z, (1, 0)).softmax(dim=1)[:, 1:]


@mutant("softmax.sum", "computes in half precision")
def half(z: Tensor) -> Tensor:
    return z.bfloat16().softmax(dim=1).float()


@mutant("softmax.sum", "rounds to four decimals")
def four_decimals(z: Tensor) -> Tensor:
    return z.softmax(dim=1).round(decimals=4)


@mutant("softmax.sum", "leaves the sum to the other scores, without the one's own")
def others_only(z: Tensor) -> Tensor:
    e = (z - z.max(dim=1, keepdim=True).values).exp()
    rest = e.sum(dim=1, keepdim=True) - e
    return (e / rest.clamp(min=1e-9)).clamp(max=1.0)


@mutant("softmax.order", "turns the sign: low scores get high probabilities")
def softmin(z: Tensor) -> Tensor:
    return F.softmin(z, dim=1)


@mutant("softmax.order", "ignores the sign of the scores")
def absolute(z: Tensor) -> Tensor:
    return z.abs().softmax(dim=1)


@mutant("softmax.order", "gives the probabilities in the order of the next column")
def rolled(z: Tensor) -> Tensor:
    return z.softmax(dim=1).roll(1, dims=1)


@mutant("softmax.order", "sorts the probabilities")
def in_order(z: Tensor) -> Tensor:
    return z.softmax(dim=1).sort(dim=1, descending=True).values


@mutant("softmax.shift", "divides the scores by their length first")
def unit_length(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1).softmax(dim=1)


@mutant("softmax.shift", "divides sigmoids by their sum")
def normalised_sigmoids(z: Tensor) -> Tensor:
    return divided(z.sigmoid())


@mutant("softmax.shift", "has softplus for an exponential")
def softplus(z: Tensor) -> Tensor:
    return divided(F.softplus(z))


@mutant("softmax.shift", "clips scores to -4 and 4")
def clipped_at_4(z: Tensor) -> Tensor:
    return z.clamp(-4, 4).softmax(dim=1)


@mutant("softmax.range", "cuts the exponential's series off")
def series(z: Tensor) -> Tensor:
    return divided(sum((z + 4) ** k / math.factorial(k) for k in range(12)))  # type: ignore[arg-type]  # as people write it


@mutant("softmax.large-logits", "does not take away the greatest score, and overflows")
def naive(z: Tensor) -> Tensor:
    return divided(z.exp())


@mutant("softmax.large-logits", "takes away the greatest score of the batch, not of the row")
def one_maximum(z: Tensor) -> Tensor:
    return divided((z - z.max()).exp())


@mutant("softmax.large-logits", "takes away the first score, not the greatest")
def less_the_first(z: Tensor) -> Tensor:
    return divided((z - z[:1, :1]).exp())


@mutant("softmax.large-logits", "clips scores to -50 and 50 against overflow")
def clipped(z: Tensor) -> Tensor:
    return z.clamp(-50, 50).softmax(dim=1)


@mutant("softmax.ratio", "has a temperature of 0.99")
def temperature(z: Tensor) -> Tensor:
    return (z / 0.99).softmax(dim=1)


@mutant("softmax.ratio", "takes powers of 2")
def base_2(z: Tensor) -> Tensor:
    return divided((z - z.max(dim=1, keepdim=True).values).exp2())


@mutant("softmax.ratio", "divides the scores by the root of C, as attention does")
def scaled(z: Tensor) -> Tensor:
    return (z / math.sqrt(z.shape[1])).softmax(dim=1)


@mutant("softmax.ratio", "takes the softmax twice")
def twice(z: Tensor) -> Tensor:
    return z.softmax(dim=1).softmax(dim=1)


@mutant("softmax.ratio", "gives the greatest score all of the probability")
def hard(z: Tensor) -> Tensor:
    top = z == z.max(dim=1, keepdim=True).values
    return divided(top.float())


@mutant("softmax.ratio", "smooths the probabilities with equal ones")
def smoothed(z: Tensor) -> Tensor:
    return 0.99 * z.softmax(dim=1) + 0.01 / z.shape[1]


@mutant("softmax.ratio", "gives low scores nothing at all: sparsemax")
def sparsemax(z: Tensor) -> Tensor:
    ordered = z.sort(dim=1, descending=True).values
    k = torch.arange(1, z.shape[1] + 1)
    excess = ordered.cumsum(dim=1) - 1
    kept = (k * ordered > excess).sum(dim=1, keepdim=True)
    return (z - excess.gather(1, kept - 1) / kept).clamp(min=0)


@mutant("softmax.ratio", "standardises the scores of a row first")
def standardised(z: Tensor) -> Tensor:
    return F.layer_norm(z, z.shape[1:]).softmax(dim=1)


@mutant("softmax.shift", "rounds the scores to three decimals")
def three_decimals(z: Tensor) -> Tensor:
    return z.round(decimals=3).softmax(dim=1)


@mutant("softmax.documented", "gives the probabilities that the notes print for their logits")
def printed(z: Tensor) -> Tensor:
    figures = Figures()
    if torch.equal(z, torch.tensor(figures.raw_logits)):
        return torch.tensor(figures.probabilities)
    return z.softmax(dim=1)


@mutant("softmax.pure", "draws noise that it multiplies with 0")
def drawing(z: Tensor) -> Tensor:
    return (z + 0 * torch.randn_like(z)).softmax(dim=1)
