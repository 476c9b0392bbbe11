"""get_batch: windows of a text at random places, and the same windows one token later."""

import numpy as np
import torch
from torch import Tensor

from reference.notes import Figures
from reference.spec.cases import FIRST_TOKEN, BatchCase, Nothing, OffsetCase, notes_corpus
from reference.spec.clause import CHOICE, PROFILES, SHOULD, clause
from reference.spec.expect import (
    Broken,
    expect,
    expect_equal,
    expect_independent,
    expect_law,
    expect_refused,
    observe,
)
from reference.spec.measures import ALARM, UNLIKE, overwrite
from reference.spec.randomness import seed_torch, streams
from reference.spec.subject import Part, Subject, SubjectError

GET_BATCH = (Part.GET_BATCH,)


def offsets(case: BatchCase, x: Tensor) -> Tensor:
    """Tell where each window starts: in the case's text every token tells its place.

    Shape: (B, T) -> (B,).
    """
    return (FIRST_TOKEN - x[:, 0]) // 3


def pieces(case: BatchCase, start: Tensor, length: int) -> Tensor:
    """Cut the text where the windows start; -1 stands for what is not in it.

    Shape: (B,) -> (B, length).
    """
    place = start[:, None] + torch.arange(length)
    inside = (place >= 0) & (place < case.N)
    return torch.where(inside, case.data()[place.clamp(0, case.N - 1)], -1)


@clause("batch.shape", GET_BATCH, PROFILES)
def shape(subject: Subject, case: BatchCase) -> None:
    """A batch is a pair x, y, each of shape (B, T): batch_size rows of block_size tokens.

    Source: get_batch > returns > x, y > Tuple[Tensor, Tensor]
    """
    want = (case.batch_size, case.block_size)
    for name, part in zip("xy", draw(subject, case), strict=True):
        expect_equal(
            tuple(part.shape),
            want,
            what=f"shape of {name}",
            cause="get_batch gives another shape than (batch_size, block_size)",
        )


def draw(subject: Subject, case: BatchCase) -> tuple[Tensor, Tensor]:
    """Draw the case's batch."""
    return subject.get_batch(case.data(), case.block_size, case.batch_size)


def drawn(
    subject: Subject, case: BatchCase, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the case's batch, and make sure of its shape and type.

    Shape: -> (B, T), (B, T), int64.
    Raises: Broken if it has another shape or type than batch.shape and batch.dtype have seen.
    """
    given = case.data(), case.block_size, case.batch_size
    batch = subject.get_batch(*given, generator=generator)
    return expect_batch(batch, case.batch_size, case.block_size)


def expect_batch(batch: tuple[Tensor, Tensor], B: int, T: int) -> tuple[Tensor, Tensor]:
    """Return a batch, both halves of which must be int64 of shape (B, T).

    Raises: Broken.
    """
    for name, part in zip("xy", batch, strict=True):
        expect_tokens(part, B, T, name=name)
    return batch


def expect_tokens(part: Tensor, B: int, T: int, *, name: str) -> Tensor:
    """Return one half of a batch, which must be int64 of shape (B, T).

    Raises: Broken.
    """
    if tuple(part.shape) != (B, T) or part.dtype != torch.int64:
        raise Broken(
            expected=f"{name}: int64 of shape {(B, T)}",
            seen=f"{part.dtype} of shape {tuple(part.shape)}".replace("torch.", ""),
            cause=UNLIKE,
        )
    return part


@clause("batch.dtype", GET_BATCH, PROFILES, needs=("batch.shape",))
def dtype(subject: Subject, case: BatchCase) -> None:
    """Both halves of a batch hold int64, the type in which tokens index the table.

    Source: type long > intended to hold integer > values
    """
    for name, part in zip("xy", draw(subject, case), strict=True):
        expect_equal(
            part.dtype,
            torch.int64,
            what=f"dtype of {name}",
            cause="get_batch gives another type than torch.long",
        )


@clause("batch.window", GET_BATCH, PROFILES, needs=("batch.dtype",))
def window(subject: Subject, case: BatchCase) -> None:
    """Each row of x is a contiguous piece of the text.

    Formula: x[b, t] = data[i_b + t].
    Source: x = torch.stack([data[i : i + block_size] for i in ix])
    """
    x = expect_tokens(draw(subject, case)[0], case.batch_size, case.block_size, name="x")
    start = offsets(case, x)
    # batch.offset-range tells of windows that reach past the end.
    inside = (start + case.block_size <= case.N) | (start >= case.N)
    expect_equal(
        x[inside],
        pieces(case, start[inside], case.block_size),
        what="x against the text from its first token on",
        cause="a row of x is not one contiguous piece of the text",
    )


@clause("batch.shift", GET_BATCH, PROFILES, needs=("batch.window",))
def shift(subject: Subject, case: BatchCase) -> None:
    """Each target is the token that follows its input in the text.

    Formula: y[b, t] = data[i_b + t + 1].
    Source: y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    Audit: where are targets sourced from?
    """
    x, y = drawn(subject, case)
    start = offsets(case, x)
    inside = start + case.block_size < case.N  # batch.offset-range tells of the others
    want = pieces(case, start[inside] + 1, case.block_size)
    expect_equal(
        y[inside],
        want,
        what="y against the token after each of x",
        cause=lambda: _moved(subject),
    )


def _moved(subject: Subject) -> str:
    """Look at a batch with room for a mistake to show."""
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


@clause("batch.offset-range", GET_BATCH, PROFILES, needs=("batch.shift",))
def offset_range(subject: Subject, case: OffsetCase) -> None:
    """Every offset that is drawn leaves room for a whole window and the token after it.

    Formula: 0 <= i_b <= N - T - 1.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    draws = [observe(lambda: draw(subject, case)) for _ in range(16)]
    refused = [answer for answer in draws if isinstance(answer, SubjectError)]
    if len(refused) == len(draws):
        return  # batch.too-short tells
    expect(
        not refused,
        what=f"batches of a text of {case.N} tokens",
        expected="one at every draw",
        seen=str(refused[0]) if refused else "",
        cause="some draws reach past the end of the text, where a window is too short",
    )
    for answer in draws:
        assert isinstance(answer, tuple)  # noqa: S101  what draw gives
        x, y = answer
        shapes = tuple(x.shape), tuple(y.shape)
        expect_equal(
            shapes,
            ((case.batch_size, case.block_size),) * 2,
            what="shapes of x and y",
            cause="a short text gives fewer rows than batch_size: no offset is drawn twice"
            if len(x) < case.batch_size
            else "some draws reach past the end of the text, and are cut off there",
        )
        expect_batch((x, y), case.batch_size, case.block_size)
        whole = torch.cat([x, y[:, -1:]], dim=1)
        expect_equal(
            whole,
            pieces(case, offsets(case, x), case.block_size + 1),
            what="each row of x and its last target, against the text",
            cause="some draws reach past the end of the text, and are filled up or wrapped round",
        )


@clause("batch.too-short", GET_BATCH, PROFILES, needs=("batch.offset-range",))
def too_short(subject: Subject, case: BatchCase) -> None:
    """A text that holds no whole window and its next token is refused; with a token to spare, not.

    Formula: N <= T is refused, N = T + 2 is not.
    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    """
    for short in (case.block_size, 1):
        less = BatchCase(N=short, block_size=case.block_size, batch_size=case.batch_size)
        expect_refused(
            lambda less=less: draw(subject, less),  # type: ignore[misc]  # bound now
            what=f"windows of {case.block_size} from {short} tokens",
            cause="a text that is too short gives a batch all the same",
        )
    enough = BatchCase(N=case.block_size + 2, block_size=case.block_size, batch_size=1)
    answers = [observe(lambda: draw(subject, enough)) for _ in range(16)]
    refused = [answer for answer in answers if isinstance(answer, SubjectError)]
    expect(
        len(refused) < len(answers),
        what=f"a window of {case.block_size} from {enough.N} tokens",
        expected="a batch",
        seen=str(refused[0]) if refused else "a batch",
        cause="a text that is just long enough is refused: the bound is one too low",
    )


@clause("batch.last-window", GET_BATCH, PROFILES, level=CHOICE, needs=("batch.offset-range",))
def last_window(subject: Subject, case: OffsetCase) -> str:
    """The last window that fits, at N - T - 1, may be drawn or never be drawn.

    Source: ix = torch.randint(len(data) - block_size - 1, (batch_size,))
    Erratum 3: the notes' bound never draws it, and refuses a text that holds no other.
    """
    seen: set[int] = set()
    for _ in range(64):
        x, _y = drawn(subject, case)
        seen |= set(offsets(case, x).tolist())
    return "drawn" if case.N - case.block_size - 1 in seen else "never drawn"


@clause("batch.reproducible", (Part.GET_BATCH, Part.SEED), PROFILES, needs=("batch.dtype",))
def reproducible(subject: Subject, case: BatchCase) -> None:
    """The same seed draws the same batch.

    Source: torch.manual_seed(1337) > reproducibility
    """
    batches = []
    for _ in range(2):
        seed_torch(1337)
        batches.append(drawn(subject, case))
    for name, first, second in zip("xy", *batches, strict=True):
        expect_equal(
            second,
            first,
            what=f"{name} after the same torch.manual_seed",
            cause="the offsets come from a source that torch.manual_seed does not reach, or go "
            "on from where the last call ended",
        )


@clause("batch.advances", GET_BATCH, PROFILES, needs=("batch.window",))
def advances(subject: Subject, case: Nothing) -> None:
    """Batches that are drawn one after the other differ, as the stream goes on.

    Alarm: two batches of 8 windows of a text with 10,000 places are equal once in 1e32.
    Source: sample batch of data
    """
    long = BatchCase(N=10_000, block_size=2, batch_size=8)
    first = drawn(subject, long)[0].clone()
    second, _y = drawn(subject, long)
    expect(
        not torch.equal(first, second),
        what="two batches, one after the other",
        expected="different windows",
        seen=f"the same offsets {offsets(long, first).tolist()} twice",
        cause="get_batch seeds the random stream at every call, or draws nothing at random",
    )


def _offsets_drawn(subject: Subject, case: OffsetCase, batches: int) -> Tensor:
    """Draw a number of batches, and give where their windows start.

    Shape: -> (batches, B).
    """
    starts = [offsets(case, drawn(subject, case)[0]) for _ in range(batches)]
    for some in starts:
        expect(
            bool(((some >= 0) & (some < case.N - case.block_size)).all()),
            what="offsets",
            expected=f"{case.batch_size} of 0 to {case.N - case.block_size - 1}",
            seen=some,
            cause="a great batch, or one of many, has other windows than the text has",
        )
    return torch.stack(starts)


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
    start = _offsets_drawn(subject, few, 600).t()  # (B, 600)
    for what, coins in (("even", start % 2 == 0), ("in the second half", start > 1)):
        for a in range(4):
            for b in range(a):
                expect_independent(
                    coins[a],
                    coins[b],
                    alarm=ALARM / 12,
                    what=f"batches where both or neither of rows {b} and {a} start {what}",
                    cause="the rows of a batch are not drawn independently of each other",
                )


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
    seen = _offsets_drawn(subject, short, 4).flatten()
    counts = torch.bincount(seen, minlength=8).numpy()
    K = 8 if counts[7] else 7
    never = [k for k in range(K) if not counts[k]]
    expect_law(
        counts[:K],
        np.full(K, 1 / K),
        alarm=ALARM / 2,
        what=f"offsets in a text of {short.N}",
        cause=f"of the offsets 0 to {K - 1}, some are never drawn: {never}"
        if never
        else "some offsets are drawn more often than others",
    )
    long = OffsetCase(N=16_012, block_size=10, batch_size=4096)
    sixteenth = _offsets_drawn(subject, long, 4).flatten() * 16 // 16_001
    counts = torch.bincount(sixteenth, minlength=17)[:16].numpy()  # without the last that fits
    what = f"sixteenths of a text of {long.N:,}"
    cause = "parts of a long text are drawn more often than others, or never"
    expect(counts.any(), what=what, expected="all drawn", seen="none drawn", cause=cause)
    law = np.diff([-(-16_001 * part // 16) for part in range(17)]) / 16_001
    expect_law(counts, law, alarm=ALARM / 2, what=what, cause=cause)


@clause(
    "batch.generator",
    (Part.GET_BATCH, Part.GET_BATCH_GENERATOR),
    PROFILES,
    level=SHOULD,
    needs=("batch.reproducible",),
)
def generator(subject: Subject, case: BatchCase) -> None:
    """A generator that is given is the one source of the offsets: no other stream is touched.

    Alarm: two batches of 8 windows of a text with 10,000 places are equal once in 1e32.
    Source: set the seed for generating random numbers
    """
    batches = []
    for seed in (1, 2):  # of the streams that should not matter
        seed_torch(seed)
        own = torch.Generator().manual_seed(1337)
        before = streams()
        batches.append(drawn(subject, case, generator=own))
        expect(
            streams() == before,
            what="torch's and NumPy's own streams",
            expected="untouched",
            seen="moved on",
            cause="get_batch draws from a global stream although it was given a generator",
        )
    expect_equal(
        batches[1][0],
        batches[0][0],
        what="x from the same generator",
        cause="get_batch does not draw from the generator that it was given",
    )
    long = BatchCase(N=10_000, block_size=2, batch_size=8)
    own = torch.Generator().manual_seed(1337)
    first, second = (drawn(subject, long, generator=own)[0].clone() for _ in range(2))
    expect(
        not torch.equal(first, second),
        what="two batches from one generator",
        expected="different windows",
        seen=f"the same offsets {offsets(long, first).tolist()} twice",
        cause="get_batch seeds the generator that it was given",
    )


@clause("batch.pure", GET_BATCH, PROFILES, needs=("batch.shape",))
def pure(subject: Subject, case: BatchCase) -> None:
    """Drawing a batch leaves the text as it was.

    Source: get_batch > data = train_data
    """
    data = case.data()
    subject.get_batch(data, case.block_size, case.batch_size)
    expect_equal(
        data, case.data(), what="the text afterwards", cause="get_batch changes the text in place"
    )


@clause("batch.aliasing", GET_BATCH, PROFILES, level=SHOULD, needs=("batch.pure",))
def aliasing(subject: Subject, case: BatchCase) -> None:
    """A batch is a copy, and x and y are two: writing into one changes nothing else.

    Source: x = torch.stack([data[i : i + block_size] for i in ix])
    """
    data = case.data()
    x, y = subject.get_batch(data, case.block_size, case.batch_size)
    before = x.clone(), y.clone()
    subject.get_batch(data, case.block_size, case.batch_size)
    for name, part, copy in zip("xy", (x, y), before, strict=True):
        expect_equal(
            part,
            copy,
            what=f"{name} after the next batch was drawn",
            cause="each batch is written over the one before",
        )
    overwrite(y, -1, what="y")
    cause = "the batch is a view of the text: whoever masks tokens in it changes the corpus"
    expect_equal(data, case.data(), what="the text after writing into y", cause=cause)
    expect_equal(
        x,
        before[0],
        what="x after writing into y",
        cause="x and y are views of one piece: whoever masks targets changes inputs too",
    )
    overwrite(x, -2, what="x")
    expect_equal(data, case.data(), what="the text after writing into x", cause=cause)


@clause("batch.split", (Part.GET_BATCH, Part.SPLIT), PROFILES)
def split(subject: Subject, case: BatchCase) -> None:
    """The split "train" draws from train_data, and "val" from val_data.

    Source: train_data if split == > train_data
    """
    ours, theirs = case.data(), -case.data()
    for name, sign in (("train", 1), ("val", -1)):
        batch = subject.get_split_batch(ours, theirs, name, case.block_size, case.batch_size)
        for part in expect_batch(batch, case.batch_size, case.block_size):
            expect(
                bool((part * sign > 0).all()),
                what=f"tokens of get_batch({name!r})",
                expected=f"only tokens of {name}_data",
                seen="tokens of the other split",
                cause="the two splits are mixed up",
            )


@clause(
    "batch.split.unknown",
    (Part.GET_BATCH, Part.SPLIT),
    PROFILES,
    level=CHOICE,
    needs=("batch.split",),
)
def split_unknown(subject: Subject, case: Nothing) -> str:
    """A split that is neither may be refused or, as in the notes, taken for "val".

    Source: train_data if split == > else
    Erratum 4: so a misspelt "Train" trains on the validation text without a word.
    """
    data = BatchCase(N=30, block_size=4, batch_size=2).data()
    answer = observe(lambda: subject.get_split_batch(data, -data, "Train", 4, 2))
    if isinstance(answer, SubjectError):
        return "refused"
    assert isinstance(answer, tuple)  # noqa: S101  what get_split_batch gives
    return "the validation text" if bool((answer[0] < 0).all()) else "the training text"


@clause("batch.documented", GET_BATCH, PROFILES, level=CHOICE, needs=("batch.shift",))
def documented(subject: Subject, case: Nothing) -> str:
    """Seeded with 1337, four windows of eight tokens of the notes' text are the notes' batch.

    Source: from xb.shape > tensor([ > Sequence 4
    """
    figures = Figures()
    seed_torch(figures.seed)
    x, _y = subject.get_batch(notes_corpus().train, figures.block_size, len(figures.batch))
    return "as documented" if x.tolist() == [list(row) for row in figures.batch] else "another one"
