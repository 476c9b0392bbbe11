"""The embedded corpus: Tiny Shakespeare's twin, rebuilt from its bigram counts.

To a bigram model, a text *is* its pair counts: every text with the same counts gives every table
the same loss, the same best table and the same entropy floor. So the package carries the two
65 x 65 count tables, and lays an Euler trail through each: a walk that takes every pair exactly
as often as the real text does. It also carries the windows that the notes' seeds draw, and lays
the trail so that they stand where they stand in the real text. `make_twin` makes the file of tables
from the real text.
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from reference.errors import TwinError
from reference.oracle.counts import Counts

TABLES = Path(__file__).with_name("twin.npz")
"""The count tables and windows that `load_twin` rebuilds the corpus from."""

MOST_CHARACTERS = 256
"""Distinct characters of a text: one byte each."""

SHA256 = "872bda659f185a44da450f1a0f77a8225a9258aa5d9f573ca8e120f9dd1494bc"
"""Of the twin's tokens, train then val, one byte each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """All that is kept of a text.

    Shape: train and val counts (C, C); offsets (W,) into the train split, increasing, and the
    windows (W, L) that stand there.
    """

    characters: str
    train: Counts
    val: Counts
    offsets: Int64[np.ndarray, "W"]
    windows: Int64[np.ndarray, "W L"]

    def save(self, path: Path) -> None:
        """Write the tables in the smallest integers that hold them.

        Raises: TwinError where a token does not fit into a byte.
        """
        if len(self.characters) > MOST_CHARACTERS:
            raise TwinError(
                f"the text has {len(self.characters)} distinct characters; a twin holds at most "
                f"{MOST_CHARACTERS}"
            )
        with path.open("wb") as out:  # a name alone would get ".npz" appended
            np.savez_compressed(
                out,
                characters=np.frombuffer(self.characters.encode("utf-32-le"), dtype="<u4"),
                train=self.train.astype(np.uint32),
                val=self.val.astype(np.uint32),
                offsets=self.offsets.astype(np.uint32),
                windows=self.windows.astype(np.uint8),
            )

    @classmethod
    def load(cls, path: Path) -> "Tables":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            return cls(
                characters=kept["characters"].tobytes().decode("utf-32-le"),
                train=kept["train"].astype(np.int64),
                val=kept["val"].astype(np.int64),
                offsets=kept["offsets"].astype(np.int64),
                windows=kept["windows"].astype(np.int64),
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Twin:
    """A text with the same bigram counts as another.

    Shape: train (N_train,), val (N_val,), int64.
    """

    characters: str
    train: Int64[np.ndarray, "N_train"]
    val: Int64[np.ndarray, "N_val"]

    def sha256(self) -> str:
        """Digest the tokens, train then val, one byte each."""
        tokens = np.concatenate([self.train, self.val]).astype(np.uint8)
        return hashlib.sha256(tokens.tobytes()).hexdigest()


def load_twin() -> Twin:
    """Rebuild the embedded corpus: the same tokens on every platform.

    Raises: TwinError where they are not the recorded ones.
    """
    twin = build_twin(Tables.load(TABLES))
    if twin.sha256() != SHA256:
        raise TwinError(
            f"the embedded corpus was rebuilt with SHA-256 {twin.sha256()}, not {SHA256}: "
            f"{TABLES} is damaged, so install the package again"
        )
    return twin


def build_twin(tables: Tables) -> Twin:
    """Lay both splits' trails, with each window at its offset in the train split.

    Raises: TwinError where no such text exists.
    """
    spare = tables.train.copy()
    cycles = [_close(window.tolist(), spare) for window in tables.windows]
    train = euler_trail(spare)
    settled = 0  # up to this place, the walk is final
    for offset, cycle in zip(tables.offsets.tolist(), cycles, strict=True):
        _insert(train, cycle, offset, settled)
        settled = offset + len(cycle) - 1
    return Twin(
        characters=tables.characters,
        train=np.array(train, dtype=np.int64),
        val=np.array(euler_trail(tables.val), dtype=np.int64),
    )


def euler_trail(counts: Counts) -> list[int]:
    """Walk so that every pair (i, j) is taken exactly counts[i, j] times, in a mixed order.

    Each token's ways out are shuffled, except that its last one leads toward the end of the walk:
    so the walk can stop only at the end, with nothing left over.

    Shape: (C, C) -> counts.sum() + 1 tokens.
    Raises: TwinError where no walk takes every pair.
    """
    surplus = counts.sum(axis=1) - counts.sum(axis=0)  # a walk leaves its start once more
    ends = np.flatnonzero(surplus)
    if not counts.any():
        raise TwinError("no walk takes every pair: there is none")
    if not ends.size:
        start = end = int(np.flatnonzero(counts.sum(axis=1))[0])
    elif sorted(surplus[ends]) == [-1, 1]:
        start, end = int(surplus.argmax()), int(surplus.argmin())
    else:
        raise TwinError(f"no walk takes every pair: tokens {ends.tolist()} are left unbalanced")

    toward_end = _steps_toward(end, counts)
    # The raw stream of PCG64 is the same in every NumPy version, unlike its shuffle.
    stream = np.random.PCG64(1337)
    ways_out: list[list[int]] = []
    for token, row in enumerate(counts):
        last = [toward_end[token]] if token in toward_end else []
        ways = np.repeat(np.arange(len(row)), row - np.bincount(last, minlength=len(row)))
        order = np.argsort(stream.random_raw(ways.size), kind="stable")
        ways_out.append(last + ways[order].tolist())  # taken from the right

    trail = [start]
    while ways_out[trail[-1]]:
        trail.append(ways_out[trail[-1]].pop())
    if len(trail) != counts.sum() + 1:
        raise TwinError("no walk takes every pair: some tokens cannot be reached from the others")
    return trail


def _steps_toward(end: int, counts: Counts) -> dict[int, int]:
    """For every token that leads to `end`, the next one on a shortest way there."""
    step: dict[int, int] = {}
    queue = deque([end])
    while queue:
        there = queue.popleft()
        for token in np.flatnonzero(counts[:, there]).tolist():
            if token != end and token not in step:
                step[token] = there
                queue.append(token)
    return step


def _close(window: list[int], spare: Counts) -> list[int]:
    """Lead a window back to its first token, and take the cycle's pairs out of `spare`.

    A cycle can be put into a walk wherever its first token stands.
    """
    cycle = window.copy()
    for pair in pairwise(window):
        spare[pair] -= 1
    step = _steps_toward(window[0], spare)
    while cycle[-1] != window[0] and cycle[-1] in step:
        cycle.append(step[cycle[-1]])
        spare[cycle[-2], cycle[-1]] -= 1
    if spare.min() < 0 or cycle[-1] != window[0]:
        raise TwinError(f"the counts do not hold the window {window} as a part of a cycle")
    return cycle


def _insert(trail: list[int], cycle: list[int], offset: int, settled: int) -> None:
    """Put a cycle into a walk, in place, so that it starts at `offset`.

    The walk stands at the cycle's first token somewhere before the offset. What is missing up to
    it is filled by a loop of just that length, moved there from further on in the walk.
    """
    try:
        last = min(offset, len(trail) - 1)
        at = next(p for p in range(last, settled - 1, -1) if trail[p] == cycle[0])
        if missing := offset - at:
            home = {trail[p]: p for p in range(settled, at + 1)}
            start = next(
                p
                for p in range(offset, len(trail) - missing)
                if trail[p] == trail[p + missing] and trail[p] in home
            )
            loop = trail[start + 1 : start + missing + 1]
            del trail[start + 1 : start + missing + 1]
            at = home[loop[-1]]
            trail[at + 1 : at + 1] = loop
    except StopIteration:
        raise TwinError(f"the window {cycle} does not fit at offset {offset}") from None
    trail[offset + 1 : offset + 1] = cycle[1:]
