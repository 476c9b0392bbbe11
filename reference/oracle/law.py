"""What a table says of the tokens to come, exactly, and how likely a sample is under that.

The false-alarm rates are bounds that hold for every sample size, not limits for large ones.
"""

import math
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from reference.oracle.counts import Weights
from reference.oracle.learning import softmax

Observed: TypeAlias = Int64[np.ndarray, "K"] | Float64[np.ndarray, "K"]
"""How often each value was drawn; in fractions if a draw is shared among values."""


def joint_law(table: Weights, token: int, n: int) -> Float64[np.ndarray, "*Cs"]:
    """Give the probability of each way in which a text at `token` can go on for n tokens.

    Shape: (C, C) -> (C,) * n; the entry [a, b, ...] is that of a, then b, and so on. They sum to 1.
    """
    probabilities = softmax(table)
    law = np.ones(())
    here = probabilities[token]  # (C,)
    for _ in range(n):
        law = law[..., None] * here  # one more axis: the next token, given the one before
        here = probabilities
    return law


def law_after(table: Weights, token: int, n: int) -> Float64[np.ndarray, "C"]:
    """Give the law of the n-th token after `token`, whatever came between: row of P to the n.

    Shape: (C, C) -> (C,), summing to 1; n = 0 is `token` itself.
    """
    law: Float64[np.ndarray, C] = np.linalg.matrix_power(softmax(table), n)[token]
    return law


def held(prompts: Int64[np.ndarray, "R T"], C: int) -> Bool[np.ndarray, "R C"]:
    """Return which of C tokens each prompt holds.

    Shape: (R, T) -> (R, C).
    """
    marks = np.zeros((len(prompts), C), dtype=np.bool)
    np.put_along_axis(marks, prompts, values=True, axis=1)
    return marks


def divergence(observed: Observed, law: Float64[np.ndarray, "K"]) -> float:
    """Give the Kullback-Leibler divergence of the observed frequencies from the law.

    Shape: K counts, K probabilities -> one number, in nats per draw; inf where something was
    drawn that the law rules out.
    """
    seen = observed > 0
    if (law[seen] == 0).any():
        return math.inf
    frequencies = observed[seen] / observed.sum()
    return max(0.0, float((frequencies * np.log(frequencies / law[seen])).sum()))


def false_alarm_bound(observed: Observed, law: Float64[np.ndarray, "K"]) -> float:
    """Bound the probability that draws from the law itself diverge from it as far as these do.

    For n draws among K possible values and a divergence d, it is at most
    exp(-n d) (e n d / (K - 1))^(K - 1) wherever n d > K - 1 (Agrawal 2020), and at most 1.
    Values that the law rules out are not counted among the K. If a draw is shared among values, so
    that each gets its probability on average, the bound holds too: it follows from the mean of a
    convex function of the counts.

    Shape: K counts, K probabilities -> one number from 0 to 1.
    Raises: ValueError where nothing was drawn.
    """
    n = round(float(observed.sum()))
    if n == 0:
        raise ValueError("nothing was drawn; a sample needs 1 draw to be judged")
    excess = n * divergence(observed, law)
    freedom = int((law > 0).sum()) - 1
    if math.isinf(excess):
        return 0.0
    if freedom == 0 or excess <= freedom:
        return 1.0
    return math.exp(freedom * (1 + math.log(excess / freedom)) - excess)


def count_bound(count: int, draws: int, share: float) -> float:
    """Bound how likely a count is that lies as far from its mean as this one does, or farther.

    The count is of draws that hit something, each with a chance of its own; `share` is the mean of
    these chances. On each side it is at most exp(-n KL(count / n, share)) (Hoeffding 1963).

    Shape: counts -> one number from 0 to 1.
    """
    both = np.array([count, draws - count])
    law = np.array([share, 1 - share])
    return min(1.0, 2 * math.exp(-draws * divergence(both, law)))


def sum_bound(
    total: float,
    draws: Int64[np.ndarray, "R"],
    law: Float64[np.ndarray, "R C"],
    worth: Float64[np.ndarray, "R C"],
) -> float:
    """Bound how likely a sum is that lies as far from its mean as this one does, or farther.

    Row i is drawn from draws[i] times, and a draw of j adds worth[i, j]. On each side it is
    Chernoff's bound, at the exponent that is best for a normal law; at any it holds.

    Shape: R rows, C values -> one number from 0 to 1.
    """
    mean = (law * worth).sum(axis=1)
    off = total - float(draws @ mean)
    variance = float(draws @ (law * (worth - mean[:, None]) ** 2).sum(axis=1))
    if off == 0 or variance == 0:
        return 1.0 if off == 0 else 0.0
    t = off / variance
    moments = (law * np.exp(t * (worth - mean[:, None]))).sum(axis=1)  # (R,)
    return min(1.0, 2 * math.exp(float(draws @ np.log(moments)) - t * off))
