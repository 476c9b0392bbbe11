"""Tokens from the law that a table states, at the rate at which memory takes them.

Each row of probabilities becomes an alias table (Walker 1974, Vose 1991), from which a token is
drawn with one look-up however large C is. The randomness is counted, not carried on: what row b
draws for its t-th token is a function of the seed, b and t alone (SplitMix64, with a start and a
stride for each row as in Steele, Lea and Flood 2014). So the tokens do not depend on how many
threads there are, how the batch is split, or which device it is.
"""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from reference.checks import check_count, check_layout, check_tokens
from reference.errors import NotATensorError, OutOfRangeError, RankError
from reference.fast import cuda
from reference.fast.compiling import check_there
from reference.fast.threads import by_pieces
from reference.shapes import Ids, Table

MOST = 2**16 - 1
"""Of C: the place of a row in the table has to fit 32 bits."""

SEEDS = 2**63
ENOUGH = 2**17
"""Tokens for which another thread is worth waking."""


class Sampler:
    """Continues texts by the law of one table, which is copied: later changes of it do not count.

    The law is that of the reference's `generate`, softmax(table[last token]), up to rounding: see
    `distance_bound`. The tokens are others than the reference's, since they take less randomness.

    Shape: table (C, C), logits; -inf says that a token cannot follow.
    Raises: NotATensorError, RankError where the table is no (C, C) tensor; OutOfRangeError where
        an entry is NaN or +inf, a row is -inf throughout, or C is above 65,535; MissingExtraError
        where Numba is not installed.
    Source: notes, generate > probs = F.softmax(logits, dim=1) > torch.multinomial.
    """

    def __init__(self, table: Table) -> None:
        check_there()
        from reference.fast import kernels  # noqa: PLC0415  Numba is optional

        self.vocab_size = _checked(table)
        self.device = table.device
        entries = np.empty(self.vocab_size**2, np.int64)
        law = table.detach().double().softmax(dim=1).cpu().numpy()  # (C, C)
        kernels.build_alias(law, entries)
        self._entries = entries
        self._on_device = torch.from_numpy(entries).to(self.device)

    def distance_bound(self, n: int) -> float:
        """Bound the total variation between the law of the next n tokens and the table's.

        A draw has 32 bits and a threshold 31: a column's share of either is off by at most 2^-32,
        and so is the whole law of a token by (C + 1) 2^-32; n of them add up. In particular, a
        token with a probability below 2^-32 / C is never drawn.
        """
        return min(1.0, n * (self.vocab_size + 1) / 2**32)

    def generate(
        self,
        idx: Ids,
        max_new_tokens: int,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        first_row: int = 0,
    ) -> Int64[Tensor, "B T+{max_new_tokens}"]:
        """Continue each sequence; the same seed gives the same tokens.

        Without a seed, one is drawn from `generator`, or from torch's global stream. A longer text
        begins as a shorter one does. Part of a batch, from row b on, gets the tokens that it has in
        the whole with first_row = b.

        Some seeds share streams: with seed + 2k * 0x9E3779B97F4A7C15 (mod 2^64), row r draws what
        row r + k draws with seed. Seeds below 2^32 do so only for k above 2^31.

        Shape: idx (B, T) -> (B, T + max_new_tokens), int64, of which the first T are idx.
        Raises: NotAnIntegerError, OutOfRangeError if a number is not an integer, is negative or
            is too large: the seed must be below 2^63, and so must every row's number; what the
            reference's forward raises if idx is not good.
        Source: notes, generate > for _ in range(max_new_tokens) > (B, T+1) > return.
        """
        check_count("max_new_tokens", max_new_tokens, minimum=0)
        check_layout("idx", idx, shape="(B, T)")
        check_count("first_row", first_row, minimum=0, maximum=SEEDS - len(idx))
        check_tokens("idx", idx, vocab_size=self.vocab_size)
        if seed is None:
            where = "cpu" if generator is None else generator.device
            seed = int(torch.randint(SEEDS - 1, (), generator=generator, device=where))
        check_count("seed", seed, minimum=0, maximum=SEEDS - 1)
        B, T = idx.shape
        out = torch.empty((B, T + max_new_tokens), dtype=torch.int64, device=idx.device)
        out[:, :T] = idx
        if max_new_tokens:
            continue_rows = self._on_cuda if idx.is_cuda else self._on_cpu
            continue_rows(out, T, seed, first_row)
        return out

    def _on_cpu(self, out: Ids, T: int, seed: int, first_row: int) -> None:
        from reference.fast import kernels  # noqa: PLC0415  Numba is optional
        from reference.fast.instructions import LANES  # noqa: PLC0415  likewise

        B, length = out.shape
        array, key = out.numpy(), np.uint64(seed)
        begins = range(0, B, LANES)

        def work(_part: int, begin: int) -> None:
            end = min(begin + LANES, B)
            kernels.sample_rows(
                self._entries, self.vocab_size, key, first_row, array, T, begin, end
            )

        by_pieces(work, begins, most=min(len(begins), B * (length - T) // ENOUGH))

    def _on_cuda(self, out: Ids, T: int, seed: int, first_row: int) -> None:
        from reference.fast import kernels  # noqa: PLC0415  Numba is optional

        streams = np.empty((2, len(out)), np.uint64)
        kernels.row_streams(np.uint64(seed), first_row, streams)
        starts, strides = torch.from_numpy(streams.view(np.int64)).to(out.device)
        cuda.sample(self._on_device.to(out.device), starts, strides, out, prompt=T)


def _checked(table: Table) -> int:
    """Give C.

    Raises: NotATensorError, RankError, OutOfRangeError.
    """
    if not isinstance(table, Tensor):
        raise NotATensorError(
            f"table is a {type(table).__name__}; it must be a torch.Tensor (C, C)"
        )
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):  # noqa: PLR2004  rows and columns
        raise RankError(f"table has shape {tuple(table.shape)}; it must be (C, C)")
    if len(table) > MOST:
        raise OutOfRangeError(f"table has {len(table)} rows; the sampler takes at most {MOST}")
    bad = (table.isnan() | table.isposinf()).nonzero()
    if len(bad):
        i, j = bad[0].tolist()
        raise OutOfRangeError(
            f"table[{i}, {j}] is {table[i, j].item()}; a logit must be a number below +inf"
        )
    empty = table.isneginf().all(dim=1).nonzero()
    if len(empty):
        raise OutOfRangeError(
            f"table[{empty[0].item()}] is -inf throughout; some token must be able to follow"
        )
    return len(table)
