"""Why probabilities may not be the softmax of each row."""

import math

import torch
from torch import Tensor

from reference.spec.measures import exact_probabilities, probabilities
from reference.spec.subject import Subject

TRIED = ((0.5, -2.0, 2.5), (1.0, 0.25, -1.0))
"""Scores on which one mistake can be told from another."""


def out_of_range(probs: Tensor) -> str:
    """Return why numbers are not from 0 to 1."""
    if bool((probs < 0).any()):
        return "softmax gives numbers below 0: logarithms, or the scores themselves"
    return "softmax gives numbers above 1, or NaN: the exponentials are not divided by their sum"


def wrong_axis(subject: Subject) -> str:
    """Return why the probabilities of a row depend on the other rows."""
    seen = probabilities(subject, torch.tensor(TRIED)).double()
    again = probabilities(subject, torch.tensor(TRIED)).double()
    if not torch.equal(seen, again):
        return "softmax is random: noise is added, or some of it is dropped out"
    if torch.allclose(seen.sum(dim=0), torch.ones(3).double()):
        return "softmax runs over the batch: dim=0, where dim=1 is meant"
    if torch.allclose(seen.sum(), torch.ones(()).double()):
        return "softmax runs over the whole batch at once, where dim=1 is meant"
    return "a row's probabilities depend on the other rows"


def wrong_sum(total: Tensor) -> str:
    """Return why rows do not sum to 1."""
    if torch.allclose(total, torch.ones_like(total), atol=0.02):
        return (
            "the rows sum almost to 1: the numbers are rounded, or something small is added to "
            "the denominator"
        )
    return "the exponentials are not divided by their sum"


def wrong_ratio(subject: Subject) -> str:
    """Return the number by which the scores seem to be multiplied first, if there is one."""
    logits = torch.tensor(TRIED)
    seen = probabilities(subject, logits).double().clamp(min=1e-30)
    spread = logits.amax(dim=1) - logits.amin(dim=1)
    one, other = ((seen.amax(dim=1).log() - seen.amin(dim=1).log()) / spread).tolist()
    if abs(one - other) > 1e-3 * abs(one) or not torch.allclose(
        exact_probabilities(logits * one), seen, 1e-3
    ):
        return "the probabilities are no exponentials of the scores over their sum"
    if abs(one - math.log(2)) < 1e-3:  # noqa: PLR2004  rounding
        return "the powers are of 2, and not of e"
    return f"the scores are multiplied by {one:.3g} first: a temperature, or another base than e"
