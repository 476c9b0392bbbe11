"""Cases for each type of case: corners that are in every run, and more drawn by Hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from reference.spec import cases as c
from reference.spec.histories import DEEDS, HistoryCase

ALPHABET = "ab \nAZ09éß中🙂"
STRANGERS = "Ж€🜚"
"""Characters that no error message holds by accident, as "index" holds an x."""
Draw = Callable[..., Any]
"""What Hypothesis calls DrawFn, which cannot be checked at run time."""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Corners, the smallest first, and a strategy for more; without one, the corners are all."""

    corners: tuple[c.Case, ...]
    more: st.SearchStrategy[c.Case] | None = None


@st.composite
def rows(draw: Draw, C: int, shape: tuple[int, int]) -> c.Rows:
    """Draw tokens."""
    B, T = shape
    flat = draw(st.lists(st.integers(0, C - 1), min_size=B * T, max_size=B * T))
    return tuple(tuple(flat[b * T : (b + 1) * T]) for b in range(B))


LAYOUT = st.sampled_from(c.LAYOUTS)
SCATTERED = st.sampled_from([layout for layout in c.LAYOUTS if layout != "contiguous"])
TABLE = st.integers(0, 2 * c.FULL - 1)
SHAPE = st.tuples(st.integers(1, 4), st.integers(1, 8))
LONG = st.tuples(st.integers(1, 2), st.integers(9, 40))


def token_case(
    kind: Callable[..., c.Case],
    *,
    C: st.SearchStrategy[int] = st.integers(1, 7),  # noqa: B008  strategies are values
    shape: st.SearchStrategy[tuple[int, int]] = SHAPE,
    targets: bool = False,
    **fields: st.SearchStrategy[int] | st.SearchStrategy[str] | st.SearchStrategy[tuple[str, ...]],
) -> st.SearchStrategy[c.Case]:
    """Draw a case of tokens, with whatever other fields it has."""

    @st.composite
    def one(draw: Draw) -> c.Case:
        size, BT = draw(C), draw(shape)
        given: dict[str, object] = {name: draw(field) for name, field in fields.items()}
        if targets:
            given["targets"] = draw(rows(size, BT))
        return kind(C=size, idx=draw(rows(size, BT)), **given)

    return one()


def spread(C: int, B: int, T: int, by: int) -> c.Rows:
    """Lay tokens out so that all occur, in no simple order."""
    return tuple(
        tuple((by * b + (t * t + by * t) // 2 + C - 1) % C for t in range(T)) for b in range(B)
    )


SMALL = (
    (1, 1, 1, "contiguous"),
    (2, 1, 1, "contiguous"),
    (3, 1, 2, "contiguous"),
    (3, 3, 1, "contiguous"),
    (5, 1, 5, "contiguous"),
    (3, 2, 3, "contiguous"),
    (3, 33, 2, "contiguous"),
    (65, 4, 8, "contiguous"),
    (300, 1, 2, "contiguous"),
)
"""C, B, T and layout: one of each, few of each, a batch and a vocabulary like the notes', more
tokens than a byte holds."""
ODD = ((2, 2, 2, "transposed"), (3, 2, 3, "transposed"), (4, 3, 2, "strided"))


def corners(
    kind: Callable[..., c.Case],
    *,
    sizes: tuple[tuple[int, int, int, str], ...] = SMALL,
    targets: bool = False,
    **fields: object,
) -> tuple[c.Case, ...]:
    """Make the corners of a type of token case."""
    made = []
    for C, B, T, layout in sizes:
        given: dict[str, object] = {"idx": spread(C, B, T, 1), "layout": layout, **fields}
        if targets:
            given["targets"] = spread(C, B, T, 2)
        made.append(kind(C=C, **given))
    return tuple(made)


REPEATED = c.IndexCase(C=3, table=1, idx=((2, 2, 2, 0, 2),))
REPEATED_PAIRS = c.LossCase(C=3, table=1, idx=((2, 2, 2, 0, 2),), targets=((1, 1, 0, 2, 1),))
UNROUNDED = ((2, 1, 1, "contiguous"), (5, 2, 3, "contiguous"))
"""Of tables in which it shows if scores are rounded."""
SMALL_NUMBERS = ((5, 2, 3, "contiguous"), (65, 1, 1, "contiguous"))
"""Of tables in which it shows if scores near 0 are taken for 0, or kept away from it."""
LONG_SIZES = (
    (2, 1, 9, "contiguous"),
    (3, 2, 17, "contiguous"),
    (5, 1, 33, "contiguous"),
    (2, 1, 257, "contiguous"),
    (5, 2, 70, "contiguous"),
)
"""Beyond the block sizes that models have: 8, 16, 32, 256."""
BULK_SIZES = ((3, 3, 23, "contiguous"), (2, 5, 13, "contiguous"))
MANY = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
"""More characters than a byte counts."""
TEXTS = ("a", "ba", "hello world\n", "zéa中🙂 a", "AaBb  \n\tZz", MANY)


def _bad_tokens() -> Cases:
    made = [
        c.BadTokenCase(
            C=C,
            table=0,
            idx=spread(C, 2, 2, 1),
            targets=spread(C, 2, 2, 2),
            place=place,
            token=token,
        )
        for C in (1, 3)
        for token in (C, -1, C + 40, -C - 1)
        for place in ((0, 0), (1, 1))
    ]
    return Cases(corners=tuple(made))


def _batches() -> st.SearchStrategy[c.Case]:
    return st.builds(
        lambda T, B, room: c.BatchCase(N=10_000 + room, block_size=T, batch_size=B),
        T=st.integers(1, 20),
        B=st.integers(1, 6),
        room=st.integers(0, 60),
    )


def _training(C: int, table: int, shapes: tuple[tuple[int, int], ...]) -> c.TrainingCase:
    batches = tuple(
        (spread(C, *shape, 1 + number), spread(C, *shape, 2 + number))
        for number, shape in enumerate(shapes)
    )
    # The first batch is of the first tokens only, the next of others: so that what is left of the
    # first one's gradient shows in rows which the second does not touch.
    first = tuple(tuple(min(token, C // 2) for token in row) for row in batches[0][0])
    return c.TrainingCase(C=C, table=table, batches=((first, batches[0][1]), *batches[1:]))


def _text() -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(ALPHABET), min_size=1, max_size=12)


def _stranger() -> st.SearchStrategy[c.Case]:
    def make(text: str, stranger: str, other: str, place: int) -> c.StrangerCase:
        known = "".join(one if one in text else text[0] for one in other)
        place = min(place, len(known))
        with_it = known[:place] + stranger + known[place:]
        return c.StrangerCase(text=text, other=with_it, place=place)

    return st.builds(
        make,
        text=_text(),
        stranger=st.sampled_from(STRANGERS),
        other=_text(),
        place=st.integers(0, 9),
    )


def _logits() -> st.SearchStrategy[c.Case]:
    score = st.integers(-3000, 3000).map(lambda number: number / 1000)

    @st.composite
    def one(draw: Draw) -> c.Case:
        B, C = draw(st.integers(1, 4)), draw(st.integers(1, 7))
        flat = draw(st.lists(score, min_size=B * C, max_size=B * C))
        return c.LogitsCase(rows=tuple(tuple(flat[b * C : (b + 1) * C]) for b in range(B)))

    return one()


def _graded_logits(C: int) -> c.LogitsCase:
    """Return rows of C scores of which no two are equal, from 45% to 0.03%."""
    rows = c.graded_table(C)[[0, C // 2]].round(decimals=4)
    return c.LogitsCase(rows=tuple(tuple(float(f"{z:.4f}") for z in row) for row in rows.tolist()))


HISTORIES = (
    "generate, write, generate",
    "forward, write, forward",
    "generate, backward, step, generate, loss",
    "loss, write, loss",
    "forward in no_grad, write, forward in no_grad",
    "loss in inference_mode, write, loss in inference_mode",
    "generate, write data, generate",
    "forward, loss, write data, forward, loss",
    "backward, backward",
    "backward twice",
    "generate in inference_mode, backward",
    "loss in inference_mode, loss, backward, zero_grad, backward",
    "forward in inference_mode, generate in no_grad, loss, backward, step, forward",
    "train, generate, loss in no_grad, forward in no_grad, backward",
    "eval, loss, generate, train, loss, generate",
    "generate, deepcopy, write, generate, backward, step, generate",
    "loss, backward, state_dict, generate, backward, step, generate",
    "generate, double, forward, generate, write, loss, generate",
    "backward, step, generate, forward, zero_grad, backward, step, write, backward, backward, step",
    "generate, deepcopy, write data, loss, generate, state_dict, backward twice, step, forward",
    "generate in no_grad, train, zero_grad, loss in inference_mode, backward, step, generate",
)
"""What users do to one model, one after the other."""


def _histories() -> Cases:
    made = [
        HistoryCase(C=5, idx=((0, 2), (3, 4)), deeds=tuple(history.split(", ")))
        for history in HISTORIES
    ]
    deeds = st.lists(st.sampled_from(sorted(DEEDS)), min_size=2, max_size=10).map(tuple)
    shapes = st.tuples(st.integers(1, 2), st.integers(1, 3))
    more = token_case(HistoryCase, C=st.integers(3, 5), shape=shapes, deeds=deeds)
    return Cases(corners=tuple(made), more=more)


FIXED_LOGITS = (
    c.LogitsCase(rows=((0.0,),)),
    c.LogitsCase(rows=((1.0, -1.0),)),
    c.LogitsCase(rows=((0.5, -2.0, 2.5), (3.0, 3.0, -3.0))),
    c.LogitsCase(rows=((0.1, -0.7, 1.3, -2.2, 0.4, 2.9, -1.1),)),
    c.LogitsCase(rows=tuple((0.3 * b, b - 2.5, 1.7 - 0.6 * b) for b in range(6))),
    _graded_logits(65),
    _graded_logits(257),
)

CONTEXTS = (
    (2, 1, 1, "contiguous"),
    (2, 1, 2, "contiguous"),
    (3, 1, 3, "contiguous"),
    (3, 2, 3, "contiguous"),
    (5, 2, 5, "contiguous"),
    (65, 4, 8, "contiguous"),
    (3, 2, 17, "contiguous"),
    (5, 6, 9, "contiguous"),
    (5, 1, 40, "contiguous"),
    (5, 1, 70, "contiguous"),
)
ANY_CONTEXT = st.one_of(SHAPE, LONG)

CASES: dict[type[c.Case], Cases] = {
    c.Nothing: Cases(corners=(c.Nothing(),)),
    c.SizeCase: Cases(corners=tuple(c.SizeCase(C=C) for C in (1, 2, 5, 65))),
    c.IndexCase: Cases(
        corners=(
            *corners(c.IndexCase, table=0),
            REPEATED,
            *corners(c.IndexCase, sizes=UNROUNDED, table=c.FULL),
            *corners(c.IndexCase, sizes=SMALL_NUMBERS, table=c.TINY),
        ),
        more=token_case(c.IndexCase, table=TABLE),
    ),
    c.LossCase: Cases(
        corners=(
            *corners(c.LossCase, targets=True, table=0),
            REPEATED_PAIRS,
            *corners(c.LossCase, sizes=UNROUNDED, targets=True, table=c.FULL),
            *corners(c.LossCase, sizes=SMALL_NUMBERS, targets=True, table=c.TINY),
        ),
        more=token_case(c.LossCase, targets=True, table=TABLE),
    ),
    c.FlatCase: Cases(
        corners=(
            *corners(c.FlatCase, targets=True, table=0),
            c.FlatCase(**vars(REPEATED_PAIRS)),
            *corners(c.FlatCase, sizes=UNROUNDED, targets=True, table=c.FULL),
            *corners(c.FlatCase, sizes=SMALL_NUMBERS, targets=True, table=c.TINY),
            *corners(c.FlatCase, sizes=((5, 2, 70, "contiguous"),), targets=True, table=c.FULL),
        ),
        more=token_case(c.FlatCase, targets=True, table=TABLE),
    ),
    c.LayoutCase: Cases(
        corners=corners(c.LayoutCase, sizes=ODD, targets=True, table=0),
        more=token_case(c.LayoutCase, targets=True, table=TABLE, layout=SCATTERED),
    ),
    c.PairsCase: Cases(
        corners=corners(c.PairsCase, targets=True),
        more=token_case(c.PairsCase, targets=True),
    ),
    c.LongCase: Cases(
        corners=corners(c.LongCase, sizes=LONG_SIZES, targets=True, table=0),
        more=token_case(c.LongCase, shape=LONG, targets=True, table=TABLE),
    ),
    c.BulkCase: Cases(
        corners=corners(
            c.BulkCase, sizes=((65, 3, 23, "contiguous"), *BULK_SIZES), targets=True, table=0
        ),
    ),
    c.BulkPairsCase: Cases(
        # The last has many pairs that do not occur.
        corners=corners(
            c.BulkPairsCase, sizes=(*BULK_SIZES, (9, 3, 11, "contiguous")), targets=True
        ),
    ),
    c.BadTokenCase: _bad_tokens(),
    c.PromptCase: Cases(
        corners=(
            *corners(c.PromptCase, table=0, n=1),
            c.PromptCase(C=3, table=0, idx=((0, 2),), n=5),
            c.PromptCase(C=300, table=0, idx=((7,),), n=32),
            *corners(c.PromptCase, sizes=LONG_SIZES, table=0, n=32),
        ),
        more=token_case(c.PromptCase, table=TABLE, n=st.integers(1, 12)),
    ),
    c.ChainCase: Cases(
        corners=corners(c.ChainCase, step=3, n=2)
        + corners(c.ChainCase, sizes=(*ODD, *LONG_SIZES), step=2, n=20),
        more=token_case(
            c.ChainCase,
            shape=st.one_of(SHAPE, LONG),
            layout=LAYOUT,
            step=st.integers(1, 5),
            n=st.integers(1, 12),
        ),
    ),
    HistoryCase: _histories(),
    c.BatchCase: Cases(
        corners=(
            # So long that a window at the end, which is for OffsetCase, is hardly ever drawn.
            c.BatchCase(N=10_000, block_size=1, batch_size=1),
            c.BatchCase(N=10_000, block_size=3, batch_size=1),
            c.BatchCase(N=10_000, block_size=1, batch_size=3),
            c.BatchCase(N=10_000, block_size=8, batch_size=4),
            c.BatchCase(N=10_000, block_size=17, batch_size=33),
            c.BatchCase(N=10_000, block_size=70, batch_size=2),
        ),
        more=_batches(),
    ),
    c.OffsetCase: Cases(
        corners=(
            c.OffsetCase(N=4, block_size=2, batch_size=1),
            c.OffsetCase(N=4, block_size=2, batch_size=8),
            c.OffsetCase(N=5, block_size=1, batch_size=8),
            c.OffsetCase(N=13, block_size=8, batch_size=8),
            c.OffsetCase(N=73, block_size=70, batch_size=8),
        ),
    ),
    c.TextCase: Cases(
        corners=tuple(c.TextCase(text=text) for text in TEXTS),
        more=st.builds(c.TextCase, text=_text()),
    ),
    c.StrangerCase: Cases(
        corners=(
            c.StrangerCase(text="a", other="x", place=0),
            c.StrangerCase(text="hello", other="help", place=3),
            c.StrangerCase(text="hello world", other="hell🜚 world hello", place=4),
        ),
        more=_stranger(),
    ),
    c.LogitsCase: Cases(corners=FIXED_LOGITS, more=_logits()),
    c.LawCase: Cases(
        corners=(
            c.LawCase(C=17, draws=3 * 2**18),
            c.LawCase(C=65, draws=2**17, training=True),
            c.LawCase(C=257, draws=7 * 2**14),
        ),
    ),
    c.JointLawCase: Cases(corners=(c.JointLawCase(C=3, table=1, draws=2**14),)),
    c.ContextCase: Cases(
        corners=corners(c.ContextCase, sizes=CONTEXTS, table=0),
        more=token_case(c.ContextCase, shape=ANY_CONTEXT, table=TABLE),
    ),
    c.ContextLossCase: Cases(
        corners=corners(c.ContextLossCase, sizes=CONTEXTS, targets=True, table=0),
        more=token_case(c.ContextLossCase, shape=ANY_CONTEXT, targets=True, table=TABLE),
    ),
    c.PaddedCase: Cases(
        corners=corners(c.PaddedCase, sizes=CONTEXTS[1:], table=0),
        more=token_case(c.PaddedCase, table=TABLE),
    ),
    c.CachedCase: Cases(
        corners=(
            *corners(c.CachedCase, sizes=CONTEXTS[:5], table=0, n=3),
            *corners(c.CachedCase, sizes=CONTEXTS[5:-1], table=0, n=24),
        ),
        more=token_case(c.CachedCase, table=TABLE, n=st.integers(1, 12)),
    ),
    c.ContextLawCase: Cases(
        corners=(
            c.ContextLawCase(C=3, table=1, draws=27 * 2**11, T=3),
            c.ContextLawCase(C=17, table=1, draws=3 * 2**18, T=1),
            c.ContextLawCase(C=65, table=1, draws=2**17, T=1, training=True),
            c.ContextLawCase(C=257, table=1, draws=7 * 2**14, T=1),
        ),
    ),
    c.ChainLawCase: Cases(
        corners=(
            c.ChainLawCase(C=5, table=1, draws=2**11, T=1, n=12),
            c.ChainLawCase(C=5, table=3, draws=2**8, T=68, n=4),
            c.ChainLawCase(C=5, table=2, draws=2**10, T=8, n=24),
        )
    ),
    c.TrainingCase: Cases(
        corners=(
            _training(2, 0, ((2, 2), (3, 2), (1, 2))),
            _training(5, 1, ((2, 4), (3, 4), (1, 4))),
            # Shapes that come again, as one kept from an earlier step would fit.
            _training(3, 2, ((1, 2), (1, 2), (6, 1), (6, 1), (1, 70), (1, 70))),
            _training(5, 1, ((2, 4), (3, 4), (1, 4), (2, 4), (3, 4))),
            _training(65, 3, ((1, 8), (1, 8), (8, 1))),
            _training(5, 5, ((6, 3), (6, 4))),
            # Sizes that come first, and a C that comes again, as what is kept from one model to the
            # next would fit.
            _training(2, 4, ((2, 2), (1, 2))),
            _training(3, 6, ((6, 1), (2, 3))),
            _training(3, 7, ((1, 70), (2, 3))),
        ),
    ),
}


FEW = 5
"""Tokens of the longest sequence below which a drawn case hardly ever fits."""


@cache
def cases_of(kind: type[c.Case], *, longest: int | None = None) -> Cases:
    """Give the cases of a type, or those of them that need no longer sequence than this."""
    every = CASES[kind]
    if longest is None:
        return every
    fitting = (shortened(case, longest) for case in every.corners)
    corners = tuple(case for case in fitting if needed(case) <= longest)
    more = None if every.more is None or longest < FEW else every.more
    return Cases(
        corners=corners,
        more=None if more is None else more.filter(lambda case: needed(case) <= longest),
    )


def shortened(case: c.Case, longest: int) -> c.Case:
    """Return a case of long chains with shorter ones, if need be; any other as it is."""
    if not isinstance(case, c.ChainLawCase) or needed(case) <= longest:
        return case
    T = min(case.T, max(1, longest // 2))
    return replace(case, T=T, n=max(1, min(case.n, longest - T)))


def needed(case: c.Case) -> int:
    """Give the length of the longest sequence that a case makes a model score."""
    match case:
        case c.PromptCase():
            length = len(case.idx[0]) + case.n
        case HistoryCase():
            length = len(case.idx[0]) + 3
        case c.PaddedCase():
            length = len(case.idx[0]) + 1
        case c.TokensCase():
            length = len(case.idx[0])
        case c.ChainLawCase():
            length = case.T + case.n
        case c.ContextLawCase():
            length = 3
        case c.TrainingCase():
            length = max(len(idx[0]) for idx, _targets in case.batches)
        case _:
            length = 1
    return length
