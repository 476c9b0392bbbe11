"""get_batch: windows of a text at random places, and the same windows one token later."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from reference.notes import Figures
from reference.oracle.law import count_bound
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


def attempts(
    subject: Subject, case: BatchCase, times: int = 16
) -> tuple[list[tuple[Tensor, Tensor]], str]:
    """Draw so many times, and return the batches and the first refusal, or "" if there is none."""
    answers = [observe(partial(draw, subject, case)) for _ in range(times)]
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


@clause("batch.zero", GET_BATCH, PROFILES, needs=("batch.shift",))
def zero(subject: Subject, case: BatchCase) -> None:
    """Token 0 is a token like any other: a text of nothing else gives batches of nothing else.

    Source: x = torch.stack([data[i : i + block_size] for i in ix])
    """
    zeros = torch.zeros(case.N, dtype=torch.int64)
    want = zeros.new_zeros(case.batch_size, case.block_size)
    cause = "token 0 is taken for padding, or left out"
    batch = subject.get_batch(zeros, case.block_size, case.batch_size)
    for name, seen in zip("xy", batch, strict=True):
        what = f"{name} of a text of nothing but token 0"
        expect_equal(seen, want, what=what, cause=cause)


@clause("batch.offset-range", GET_BATCH, PROFILES, needs=("batch.shift",))
def offset_range(subject: Subject, case: OffsetCase) -> None:
    """Every offset that is drawn leaves room for a whole window and the token after it.

    Formula: 0 <= i_b <= N - T - 1.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    batches, refusal = attempts(subject, case, max(16, 48 // case.batch_size))
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


Starts: TypeAlias = Callable[[BatchCase], Tensor]
"""Draws the batch of a case, and returns where its windows start, (B,)."""


@clause("batch.advances", GET_BATCH, PROFILES, needs=("batch.offset-range", "batch.split"))
def advances(subject: Subject, case: Nothing) -> None:
    """Batches that are drawn one after the other differ, as the stream goes on.

    Alarm: two batches of 8 windows of a text with 10,000 places, or nine of one, are equal once in
    1e31, and any two of 300 once in 1e27.
    Power: 300 batches of which each follows from one of 1,024 seeds are noticed.
    Source: sample batch of data
    """
    cause = "get_batch seeds the random stream at every call, or draws nothing at random"
    by_source = {"batches": partial(offsets_of, subject, generator=None)}
    if Part.SPLIT in subject.parts:
        by_source |= {f"batches of {name!r}": partial(in_split, subject, name) for name in SPLITS}
    for what, starts in by_source.items():
        for T, B in ((2, 8), (1, 8), (70, 8), (1, 1), (8, 1)):
            long = BatchCase(N=10_000, block_size=T, batch_size=B)
            expect_moves_on(starts, long, what=what, cause=cause)
    long = BatchCase(N=10_000, block_size=2, batch_size=8)
    expect_moves_on(by_source["batches"], long, many=300, what="batches", cause=cause)


def offsets_of(subject: Subject, case: BatchCase, *, generator: torch.Generator | None) -> Tensor:
    """Draw the case's batch, and return where its windows start."""
    return case.offsets(drawn(subject, case, generator=generator)[0])


def in_split(subject: Subject, name: str, case: BatchCase) -> Tensor:
    """Draw a batch of one of two splits that are alike, and return where its windows start."""
    data, T, B = case.data(), case.block_size, case.batch_size
    x, y = subject.get_split_batch(data, data.clone(), name, T, B)
    expect_batch(case, x=x, y=y)
    return case.offsets(x)


def expect_moves_on(
    starts: Starts, case: BatchCase, *, what: str, cause: str, many: int = 0
) -> None:
    """Ask whether later batches of a long text differ: some of a few, or nine in ten of `many`.

    The first batch is left out: it may still follow from a seed, and all others from a state that
    is put back.
    """
    starts(case)
    few = 1 + -(-8 // case.batch_size)  # of which eight rows at least would have to come again
    every = Counter(tuple(starts(case).tolist()) for _ in range(many or few))
    again, times = every.most_common(1)[0]
    size = f"{case.batch_size} by {case.block_size}"
    expect(
        len(every) >= max(2, many * 9 // 10),  # even if all rows of a batch are one
        what=f"{many or few} {what}, one after the other, of {size}",
        expected="different windows",
        seen=f"{len(every)} different ones; the same offsets {list(again)} {times} times",
        cause=cause,
    )


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
    Alarm: at most 1e-9 a run, by Fisher's exact test: 1e-9/24 for whether the offset is even, and
    as much for whether it is in the second half, of each pair of four rows, over 600 batches; and
    1e-9/68 for whether it is 0, of each of 34 pairs of rows of other sizes, over 160 batches.
    Power: two rows that never coincide, or always do, are noticed.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    few = OffsetCase(N=7, block_size=2, batch_size=4)
    start = drawn_offsets(subject, few, 600).t()  # (B, 600)
    sides = [("even", start % 2 == 0, ALARM / 24), ("in the second half", start > 1, ALARM / 24)]
    for T, B in ((1, 4), (70, 8)):
        fewest = OffsetCase(N=T + 3, block_size=T, batch_size=B)
        late = drawn_offsets(subject, fewest, 160).t() > 0  # (B, 160)
        sides.append((f"after 0, of {B} by {T}", late, ALARM / 68))
    cause = "the rows of a batch are not drawn independently of each other"
    for side, coins, alarm in sides:
        for a in range(len(coins)):
            for b in range(a):
                what = f"batches where both or neither of rows {b} and {a} start {side}"
                expect_independent(coins[a], coins[b], alarm=alarm, what=what, cause=cause)


FEW_PLACES = ((8, 3, 4096, 4), (4, 1, 2, 160), (4, 70, 8, 160), (4, 3, 1, 160))
"""Places, T, B and how many batches to draw from a text in which each offset comes up often."""
MANY_PLACES = ((1, 64, 2), (70, 64, 2), (10, 1, 100))
"""T, B and how many batches to draw from a text that is judged by sixteenths."""
PART = ALARM / 14
"""Of each question about the offsets' law: four about all rows, four about the first or the last,
three about long texts, and three about a very long one."""


@clause("batch.offset-law", GET_BATCH, PROFILES, needs=("batch.rows-independent",))
def offset_law(subject: Subject, case: Nothing) -> None:
    """Every offset is equally likely, from the first to the last that is ever drawn.

    Formula: P(i_b = k) = 1/K for k in 0 to K - 1, where K is N - T - 1 (the notes) or N - T.
    Alarm: at most 1e-9 a run: a fourteenth of it for each of four short texts and three long ones,
    and for the first and the last row of two sizes, by Agrawal's bound; and, of 28,000 draws from a
    text of a million tokens, as much for its sixteenths, for its two ends and for how many are of a
    place that came up before, by Hoeffding's bound. A place comes up ten times once in 1e16.
    Power: an offset that is never drawn, or one in eight drawn 1.3 times as often, is noticed; of a
    million, that the first and the last 500 are never drawn, or only two places in three.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    drawn_offsets(subject, OffsetCase(N=6, block_size=4, batch_size=8), 4)  # just long enough
    for places, T, B, batches in FEW_PLACES:
        short = OffsetCase(N=T + places, block_size=T, batch_size=B)
        start = drawn_offsets(subject, short, batches)
        rows = {"": start}
        if 1 < B < batches:
            rows |= {" in the first row": start[:, 0], " in the last row": start[:, -1]}
        for row, some in rows.items():
            counts = torch.bincount(some.flatten(), minlength=places).numpy()
            few = counts if counts[-1] else counts[:-1]
            alike, uneven = np.full(len(few), 1 / len(few)), partial(causes.other_law, few.tolist())
            what = f"offsets of {B} by {T} in a text of {short.N}{row}"
            expect_law(few, alike, alarm=PART, what=what, cause=uneven)
    for T, B, batches in MANY_PLACES:
        long = OffsetCase(N=10_001 + T, block_size=T, batch_size=B)
        start = drawn_offsets(subject, long, batches).flatten()
        expect_sixteenths(start, 10_000, what=f"a text of {long.N:,}, {B} by {T}")
    expect_million(subject)


def expect_sixteenths(start: Tensor, places: int, *, what: str) -> None:
    """Ask whether offsets from 0 to `places` - 1 can be drawn evenly, whatever comes after them.

    Shape: start (n,).
    """
    counts = torch.bincount(start * 16 // places, minlength=17)[:16].numpy()
    cause = "parts of a long text are drawn more often than others, or never"
    what = f"sixteenths of {what}"
    expect(counts.any(), what=what, expected="all drawn", seen="none drawn", cause=cause)
    law = np.diff([-(-places * part // 16) for part in range(17)]) / places
    expect_law(counts, law, alarm=PART, what=what, cause=cause)


def expect_million(subject: Subject) -> None:
    """Ask whether offsets in a text of a million tokens can be drawn evenly, up to its ends."""
    N, n = 1_000_000, 28_000
    x, y = subject.get_batch(torch.arange(N), 2, n)
    expect_batch(BatchCase(N=N, block_size=2, batch_size=n), x=x, y=y)
    start, places = x[:, 0], N - 3
    what = f"a text of {N:,}"
    inside = (start >= 0) & (start <= places)
    cause = "places in a very long text are rounded, cut off, or beyond its end"
    expect(bool(inside.all()), what=what, expected="its tokens", seen=start[~inside], cause=cause)
    start = start[start < places]
    expect_sixteenths(start, places, what=what)
    ends = int(((start < 500) | (start >= places - 500)).sum())  # noqa: PLR2004  as said
    of_ends = f"draws from the first and the last 500 places of {what}"
    expect_count(ends, len(start), 1000 / places, alarm=PART, what=of_ends, cause=cause)
    times = start.unique(return_counts=True)[1]
    again, share = len(start) - len(times), (len(start) - 1) / 2 / places
    again = max(again, round(share * len(start)))  # fewer are no fault: `share` is a bound
    before = f"draws from {what} that came up before"
    expect_count(again, len(start), share, alarm=PART, what=before, cause=cause)
    most = int(times.max())
    once = f"draws of one place of {what}"
    expect(most < 10, what=once, expected="9 at most", seen=most, cause=cause)  # noqa: PLR2004  as said


def expect_count(  # noqa: PLR0913  all but the counts by name
    count: int, draws: int, share: float, *, alarm: float, what: str, cause: str
) -> None:
    """Ask whether so many draws can have hit what each hits with a chance of `share` on average."""
    kept, expected = count_bound(count, draws, share) >= alarm, f"about {share * draws:.0f}"
    expect(kept, what=what, expected=f"{expected} of {draws:,}", seen=count, cause=cause)


@clause("batch.generator", GENERATOR, PROFILES, level=SHOULD, needs=("batch.reproducible",))
def generator(subject: Subject, case: BatchCase) -> None:
    """A generator that is given is the one source of the offsets: no other stream is touched.

    Alarm: as many batches as hold eight windows after the first, of a text with 10,000 places, are
    all equal once in 1e31.
    Source: set the seed for generating random numbers
    """
    expect_own_stream("get_batch", "x", lambda own: drawn(subject, case, generator=own)[0])
    own = torch.Generator().manual_seed(1337)
    cause = "get_batch seeds the generator that it was given"
    starts = partial(offsets_of, subject, generator=own)
    expect_moves_on(starts, case, what="batches from one generator", cause=cause)


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


SPLITS = ("train", "val")


@clause("batch.split", SPLIT, PROFILES, needs=("batch.shift",))
def split(subject: Subject, case: BatchCase) -> None:
    """The split "train" draws from train_data, and "val" from val_data.

    Source: train_data if split == > train_data
    """
    ours, theirs, T = case.data(), -case.data(), case.block_size
    for name, sign in zip(SPLITS, (1, -1), strict=True):
        x, y = subject.get_split_batch(ours, theirs, name, T, case.batch_size)
        expect_batch(case, x=x, y=y)
        what, expected = f"tokens of get_batch({name!r})", f"only tokens of {name}_data"
        seen, cause = "tokens of the other split", "the two splits are mixed up"
        for part in (x, y):
            kept = bool((part * sign > 0).all())
            expect(kept, what=what, expected=expected, seen=seen, cause=cause)
            other = (part * sign)[~torch.isin(part * sign, case.data())]
            changed = "tokens of a split become others on the way into a batch"
            expect(not len(other), what=what, expected=expected, seen=other, cause=changed)
        start = case.offsets(x * sign)
        inside = (start >= 0) & (start + T < case.N)  # batch.offset-range tells of the others
        rows = torch.cat([x, y[:, -1:]], dim=1)[inside] * sign
        what, cause = f"windows of {name}_data, each with its last target", "a split is cut wrongly"
        expect_equal(rows, case.pieces(start[inside], T + 1), what=what, cause=cause)


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
