"""Why logits may not be rows of the table."""

import torch
from torch import Tensor

from reference.spec.cases import FULL, table_of, tokens
from reference.spec.measures import logits_of
from reference.spec.subject import Subject

OTHER_SOURCE = (
    "the first numbers of a model come from a source that torch.manual_seed does not reach, as "
    "NumPy's random, or go on from the model before"
)


SAME = 1e-4
"""How far from 1 a factor is that rounding may have made."""


def wrong_rows(subject: Subject) -> str:
    """Return what the logits are, if not the rows of the table, from five tokens."""
    C, idx = 5, tokens(((0, 1, 2), (3, 4, 0)))
    model = subject.model(C)
    made = model.table().double()[idx]
    model.set_table(table_of(C, FULL))
    table = model.table().double()
    logits, rows = logits_of(model, idx).double(), table[idx]
    if logits.shape != rows.shape:
        return "the logits are not laid out as (B, T, C)"
    right, own = (logits == rows).all(dim=-1), rows.log_softmax(dim=-1)
    wrong = sorted(set(idx[~right].tolist()))
    times = float((logits * rows).sum() / (rows * rows).sum())
    elsewhere = [(table == row).all(dim=1).any() for row in logits.flatten(0, 1)]
    others = (scores.scatter(-1, idx[..., None], 0.0) for scores in (logits, rows))

    def like(other: Tensor, *, rtol: float = 1e-5, atol: float = 1e-4) -> bool:
        return torch.allclose(logits, other, rtol=rtol, atol=atol)

    likely = {
        "the lookup is wrong for some sizes of vocabulary only": right.all(),
        "the logits are a column of the table: it is looked up transposed": torch.equal(
            logits, table.t()[idx]
        ),
        "the logits are the row of another token": all(elsewhere),
        f"of {C} tokens, those of {wrong} are not given their rows": right.any(),
        "the logits are the rows that the table had when the model was made: it keeps a copy": (
            torch.equal(logits, made)
        ),
        f"the logits are the token's row times {times:.4g}": (
            abs(times - 1) > SAME and like(times * rows, atol=1e-5)
        ),
        "the logits are the token's row nearly, not to the bit: rounded, or moved a little": (
            like(rows, rtol=0.02, atol=0.02)
        ),
        "the logits are probabilities: softmax is taken inside forward": like(own.exp()),
        "the logits are log-probabilities: the row is asked for as it is": like(own),
        "each row is moved by a number of its own, its mean or its greatest": torch.allclose(
            logits.log_softmax(dim=-1), own, atol=1e-4
        ),
        "a token's score for itself is changed": torch.equal(*others),
    }
    other = "the logits are not the token's row of the table as it is: normalised, or squashed"
    return next((cause for cause, so in likely.items() if so), other)
