"""The table with the least loss, by counting: what training only comes near to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from reference.checks import check_count, check_part, check_positive
from reference.errors import DtypeError, NotATensorError, RankError, TokenRangeError, TooShortError
from reference.fast.compiling import check_there
from reference.fast.threads import by_pieces
from reference.oracle.counts import Counts
from reference.shapes import Table
from reference.tokens.stream import FileTokens

Tokens: TypeAlias = Shaped[Tensor, "N"] | Shaped[np.ndarray, "N"] | FileTokens
"""A stream of tokens: a tensor, an array, a numpy.memmap of a file of any size, or such a file as
`reference.corpus.Corpus.stream` gives it, which is read without being mapped."""

DTYPES = ("int64", "int32", "uint16", "uint8")

AT_ONCE = 2**26
"""Tokens counted between two reports of progress: some hundredths of a second."""

PIECE = 2**17
"""Tokens that a thread counts before it takes the next piece."""

FILE_PIECE = 2**20
"""The same, where it has to read them first."""

ENOUGH = 2**21
"""Tokens for each thread that is worth waking."""

MOST = 1e6
"""The greatest count that may be added to every pair."""


@dataclass(frozen=True, kw_only=True)
class Exact:
    """The counted probabilities as they are: a pair that was not seen gets a logit of -inf.

    Its loss on the counted text is the least of all tables, and its loss on a text with such a pair
    is infinite. A row without counts gets zeros: every token as likely as another.
    """


@dataclass(frozen=True, kw_only=True)
class Additive:
    """`k` added to the count of every pair (Lidstone; with k = 1, Laplace): none is impossible.

    Raises: NotANumberError, OutOfRangeError where k is no number above 0.
    """

    k: float

    def __post_init__(self) -> None:
        check_positive("k", self.k, maximum=MOST)


Smoothing: TypeAlias = Exact | Additive
"""What becomes of pairs that the text does not have."""


def fit(  # noqa: PLR0913  what is counted, and how it is smoothed
    tokens: Tokens,
    vocab_size: int,
    *,
    smoothing: Smoothing,
    begin: int = 0,
    end: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Table:
    """Give the table that training would end at without weight decay: log counts, normalised.

    `begin` and `end` are those of `count`.

    Shape: tokens (N,), int64 or as files have it, -> (C, C), float32, logits that are log
        probabilities.
    Raises: what `count` raises.
    Source: notes, [ TRAINING ] > loss.
    """
    counts = count(tokens, vocab_size, begin=begin, end=end, progress=progress)
    return table_of(counts, smoothing)


def table_of(counts: Counts, smoothing: Smoothing) -> Table:
    """Give the table that a text with these counts is fitted by.

    Shape: (C, C) -> (C, C), float32, logits that are log probabilities.
    """
    weights = counts.astype(np.float64)
    if isinstance(smoothing, Additive):
        weights += smoothing.k
    totals = weights.sum(axis=1, keepdims=True)  # (C, 1)
    if not totals.all():  # a row without counts gets log(1 / 1)
        empty = totals[:, 0] == 0
        weights[empty], totals[empty] = 1.0, 1.0
    table = np.full(weights.shape, -np.inf)  # of which a pair without counts keeps its own
    np.log(weights, out=table, where=weights > 0)
    table -= np.log(totals)  # not the logarithm of the quotient, which underflows for a tiny k
    return torch.from_numpy(table.astype(np.float32))


def count(
    tokens: Tokens,
    vocab_size: int,
    *,
    begin: int = 0,
    end: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Int64[np.ndarray, "C C"]:
    """Count every pair of neighbours in one pass; `progress` is told the tokens done, and in all.

    With `begin` and `end`, only the pairs whose first token is at begin to end - 1 are counted, so
    that the counts of the parts of a stream, each up to where the next begins, add up.

    A file is read piece by piece, so it may be larger than memory.

    Shape: tokens (N,), int64 or as files have it, -> (C, C), summing to N - 1 without `begin` and
        `end`: row = current token.
    Raises: TokenRangeError, which names the first token outside 0 to C - 1; TooShortError where
        there is no pair; NotATensorError, DtypeError, RankError where tokens is something else;
        NotAnIntegerError, OutOfRangeError for vocab_size, begin and end; TokenFileError where a
        file is gone; MissingExtraError without Numba.
    """
    check_there()
    check_count("vocab_size", vocab_size, minimum=1)
    stream = _stream(tokens)
    N, C = len(stream), int(vocab_size)  # NumPy's integers have no bit_length
    begin, end = check_part(N, begin, end)
    last = min(end, N - 1)  # of which the last token is the first of no pair
    counts = np.zeros((C, C), np.int64)
    for start in range(begin, last, AT_ONCE):
        pairs = min(AT_ONCE, last - start)
        counts += _count_piece(stream, C, start, pairs)
        if progress is not None:
            progress(start + pairs + 1 - begin, last + 1 - begin)
    return counts


def _count_piece(
    stream: Shaped[np.ndarray, "N"] | FileTokens, C: int, start: int, pairs: int
) -> Int64[np.ndarray, "C C"]:
    """Count the pairs that begin at start and at the places after it.

    Raises: TokenRangeError.
    """
    from reference.fast import kernels  # noqa: PLC0415  Numba is optional

    bits = (C - 1).bit_length()
    side = 2**bits
    most = max(1, min(torch.get_num_threads(), pairs // max(ENOUGH, side**2)))
    counts = np.zeros((most, side**2), np.uint32)  # for each thread its own
    seen: list[int] = []
    step = FILE_PIECE if isinstance(stream, FileTokens) else PIECE

    def work(part: int, begin: int) -> None:
        end = min(begin + step, start + pairs)
        piece = _part(stream, begin, end + 1)
        seen.append(int(kernels.count_pairs(piece, bits, counts[part], 0, end - begin)))

    by_pieces(work, range(start, start + pairs, step), most=most)
    grids = counts.reshape(most, side, side)
    if max(seen) >= side or grids[:, C:].any() or grids[:, :, C:].any():
        piece = _part(stream, start, start + pairs + 1)
        place = int(((piece < 0) | (piece >= C)).argmax())
        raise TokenRangeError(
            f"tokens[{start + place}] is {piece[place]}; a token must lie in 0 to {C - 1} "
            f"(vocab_size is {C})"
        )
    return np.asarray(grids[:, :C, :C].sum(axis=0, dtype=np.int64))


def _part(
    stream: Shaped[np.ndarray, "N"] | FileTokens, begin: int, end: int
) -> Shaped[np.ndarray, "n"]:
    return stream.read(begin, end) if isinstance(stream, FileTokens) else stream[begin:end]


def _stream(tokens: Tokens) -> Shaped[np.ndarray, "N"] | FileTokens:
    """Give the tokens as an array, without a copy, or as a file.

    Raises: NotATensorError, DtypeError, RankError, TooShortError.
    """
    if isinstance(tokens, FileTokens):
        _check_pair(len(tokens))
        return tokens
    if isinstance(tokens, Tensor):
        tokens = tokens.detach().cpu().numpy()
    if not isinstance(tokens, np.ndarray):
        raise NotATensorError(
            f"tokens is a {type(tokens).__name__}; it must be a torch.Tensor or a numpy.ndarray, "
            "of shape (N,)"
        )
    if tokens.dtype.name not in DTYPES or not tokens.dtype.isnative:
        raise DtypeError(
            f"tokens has dtype {tokens.dtype}; it must be one of {', '.join(DTYPES)}, in this "
            "machine's byte order (ndarray.astype converts)"
        )
    if tokens.ndim != 1:
        raise RankError(
            f"tokens has {tokens.ndim} dimensions, shape {tokens.shape}; it must have 1, (N,)"
        )
    _check_pair(len(tokens))
    return tokens.view(np.ndarray)  # a memmap's own slices cost more


def _check_pair(N: int) -> None:
    if N < 2:  # noqa: PLR2004  of which a pair is made
        raise TooShortError(f"tokens holds {N} tokens; a pair needs 2")
