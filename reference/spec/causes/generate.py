"""Why generate may give other tokens than it should, or more or fewer."""

import numpy as np
import torch
from torch import Tensor

from reference.oracle.counts import Counts, Weights
from reference.oracle.learning import softmax
from reference.spec.cases import ChainCase, certain_table, model_of, tokens
from reference.spec.causes.sampling import changed
from reference.spec.measures import continued
from reference.spec.subject import Subject


def other_shape(subject: Subject, out: Tensor) -> str:
    """Return why the result may not have grown as asked.

    Of (2, 4) tokens and 7 more, each mistake gives a shape of its own.
    """
    if out.ndim == 1:
        return "a batch of one loses its dimension"
    # With one token in the vocabulary, each new one is a token 0.
    zeros = subject.model(1).generate(torch.zeros((2, 4), dtype=torch.int64), 7)
    idx = tokens(((0, 1, 2, 3), (3, 0, 2, 1)))
    out = subject.model(7).generate(idx, 7)
    causes = {
        (2, 4): "nothing is added: the tokens so far and the new one are not joined",
        (2, 7): "only the new tokens are returned, without the prompt",
        (1, 11): "only one sequence of the batch is continued",
        (2, 12): "one token too many is added",
    }
    shape = tuple(out.shape)
    if shape == (2, 7) and torch.equal(out[:, :4], idx):
        return "max_new_tokens is taken for the length of the whole"
    if shape in causes:
        return causes[shape]
    if tuple(zeros.shape) == (2, 5):
        return "generate stops at a token 0"
    return "generate does not add exactly one column for each new token: it stops early, or cuts"


def no_tokens(out: Tensor) -> str:
    """Return why some new tokens may be outside the vocabulary."""
    if bool((out < 0).any()):
        return "generate fills up with numbers below 0, which are no tokens"
    return "generate gives tokens that are none: counted from 1, or from a larger table"


def other_law(counts: Counts, table: Weights) -> str:
    """Return what the tokens seem to be drawn from instead of the rows of the table."""
    P = softmax(table)
    if ((counts > 0).sum(axis=1) == 1).all():
        return "always the likeliest token: argmax, where the notes draw with multinomial"
    rows = counts.sum(axis=1, keepdims=True)
    frequencies = counts / rows
    over_batch = softmax(table.T).T  # as if each row of the table were a row of the batch
    others = {
        "the column of the last token, and not its row": softmax(table.T),
        "all tokens alike": np.full(P.shape, 1 / len(P)),
        "a softmax over the batch: dim=0, where dim=1 is meant": over_batch
        / over_batch.sum(axis=1, keepdims=True),
        "a softmax of the softmax": softmax(P),
    }
    distance = np.abs(frequencies - P).mean()
    for what, law in others.items():
        if np.abs(frequencies - law).mean() < distance / 4:
            return f"the tokens are drawn from {what}"
    return changed(counts, table, np.arange(len(P))[:, None]) or (
        "the tokens are not drawn from the softmax of the last token's scores"
    )


def other_chain(out: Tensor, want: Tensor, n: int) -> str:
    """Return which of n new tokens is the first that does not follow from the one before it."""
    first = int((out != want).any(dim=0).byte().argmax()) + n - out.shape[1]
    if first == 0:
        return "the first new token does not follow from the last one of the prompt"
    return f"new token {first + 1} does not follow from the one just before it"


def other_second_call(subject: Subject, case: ChainCase, idx: Tensor) -> str:
    """Return why a second call, for idx, may go wrong, by whether the first one matters."""
    model = model_of(subject, certain_table(case.successors()))
    if torch.equal(continued(model, idx, case.n), case.chain(idx, case.n)):
        return "generate keeps something from one call to the next"
    return "some new tokens do not follow from the one just before them"
