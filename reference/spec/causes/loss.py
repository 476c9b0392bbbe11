"""Why a loss may be wrong: other models are made and asked, on which one cause shows at a time."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from reference.spec.cases import model_with, tokens
from reference.spec.expect import observe
from reference.spec.measures import PROBE, loss_of, oracle, tolerance
from reference.spec.subject import Model, Output, Subject, SubjectError


def no_scalar(answer: object) -> str:
    """Return why the second part of an answer is not a loss of one number."""
    if isinstance(answer, SubjectError):
        if isinstance(answer.original, TypeError):
            return "forward takes no targets"
        return f"forward fails where it is given targets: it {answer.said}"
    if not isinstance(answer, tuple) or len(answer) != len(Output._fields):
        return "forward does not give the loss beside the logits"
    if answer[1] is None:
        return "forward gives no loss for targets"
    if not isinstance(answer[1], Tensor):
        return "the loss is no tensor, as after .item(): there is no way back to the table"
    return "forward does not average over all positions to one number without dimension"


def wrong_number(subject: Subject) -> str:
    """Return which number the loss is, if not the mean cross-entropy."""
    model = PROBE.model(subject)
    idx, targets = PROBE.tensor(), PROBE.target_tensor()
    seen, want = float(loss_of(model, idx, targets)), float(oracle(model, idx, targets))
    if abs(seen - want) <= tolerance(model.table(), idx.numel()):
        return "the loss is wrong for some sizes of the batch only, as for one position"
    for cause, number in _suspects(want, model, idx, targets):
        if math.isclose(seen, number, rel_tol=1e-4):
            return cause
    if math.isclose(seen, want, rel_tol=0.01):
        return (
            "the loss is nearly the mean cross-entropy: smoothed, penalised, kept from log(0), or "
            "computed with too few digits"
        )
    return "the loss is not the mean cross-entropy of all positions: other scores, or weights"


def _suspects(
    want: float, model: Model, idx: Tensor, targets: Tensor
) -> Iterator[tuple[str, float]]:
    def of(inputs: Tensor, outputs: Tensor) -> float:
        return float(oracle(model, inputs, outputs))

    def chosen(scores: Tensor) -> float:
        return -float(scores[idx, targets].mean())

    (B, T), C, table = idx.shape, model.C, model.table().double()
    yield (
        "the losses of the positions are added up: the mean is asked for, not the sum",
        want * B * T,
    )
    for count in (B, T):
        yield "the losses are added up over batch or time and averaged over the other", want * count
    yield "the mean is divided by the size of the vocabulary too", want / C
    yield "the loss is in bits: the natural logarithm is asked for", want / math.log(2)
    yield "the loss is the perplexity, exp(loss)", math.exp(want)
    yield "the loss has the wrong sign", -want
    moved = "the targets are moved by one once more inside forward; get_batch has done that"
    yield moved, of(idx[:, :-1], targets[:, 1:])
    yield "only the last position counts", of(idx[:, -1:], targets[:, -1:])
    yield "the first position is left out", of(idx[:, 1:], targets[:, 1:])
    yield "the inputs are taken for the targets", of(idx, idx)
    yield "inputs and targets have changed places", of(targets, idx)
    yield "the targets are read down the columns: (T, B)", of(idx, targets.t().reshape(B, T))
    twice = table.softmax(dim=1).log_softmax(dim=1)
    yield "softmax is taken twice: F.cross_entropy wants the raw logits", chosen(twice)
    yield "no softmax is taken: F.nll_loss wants log-probabilities", chosen(table)
    flat = table[idx].flatten(0, 1).log_softmax(dim=0).view(B, T, C)
    over_positions = -float(flat.gather(2, targets[..., None]).mean())
    yield "the softmax is taken over the positions, not over the scores", over_positions
    mean = -math.log(-chosen(table.softmax(dim=1)))
    yield "the probabilities are averaged before the logarithm, not after it", mean
    for token in (0, C - 1):
        cause = f"targets of token {token} of {C} are left out of the mean"
        yield cause, of(idx[targets != token][None], targets[targets != token][None])


def off_the_floor(loss: float, least: float) -> str:
    """Return whether a loss misses the entropy of the pairs from below or from above."""
    if loss < least:
        return "the loss goes below what any bigram model can reach"
    return "the loss does not get down to the entropy: unlikely tokens keep some probability"


def bad_target(subject: Subject, token: int) -> str:
    """Return what a target out of range counts as, next to a good one."""
    C, target = 5, -1 if token < 0 else 5
    model = model_with(subject, C, 0)
    good = loss_of(model, tokens(((0,),)), tokens(((0,),)))
    answer = observe(lambda: loss_of(model, tokens(((0, 1),)), tokens(((0, target),))))
    cause = "a target that is no token counts"
    if not isinstance(answer, Tensor):
        return f"{cause}, at some places"
    if torch.allclose(answer, good):
        return "a target that is no token is left out of the mean without a word"
    if torch.allclose(answer, good / 2):
        return f"{cause} as a loss of 0"
    counts = [
        number
        for number in range(C)
        if torch.allclose(answer, loss_of(model, tokens(((0, 1),)), tokens(((0, number),))))
    ]
    if counts == [target % C]:
        return f"{cause}: it wraps round, as the index of a bare tensor does"
    return f"{cause} as token {counts[0]}: it is clamped" if counts else cause
