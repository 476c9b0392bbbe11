"""Why logits may be wrong: calls of the kit's own, on which one cause shows at a time."""

import torch
from torch import Tensor

from reference.spec.cases import tokens
from reference.spec.measures import logits_of
from reference.spec.randomness import seed_all
from reference.spec.subject import Model, Other, Subject

KEPT = "forward keeps something from one call to the next"


def unreadable(answer: object, what: str) -> str:
    """Return why a tensor of the subject's cannot be read, or "" if it is not of such a kind."""
    if not isinstance(answer, Other) or not answer.kind.startswith("a tensor "):
        return ""
    if "meta device" in answer.kind:
        return (
            f"{what} is on the meta device, where a model's parameters hold no numbers: make it on "
            "the CPU, or move it with to_empty() and load its weights"
        )
    kind = answer.kind.removeprefix("a tensor ")
    return f"{what} is {kind}: it must be a dense tensor of ordinary numbers"


def layout(subject: Subject) -> str:
    """Say how the logits lie instead, from a call in which B, T and C all differ."""
    B, T, C = 2, 3, 5
    shape = tuple(subject.model(C)(tokens(((0, 1, 2), (3, 4, 0)))).logits.shape)
    if len(shape) == 3 and shape[:2] == (B, T) and shape[2] > C:  # noqa: PLR2004  B, T and C
        return "there are scores for more tokens than the vocabulary has"
    likely = {
        (B, T, C): "a dimension of size 1 is lost: squeeze",
        (B, 1, C): "only the last position is scored: all of them are asked for",
        (B, C): "only the last position is scored: all of them are asked for",
        (B * T, C): "the logits are flattened to (B*T, C) without targets too",
        (B, C, T): "the logits are turned to (B, C, T), as F.cross_entropy takes them",
        (T, B, C): "time comes before batch",
    }
    return likely.get(shape, "the logits are not laid out as (B, T, C)")


def changing(model: Model, idx: Tensor) -> str:
    """Say whether what changes from call to call comes from the random streams."""
    seeded = []
    for seed in (0, 0, 1, 2, 3, 4, 5, 6, 7):
        seed_all(seed)
        seeded.append(logits_of(model, idx).clone())
    same = [torch.equal(seeded[0], one) for one in seeded]
    if same[1] and not all(same):
        return "forward is random: noise, or dropout that evaluation does not turn off"
    return KEPT


def influence(subject: Subject) -> str:
    """Say whether one of two sequences is scored differently when the other one changes."""
    model = subject.model(5)
    a, b, other = (0, 1), (2, 3), (4, 2)
    logits = logits_of(model, tokens((a, b)))
    first, second = logits_of(model, tokens((a, other)))[0], logits_of(model, tokens((other, b)))[1]
    if torch.equal(first, logits[0]) and torch.equal(second, logits[1]):
        return "a sequence is scored by where it stands in the batch, or by how great the batch is"
    return "sequences of one batch influence each other"


def seen_from(model: Model, idx: Tensor, t: int, logits: Tensor) -> str:
    """Say what position t looks at, by changing the tokens after it, and those before it."""
    moved = (idx + 1) % model.C
    after = torch.cat([idx[:, : t + 1], moved[:, t + 1 :]], dim=1)
    before = torch.cat([moved[:, :t], idx[:, t:]], dim=1)
    if not torch.allclose(logits_of(model, after)[:, t], logits):
        return "a position sees tokens that come after it: the future leaks"
    if not torch.allclose(logits_of(model, before)[:, t], logits):
        return (
            "a position sees the tokens before it: that is no bigram model (--profile causal-lm is "
            "for others)"
        )
    return "a position is scored by where it stands, or by how long the sequence is"


def flattening(flat: Tensor, logits: Tensor) -> str:
    """Say what logits with targets are instead of the others, flattened."""
    if flat.ndim == logits.ndim:
        return "with targets the logits are not flattened: left (B, T, C), or turned to (B, C, T)"
    if torch.equal(flat, logits.transpose(0, 1).flatten(0, 1)):
        return "with targets the logits are flattened position after position: index t*B + b"
    if flat.shape != logits.flatten(0, 1).shape:
        return "with targets there are logits for more or fewer positions than B*T"
    return "with targets the logits are other numbers: probabilities, or changed for the loss"
