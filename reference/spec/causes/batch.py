"""Why a batch may not hold the windows and the offsets that it should."""

import torch
from torch import Tensor

from reference.spec.cases import BatchCase
from reference.spec.measures import drawn
from reference.spec.subject import Subject


def other_targets(subject: Subject) -> str:
    """Return what the targets seem to be, by a batch with room for a mistake to show."""
    x, y = drawn(subject, BatchCase(N=10_000, block_size=5, batch_size=3))
    by = ((x - y) // 3).unique().tolist()  # how many places y is ahead of x
    if by == [0]:
        return "the targets are the inputs themselves, and not moved by one token"
    if len(by) == 1:
        return f"the targets are the inputs moved by {by[0]} tokens, and not by one"
    if torch.equal(x.roll(-1, dims=1), y):
        return "the targets are the inputs rolled round, so that the last one is the first input"
    if torch.equal(x[:, 1:], y[:, :-1]):
        return "the last target of each row is not the token after its window"
    if bool((y.diff(dim=1) == -3).all()):  # noqa: PLR2004  the text's step
        return "the targets are windows from other places than the inputs"
    return "the targets are not the inputs moved by one token"


NARROW = (
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.float16,
    torch.bfloat16,
)
"""Types of numbers that do not hold every token of a long vocabulary."""


def narrowed(subject: Subject, half: int, seen: int) -> str:
    """Return in which type x (0) or y (1) was kept, if in one that is too narrow, or "".

    Every row of a batch must be a piece of the text as that type would have it. `seen` is a token
    that is not of the text.
    """
    case = BatchCase(N=10_000, block_size=8, batch_size=16)
    rows, data = drawn(subject, case)[half], case.data()
    for dtype in NARROW:
        kept = data.to(dtype).long()
        pieces = kept.unfold(0, rows.shape[1], 1)  # (N - T + 1, T)
        if (rows[:, None] == pieces).all(dim=2).any(dim=1).all():
            name, was = str(dtype).removeprefix("torch."), data[kept == seen]
            became = f": {int(was[0])} has become {seen}" if len(was) else ""
            return f"tokens are kept in {name}, which does not hold all of them{became}"
    return ""


def cut_off(case: BatchCase, x: Tensor) -> str:
    """Return why a batch of a short text may have fewer rows or columns."""
    if len(x) < case.batch_size:
        return "a short text gives fewer rows than batch_size: no offset is drawn twice"
    return "some draws reach past the end of the text, and are cut off there"


def other_law(counts: list[int]) -> str:
    """Return how the offsets, from 0 on, are drawn that come up so often."""
    never = [offset for offset, count in enumerate(counts) if not count]
    if never:
        return f"of the offsets 0 to {len(counts) - 1}, some are never drawn: {never}"
    return "some offsets are drawn more often than others"
