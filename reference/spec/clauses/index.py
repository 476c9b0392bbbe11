"""idx: tokens in, of shape (B, T), whatever B and T are now."""

import re

import torch

from reference.notes import Figures
from reference.spec.cases import BadTokenCase, IndexCase, LongCase, Nothing, certain_table, tokens
from reference.spec.causes.index import bad_token
from reference.spec.clause import CHOICE, PROFILES, clause
from reference.spec.expect import expect_close, expect_equal, expect_refused, or_refused, shown
from reference.spec.measures import logits_of, rounding
from reference.spec.subject import Part, Subject


@clause("index.any-length", needs=("forward.memoryless", "forward.batch-independent"))
def any_length(subject: Subject, case: LongCase) -> None:
    """T is the length of idx as it is now, not block_size: sequences of any length are scored.

    Formula: logits of idx[:, :T] are the same numbers for T = 1, 2, ... up to any T.
    Source: (B, T) > indices > length > block_size > T is the current sequence length
    Audit: I don't understand this lol
    Erratum 7: the notes also call T block_size; it is that only while training.
    """
    idx, model = case.tensor(), case.model(subject)
    T = idx.shape[1]
    pieces = torch.cat([logits_of(model, idx[:, t : t + 1]) for t in range(T)], dim=1)  # (B, T, C)
    whole = model(idx).logits
    what = f"shape of the logits of {T} tokens"
    cause = "the length of the sequence is bounded, or cut, by block_size"
    expect_equal(tuple(whole.shape), (*idx.shape, case.C), what=what, cause=cause)
    expect_close(
        whole,
        pieces,
        tolerance=rounding(subject, model, whole),
        what=f"logits of {T} tokens against those of its tokens one by one",
        cause="long sequences are scored otherwise than short ones",
    )


@clause("index.range", profiles=PROFILES, needs=("forward.logits.shape",))
def in_range(subject: Subject, case: BadTokenCase) -> None:
    """A token outside 0 to C - 1 is refused with an error; without it, idx is not.

    Formula: 0 <= idx[b, t] < C.
    Source: indexes > token in the vocabulary
    """
    model = case.model(subject)
    expect_refused(
        lambda: model(case.spoilt(case.tensor())),
        what=f"token {case.token} in idx, with {case.C} tokens in the vocabulary",
        cause=lambda: bad_token(subject, case.token),
    )
    model(case.tensor())


@clause("index.range.named", profiles=PROFILES, level=CHOICE, needs=("index.range",))
def range_named(subject: Subject, case: BadTokenCase) -> str:
    """The error for such a token may also name it.

    Source: indexes > token in the vocabulary
    """
    model = case.model(subject)
    bad = case.spoilt(case.tensor())
    message = expect_refused(lambda: model(bad), what="a bad token", cause="it is not refused")
    if case.token == case.C:  # which an error may give as the bound
        return ""
    return "named" if re.search(rf"(?<!\w){case.token}(?!\w)", message) else "not named"


@clause("index.dtype", (Part.TENSORS,), PROFILES, needs=("forward.logits.shape",))
def dtype(subject: Subject, case: IndexCase) -> None:
    """Tokens are integers: the same idx as int64 is looked up, and as float32 is refused.

    Source: type long > intended to hold integer > values
    """
    model = case.model(subject)
    cause = "fractions are cut off without a word before the lookup"
    expect_refused(lambda: model(case.tensor().float()), what="idx as float32", cause=cause)
    model(case.tensor())


@clause("index.int32", (Part.TENSORS,), PROFILES, level=CHOICE, needs=("index.dtype",))
def int32(subject: Subject, case: IndexCase) -> str:
    """Idx as int32 may be looked up like int64, or refused.

    Source: type long > intended to hold integer > values
    """
    model = case.model(subject)
    return or_refused(lambda: model(case.tensor().int()), lambda _output: "looked up")


@clause("index.rank", profiles=PROFILES, level=CHOICE, needs=("forward.logits.shape",))
def rank(subject: Subject, case: IndexCase) -> str:
    """An idx that is not (B, T), say one sequence of shape (T,), may be refused or looked up.

    Choice: the notes' code looks it up as long as there are no targets.
    Source: forward > type 2D tensor (B, T)
    """
    model = case.model(subject)
    told = or_refused(lambda: model.answer(case.tensor()[0]), lambda _answer: "looked up")
    return f"(T,) is {told}"


@clause("index.documented", (Part.TABLE, Part.GENERATE), level=CHOICE, needs=("generate.range",))
def documented(subject: Subject, case: Nothing) -> str:
    """Of five words, "the cat", shape (1, 2), is continued to "the cat sat on mat", (1, 5).

    Source: -- generate -- > ['the', 'cat', 'sat', 'on', 'mat'] > shape (1, 5)
    Erratum 8: the notes' prose has "sat on a mat", and the vocabulary has no "a".
    """
    figures = Figures()
    C = len(figures.sentence)
    model = subject.model(C)
    model.set_table(certain_table([(word + 1) % C for word in range(C)]))
    n = len(figures.continued) - len(figures.prompt)
    out = model.generate(tokens((figures.prompt,)), n)
    return "as documented" if out.tolist() == [list(figures.continued)] else shown(out)
