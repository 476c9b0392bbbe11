"""Why a token out of range may be accepted."""

import torch
from torch import Tensor

from reference.spec.cases import model_with, tokens
from reference.spec.expect import observe
from reference.spec.measures import logits_of
from reference.spec.subject import Subject


def bad_token(subject: Subject, bad: int) -> str:
    """Return which token's row a token out of range is given."""
    C, token = 5, -1 if bad < 0 else 5
    cause = "a token that is none is looked up all the same"
    model = model_with(subject, C, 0)
    answer = observe(lambda: model(tokens(((token,),))).logits)
    if not isinstance(answer, Tensor) or answer.shape != (1, 1, C):
        return cause
    (row,) = answer[0]
    if not row.any():
        return f"{cause}, as a row of zeros"
    rows = logits_of(model, torch.arange(C)[:, None])[:, 0]  # (C, C)
    same = [number for number in range(C) if torch.allclose(row, rows[number])]
    if same == [token % C]:
        return f"{cause}: it wraps round, as the index of a bare tensor does"
    if same == [min(max(token, 0), C - 1)]:
        return f"{cause}: it is clamped"
    return f"{cause}, as token {same[0]}" if same else f"{cause}, and has a row of its own"
