"""get_batch: windows of a text at random places, and the same windows one token later."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from reference.notes import Figures
from reference.spec.cases import BatchCase, Nothing, OffsetCase, notes_corpus
from reference.spec.causes import batch as causes
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import (
    expect,
    expect_equal,
    expect_independent,
    expect_law,
    expect_refused,
    observe,
    or_refused,
)
from reference.spec.measures import ALARM, draw, drawn, expect_batch, expect_own_stream, overwrite
from reference.spec.randomness import seed_torch
from reference.spec.subject import Part, Subject, SubjectError

GET_BATCH = (Part.GET_BATCH,)
GENERATOR = (Part.GET_BATCH, Part.GET_BATCH_GENERATOR)
SPLIT = (Part.GET_BATCH, Part.SPLIT)


def attempts(subject: Subject, case: BatchCase) -> tuple[list[tuple[Tensor, Tensor]], str]:
    """Draw 16 times, and return the batches and the first refusal, or "" if there is none."""
    answers = [observe(partial(draw, subject, case)) for _ in range(16)]
    refusals = (str(answer) for answer in answers if isinstance(answer, SubjectError))
    return [answer for answer in answers if isinstance(answer, tuple)], next(refusals, "")


@clause("batch.shape", GET_BATCH, PROFILES)
def shape(subject: Subject, case: BatchCase) -> None:
    """A batch is a pair x, y, each of shape (B, T): batch_size rows of block_size tokens.

    Source: get_batch > returns > x, y > Tuple[Tensor, Tensor]
    """
    want = (case.batch_size, case.block_size)
    cause = "get_batch gives another shape than (batch_size, block_size)"
    for name, part in zip("xy", draw(subject, case), strict=True):
        expect_equal(tuple(part.shape), want, what=f"shape of {name}", cause=cause)


@clause("batch.dtype", GET_BATCH, PROFILES, needs=("batch.shape",))
def dtype(subject: Subject, case: BatchCase) -> None:
    """Both halves of a batch hold int64, the type in which tokens index the table.

    Source: type long > intended to hold integer > values
    """
    cause = "get_batch gives another type than torch.long"
    for name, part in zip("xy", draw(subject, case), strict=True):
        expect_equal(part.dtype, torch.int64, what=f"dtype of {name}", cause=cause)


@clause("batch.window", GET_BATCH, PROFILES, needs=("batch.dtype",))
def window(subject: Subject, case: BatchCase) -> None:
    """Each row of x is a contiguous piece of the text.

    Formula: x[b, t] = data[i_b + t].
    Source: x = torch.stack([data[i : i + block_size] for i in ix])
    """
    x, _y = draw(subject, case)
    expect_batch(case, x=x)
    start = case.offsets(x)
    # batch.offset-range tells of windows that reach past the end.
    inside = (start + case.block_size <= case.N) | (start >= case.N)
    rows, text = x[inside], case.data()
    unknown = rows[~torch.isin(rows, text)].tolist()
    expected = f"tokens of the text, from {int(text.min())} to {int(text.max())}"

    def other_tokens() -> str:
        others = "tokens of the text become others on the way into a batch"
        return causes.narrowed(subject, 0, unknown[0]) or others

    expect(not unknown, what="tokens of x", expected=expected, seen=unknown, cause=other_tokens)
    want = case.pieces(start[inside], case.block_size)
    cause = "a row of x is not one contiguous piece of the text"
    expect_equal(rows, want, what="x against the text from its first token on", cause=cause)


@clause("batch.shift", GET_BATCH, PROFILES, needs=("batch.window",))
def shift(subject: Subject, case: BatchCase) -> None:
    """Each target is the token that follows its input in the text.

    Formula: y[b, t] = data[i_b + t + 1].
    Source: y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    Audit: where are targets sourced from?
    """
    x, y = drawn(subject, case)
    start = case.offsets(x)
    inside = start + case.block_size < case.N  # batch.offset-range tells of the others
    want = case.pieces(start[inside] + 1, case.block_size)
    what = "y against the token after each of x"

    def cause() -> str:
        wrong = int(y[inside][y[inside] != want][0])
        return causes.narrowed(subject, 1, wrong) or causes.other_targets(subject)

    expect_equal(y[inside], want, what=what, cause=cause)


@clause("batch.offset-range", GET_BATCH, PROFILES, needs=("batch.shift",))
def offset_range(subject: Subject, case: OffsetCase) -> None:
    """Every offset that is drawn leaves room for a whole window and the token after it.

    Formula: 0 <= i_b <= N - T - 1.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    batches, refusal = attempts(subject, case)
    if not batches:
        return  # batch.too-short tells
    what = f"batches of a text of {case.N} tokens"
    cause = "some draws reach past the end of the text, where a window is too short"
    expect(not refusal, what=what, expected="one at every draw", seen=refusal, cause=cause)
    want = ((case.batch_size, case.block_size),) * 2
    what = "each row of x and its last target, against the text"
    cause = "some draws reach past the end of the text, and are filled up or wrapped round"
    for x, y in batches:
        shapes, cut_off = (tuple(x.shape), tuple(y.shape)), partial(causes.cut_off, case, x)
        expect_equal(shapes, want, what="shapes of x and y", cause=cut_off)
        expect_batch(case, x=x, y=y)
        rows = torch.cat([x, y[:, -1:]], dim=1)
        pieces = case.pieces(case.offsets(x), case.block_size + 1)
        expect_equal(rows, pieces, what=what, cause=cause)


@clause("batch.too-short", GET_BATCH, PROFILES, needs=("batch.offset-range",))
def too_short(subject: Subject, case: BatchCase) -> None:
    """A text that holds no whole window and its next token is refused; with a token to spare, not.

    Formula: N <= T is refused, N = T + 2 is not.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    T = case.block_size
    cause = "a text that is too short gives a batch all the same"
    for short in (T, 1):
        less = BatchCase(N=short, block_size=T, batch_size=case.batch_size)
        what = f"windows of {T} from {short} tokens"
        expect_refused(partial(draw, subject, less), what=what, cause=cause)
    batches, refusal = attempts(subject, BatchCase(N=T + 2, block_size=T, batch_size=1))
    what, seen = f"a window of {T} from {T + 2} tokens", refusal or "a batch"
    cause = "a text that is just long enough is refused: the bound is one too low"
    expect(bool(batches), what=what, expected="a batch", seen=seen, cause=cause)


@clause("batch.last-window", GET_BATCH, PROFILES, level=CHOICE, needs=("batch.offset-range",))
def last_window(subject: Subject, case: OffsetCase) -> str:
    """The last window that fits, at N - T - 1, may be drawn or never be drawn.

    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    Erratum 3: the notes' bound never draws it, and refuses a text that holds no other.
    """
    starts = torch.cat([case.offsets(drawn(subject, case)[0]) for _ in range(64)])
    return "drawn" if case.N - case.block_size - 1 in starts else "never drawn"


@clause("batch.reproducible", (Part.GET_BATCH, Part.SEED), PROFILES, needs=("batch.dtype",))
def reproducible(subject: Subject, case: BatchCase) -> None:
    """The same seed draws the same batch.

    Source: torch.manual_seed(1337) > reproducibility
    """
    batches = []
    for _ in range(2):
        seed_torch(1337)
        batches.append(drawn(subject, case))
    cause = (
        "the offsets come from a source that torch.manual_seed does not reach, or go on from "
        "where the last call ended"
    )
    for name, first, second in zip("xy", *batches, strict=True):
        what = f"{name} after the same torch.manual_seed"
        expect_equal(second, first, what=what, cause=cause)


@clause("batch.advances", GET_BATCH, PROFILES, needs=("batch.window",))
def advances(subject: Subject, case: Nothing) -> None:
    """Batches that are drawn one after the other differ, as the stream goes on.

    Alarm: two batches of 8 windows of a text with 10,000 places, or nine of one, are equal once in
    1e31.
    Source: sample batch of data
    """
    cause = "get_batch seeds the random stream at every call, or draws nothing at random"
    expect_moves_on(subject, None, what="batches, one after the other", cause=cause)


def expect_moves_on(
    subject: Subject, generator: torch.Generator | None, *, what: str, cause: str
) -> None:
    """Ask whether later batches differ from the second: of many rows or one, long or not.

    The first may still follow from a seed, and all others from a state that is put back.
    """
    for T, B, batches in ((2, 8, 2), (1, 8, 2), (70, 8, 2), (1, 1, 9), (8, 1, 9)):
        long = BatchCase(N=10_000, block_size=T, batch_size=B)
        drawn(subject, long, generator=generator)
        every = [drawn(subject, long, generator=generator)[0].clone() for _ in range(batches)]
        differ = any(not torch.equal(one, every[0]) for one in every)
        seen = f"the same offsets {long.offsets(every[0]).tolist()} {batches} times"
        size = f"{what}, of {B} by {T}"
        expect(differ, what=size, expected="different windows", seen=seen, cause=cause)


def drawn_offsets(subject: Subject, case: OffsetCase, batches: int) -> Tensor:
    """Draw a number of batches, and return where their windows start.

    Shape: -> (batches, B).
    """
    starts = torch.stack([case.offsets(drawn(subject, case)[0]) for _ in range(batches)])
    cause = "a great batch, or one of many, has other windows than the text has"
    last = case.N - case.block_size - 1
    for some in starts:
        kept, expected = (some >= 0) & (some <= last), f"{case.batch_size} of 0 to {last}"
        expect(bool(kept.all()), what="offsets", expected=expected, seen=some, cause=cause)
    return starts


@clause(
    "batch.rows-independent",
    GET_BATCH,
    PROFILES,
    needs=("batch.too-short", "batch.reproducible", "batch.advances"),
)
def rows_independent(subject: Subject, case: Nothing) -> None:
    """The offset of one row says nothing about that of another.

    Formula: P(i_a = k, i_b = l) = P(i_a = k) P(i_b = l).
    Alarm: at most 1e-9 a run, by Fisher's exact test: 1e-9/12 for whether the offset is even, and
    as much for whether it is in the second half, of each pair of four rows, over 600 batches.
    Power: two rows that never coincide, or always do, are noticed.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    few = OffsetCase(N=7, block_size=2, batch_size=4)
    start = drawn_offsets(subject, few, 600).t()  # (B, 600)
    cause = "the rows of a batch are not drawn independently of each other"
    for half, coins in (("even", start % 2 == 0), ("in the second half", start > 1)):
        for a in range(4):
            for b in range(a):
                what = f"batches where both or neither of rows {b} and {a} start {half}"
                expect_independent(coins[a], coins[b], alarm=ALARM / 12, what=what, cause=cause)


@clause("batch.offset-law", GET_BATCH, PROFILES, needs=("batch.rows-independent",))
def offset_law(subject: Subject, case: Nothing) -> None:
    """Every offset is equally likely, from the first to the last that is ever drawn.

    Formula: P(i_b = k) = 1/K for k in 0 to K - 1, where K is N - T - 1 (the notes) or N - T.
    Alarm: at most 1e-9 a run, by Agrawal's bound, half of it for 16,384 draws from a short text and
    half for as many from a long one, by sixteenths.
    Power: an offset that is never drawn, or one in eight drawn 1.2 times as often, is noticed.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    short = OffsetCase(N=11, block_size=3, batch_size=4096)
    counts = torch.bincount(drawn_offsets(subject, short, 4).flatten(), minlength=8).numpy()
    few = counts if counts[7] else counts[:7]
    alike, uneven = np.full(len(few), 1 / len(few)), partial(causes.other_law, few.tolist())
    what = f"offsets in a text of {short.N}"
    expect_law(few, alike, alarm=ALARM / 2, what=what, cause=uneven)
    long = OffsetCase(N=16_012, block_size=10, batch_size=4096)
    sixteenth = drawn_offsets(subject, long, 4).flatten() * 16 // 16_001
    counts = torch.bincount(sixteenth, minlength=17)[:16].numpy()  # without the last that fits
    what = f"sixteenths of a text of {long.N:,}"
    cause = "parts of a long text are drawn more often than others, or never"
    expect(counts.any(), what=what, expected="all drawn", seen="none drawn", cause=cause)
    law = np.diff([-(-16_001 * part // 16) for part in range(17)]) / 16_001
    expect_law(counts, law, alarm=ALARM / 2, what=what, cause=cause)


@clause("batch.generator", GENERATOR, PROFILES, level=SHOULD, needs=("batch.reproducible",))
def generator(subject: Subject, case: BatchCase) -> None:
    """A generator that is given is the one source of the offsets: no other stream is touched.

    Alarm: two batches of 8 windows of a text with 10,000 places, or nine of one, are equal once in
    1e31.
    Source: set the seed for generating random numbers
    """
    expect_own_stream("get_batch", "x", lambda own: drawn(subject, case, generator=own)[0])
    own = torch.Generator().manual_seed(1337)
    cause = "get_batch seeds the generator that it was given"
    expect_moves_on(subject, own, what="batches from one generator", cause=cause)


@clause("batch.pure", GET_BATCH, PROFILES, needs=("batch.shape",))
def pure(subject: Subject, case: BatchCase) -> None:
    """Drawing a batch leaves the text as it was.

    Source: get_batch > data = train_data
    """
    data = case.data()
    subject.get_batch(data, case.block_size, case.batch_size)
    cause = "get_batch changes the text in place"
    expect_equal(data, case.data(), what="the text afterwards", cause=cause)


@clause("batch.aliasing", GET_BATCH, PROFILES, level=SHOULD, needs=("batch.pure",))
def aliasing(subject: Subject, case: BatchCase) -> None:
    """A batch is a copy, and x and y are two: writing into one changes nothing else.

    Source: x = torch.stack([data[i : i + block_size] for i in ix])
    """
    data = case.data()
    x, y = subject.get_batch(data, case.block_size, case.batch_size)
    before = x.clone(), y.clone()
    subject.get_batch(data, case.block_size, case.batch_size)
    cause = "each batch is written over the one before"
    for name, part, copy in zip("xy", (x, y), before, strict=True):
        expect_equal(part, copy, what=f"{name} after the next batch was drawn", cause=cause)
    overwrite(y, -1, what="y")
    cause = "the batch is a view of the text: whoever masks tokens in it changes the corpus"
    expect_equal(data, case.data(), what="the text after writing into y", cause=cause)
    one_piece = "x and y are views of one piece: whoever masks targets changes inputs too"
    expect_equal(x, before[0], what="x after writing into y", cause=one_piece)
    overwrite(x, -2, what="x")
    expect_equal(data, case.data(), what="the text after writing into x", cause=cause)


@clause("batch.split", SPLIT, PROFILES)
def split(subject: Subject, case: BatchCase) -> None:
    """The split "train" draws from train_data, and "val" from val_data.

    Source: train_data if split == > train_data
    """
    ours, theirs = case.data(), -case.data()
    for name, sign in (("train", 1), ("val", -1)):
        x, y = subject.get_split_batch(ours, theirs, name, case.block_size, case.batch_size)
        expect_batch(case, x=x, y=y)
        what, expected = f"tokens of get_batch({name!r})", f"only tokens of {name}_data"
        seen, cause = "tokens of the other split", "the two splits are mixed up"
        for part in (x, y):
            kept = bool((part * sign > 0).all())
            expect(kept, what=what, expected=expected, seen=seen, cause=cause)


@clause("batch.split.unknown", SPLIT, PROFILES, level=CHOICE, needs=("batch.split",))
def split_unknown(subject: Subject, case: Nothing) -> str:
    """A split that is neither may be refused or, as in the notes, taken for "val".

    Source: train_data if split == > else
    Erratum 4: so a misspelt "Train" trains on the validation text without a word.
    """
    data = BatchCase(N=30, block_size=4, batch_size=2).data()
    return or_refused(
        lambda: subject.get_split_batch(data, -data, "Train", 4, 2)[0],
        lambda x: "the validation text" if bool((x < 0).all()) else "the training text",
    )


@clause("batch.documented", GET_BATCH, PROFILES, level=CHOICE, needs=("batch.shift",))
def documented(subject: Subject, case: Nothing) -> str:
    """Seeded with 1337, four windows of eight tokens of the notes' text are the notes' batch.

    Source: from xb.shape > tensor([ > Sequence 4
    """
    figures = Figures()
    seed_torch(figures.seed)
    x, _y = subject.get_batch(notes_corpus().train.clone(), figures.block_size, len(figures.batch))
    return "as documented" if x.tolist() == [list(row) for row in figures.batch] else "another one"
