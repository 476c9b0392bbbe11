"""Why tokens may not be drawn from the softmax of the scores."""

import numpy as np
from jaxtyping import Float64, Int64

from reference.oracle.law import held
from reference.oracle.learning import softmax

Drawn = Int64[np.ndarray, "R C"]
"""How often each token was drawn after each prompt."""
Scores = Float64[np.ndarray, "R C"]
"""The scores of each token after each prompt, or weights made of them."""
Prompts = Int64[np.ndarray, "R T"]

SURE = 20
"""Expected draws above which tokens are said never to come; by chance, once in e^20 runs."""
SIGMAS = 5
"""Standard deviations that count as a difference."""


def changed(counts: Drawn, scores: Scores, prompts: Prompts) -> str:
    """Return what was done to the scores before the draw, or an empty text.

    Shape: (R, C), (R, C), (R, T).
    """
    return _left_out(counts, softmax(scores)) or _reweighed(counts, scores, prompts)


def _left_out(counts: Drawn, P: Scores) -> str:
    """Return which tokens are never drawn, or an empty text."""
    R, C = P.shape
    expected = counts.sum(axis=1, keepdims=True) * P
    order = np.argsort(-P, axis=1, kind="stable")
    hits, law = (np.take_along_axis(one, order, axis=1) for one in (counts, expected))
    k = int(hits.sum(axis=0).nonzero()[0][-1]) + 1
    if law[:, k:].sum() > SURE:
        return (
            f"only the {k} likeliest of {C} tokens are drawn, which have "
            f"{law[:, :k].sum() / law.sum():.2%} of the probability: a top_k, a top_p or another "
            "filter is on by default"
        )
    # By chance, about one draw of each row is expected beyond the last token that comes.
    unseen = np.cumsum(hits[:, ::-1], axis=1)[:, ::-1] == 0
    if law[unseen].sum() > SURE + 2 * R:
        return (
            "the least likely tokens are never drawn, more of them after some prompts than after "
            "others: a top_p, a min_p or another filter is on by default"
        )
    return "some tokens are never drawn" if ((counts == 0) & (expected > SURE)).any() else ""


def _reweighed(counts: Drawn, scores: Scores, prompts: Prompts) -> str:
    """Return which penalty or temperature would give such draws, or an empty text."""
    P, own = softmax(scores), held(prompts, scores.shape[1])
    again, expected = counts[own].sum(), (counts.sum(axis=1, keepdims=True) * P)[own].sum()
    if abs(again - expected) > SIGMAS * expected**0.5 and _explains(counts * ~own, P * ~own):
        often = "often" if again > expected else "seldom"
        which = "the last token is" if prompts.shape[1] == 1 else "tokens of the prompt are"
        return f"{which} repeated too {often}: a repetition penalty is on by default"
    laws = {T: softmax(scores / T) for T in np.exp(np.linspace(-2.5, 2.5, 501))}
    likely = {T: (counts * np.log(np.maximum(law, 1e-300))).sum() for T, law in laws.items()}
    T = max(likely, key=lambda T: likely[T])
    if not _explains(counts, laws[T]):
        return ""
    often = "often" if T < 1 else "seldom"
    return f"likely tokens are drawn too {often}: a temperature of {T:.2f}, where 1 is meant"


def _explains(counts: Drawn, weights: Scores) -> bool:
    """Return whether the draws of each rank, over all rows, are as these weights have them."""
    law = weights / weights.sum(axis=1, keepdims=True) * counts.sum(axis=1, keepdims=True)
    order = np.argsort(-weights, axis=1, kind="stable")
    hits, want = (np.take_along_axis(one, order, axis=1).sum(axis=0) for one in (counts, law))
    return bool((np.abs(hits - want) <= SIGMAS * np.maximum(want, 1) ** 0.5).all())
