"""Counting and sampling: the engine against the oracle, and the sampler's law to the last draw."""

import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path
from threading import Event, current_thread
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from reference import fast
from reference.errors import (
    DtypeError,
    NotAnIntegerError,
    NotANumberError,
    NotATensorError,
    OutOfRangeError,
    RankError,
    TokenRangeError,
    TooShortError,
)
from reference.fast import fitting, sampling, threads
from reference.fast.instructions import LANES, STEPS
from reference.oracle.counts import bigram_counts, counting_optimum, cross_entropy, entropy_floor
from reference.oracle.law import false_alarm_bound, joint_law
from reference.oracle.learning import softmax

FOREIGN = np.dtype(np.int64).newbyteorder()
"""int64 in the byte order that this machine does not have."""

ALARM = 1e-9
"""The chance, at most, that a right sampler fails one of the statistical tests."""


@pytest.fixture(params=[1, 2, 3])
def several(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


# -- counting --


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint16", "uint8"])
@pytest.mark.parametrize("kind", ["tensor", "array", "memmap"])
def test_counts_are_the_oracles(
    dtype: str, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fitting, "PIECE", 100)
    monkeypatch.setattr(fitting, "ENOUGH", 100)
    monkeypatch.setattr(fitting, "AT_ONCE", 5_000)  # in pieces
    stream = np.random.default_rng(0).integers(0, 7, 12_345).astype(dtype)
    expected = bigram_counts(stream.astype(np.int64), 7)
    tokens: Any = stream
    if kind == "tensor":
        tokens = torch.from_numpy(stream)
    elif kind == "memmap":
        stream.tofile(tmp_path / "tokens.bin")
        tokens = np.memmap(tmp_path / "tokens.bin", dtype=dtype, mode="r")
    seen: list[tuple[int, int]] = []
    counts = fast.count(tokens, 7, progress=lambda done, whole: seen.append((done, whole)))
    assert counts.tolist() == expected.tolist()
    assert seen == [(5_001, 12_345), (10_001, 12_345), (12_345, 12_345)]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=40), st.integers(5, 9))
def test_counts_of_any_text_are_the_oracles(tokens: list[int], C: int) -> None:
    counts = fast.count(torch.tensor(tokens), C)
    assert counts.tolist() == bigram_counts(tokens, C).tolist()


@pytest.mark.usefixtures("own_checks_only")
def test_a_count_takes_numpys_integers() -> None:
    tokens = torch.tensor([0, 1, 1])
    places: Any = {"begin": np.int64(0), "end": np.uint8(3)}
    assert fast.count(tokens, np.int64(2), **places).tolist() == [[0, 1], [0, 1]]  # type: ignore[arg-type]  # as checks allow


def test_a_vocabulary_of_one_can_be_counted() -> None:
    assert fast.count(torch.zeros(9, dtype=torch.int64), 1).tolist() == [[8]]
    assert fast.fit(torch.zeros(9, dtype=torch.int64), 1, smoothing=fast.Exact()).tolist() == [[0]]


def test_the_exact_fit_is_the_optimum(twin: Any) -> None:
    table = fast.fit(twin.train, 65, smoothing=fast.Exact()).double().numpy()
    counts = bigram_counts(twin.train.numpy(), 65)
    np.testing.assert_allclose(table, counting_optimum(counts), rtol=1e-6, atol=1e-7)
    # The loss is flat at its least value, so that float32's rounding does not show.
    assert cross_entropy(table, counts) - entropy_floor(counts) == pytest.approx(0, abs=1e-12)


def test_an_unseen_pair_is_as_the_smoothing_says() -> None:
    tokens = torch.tensor([0, 1, 0, 1, 0, 0])
    exact = fast.fit(tokens, 3, smoothing=fast.Exact())
    expected = [[1 / 3, 2 / 3, 0], [1, 0, 0], [1, 1, 1]]  # nothing follows 2: zeros, as logits
    torch.testing.assert_close(exact.exp(), torch.tensor(expected))
    added = fast.fit(tokens, 3, smoothing=fast.Additive(k=0.5))
    expected = [[1.5 / 4.5, 2.5 / 4.5, 0.5 / 4.5], [2.5 / 3.5, 0.5 / 3.5, 0.5 / 3.5], [1 / 3] * 3]
    torch.testing.assert_close(added.exp(), torch.tensor(expected))


@pytest.mark.parametrize("k", [5e-324, 1e-323, 1e-300])
def test_a_tiny_addition_makes_a_finite_table(k: float) -> None:
    table = fast.fit(torch.tensor([0, 1] * 99), 3, smoothing=fast.Additive(k=k))
    unseen = math.log(k) - math.log(99)
    torch.testing.assert_close(table[0], torch.tensor([unseen, 0.0, unseen]))
    assert table[2].tolist() == pytest.approx([-math.log(3)] * 3)
    assert table.isfinite().all()


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("place", [0, 1, 4_999, 5_000, 8_191, 12_344])
@pytest.mark.parametrize("value", [7, -1, 2**40])
def test_the_first_token_out_of_range_is_named(
    place: int, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "PIECE", 100)
    monkeypatch.setattr(fitting, "ENOUGH", 100)
    tokens = torch.zeros(12_345, dtype=torch.int64)
    tokens[place] = value
    tokens[-1] = 9
    with pytest.raises(TokenRangeError, match=rf"^tokens\[{place}\] is {tokens[place]};.*0 to 6"):
        fast.count(tokens, 7)


@pytest.mark.usefixtures("own_checks_only")
def test_what_cannot_be_counted_is_refused() -> None:
    good = torch.zeros(9, dtype=torch.int64)
    for tokens, error, words in [
        ([0, 1], NotATensorError, "a list; it must be a torch.Tensor or a numpy.ndarray"),
        (good.short(), DtypeError, "int16; it must be one of int64, int32, uint16, uint8"),
        (good.view(3, 3), RankError, r"2 dimensions, shape \(3, 3\)"),
        (good[:1], TooShortError, "1 tokens"),
        (good.numpy().astype(FOREIGN), DtypeError, "in this machine's byte order"),
    ]:
        with pytest.raises(error, match=words):
            fast.count(tokens, 2)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(OutOfRangeError, match="vocab_size is 0"):
        fast.count(good, 0)
    for k, kind in [
        (0.0, OutOfRangeError),
        (float("nan"), OutOfRangeError),
        ("1", NotANumberError),
    ]:
        with pytest.raises(kind, match="k is"):
            fast.Additive(k=k)  # type: ignore[arg-type]  # on purpose


# -- threads --


def test_no_part_outlives_an_error_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    may_end, done = Event(), Event()

    def waiting(others: list[Any]) -> None:
        may_end.set()  # the other part continues only when it is waited for
        wait(others)

    def work(part: int, _parts: int) -> None:
        if part == 0:
            raise ZeroDivisionError
        may_end.wait()
        done.set()

    monkeypatch.setattr(threads, "wait", waiting)
    with pytest.raises(ZeroDivisionError):
        threads.in_parts(work, most=2)
    ended = done.is_set()
    may_end.set()
    assert ended


def test_a_forked_process_starts_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(threads, "_pools", {})
    workers = []
    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        for _again in range(2):  # the second call of a process needs no new threads
            threads.in_parts(
                lambda part, _parts: workers.append(current_thread()) if part else None, most=2
            )
    assert workers[0] is workers[1]
    assert workers[2] is workers[3]
    assert workers[1] is not workers[2]


def test_every_part_is_done_once_and_errors_come_through(several: int) -> None:
    done: list[tuple[int, int]] = []
    threads.in_parts(lambda part, parts: done.append((part, parts)), most=8)
    assert sorted(done) == [(part, several) for part in range(several)]
    for bad in range(several):

        def work(part: int, _parts: int, bad: int = bad) -> None:
            done.append((part, -1))
            if part == bad:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            threads.in_parts(work, most=8)
    assert len(done) == several + several**2
    threads.in_parts(lambda part, parts: done.append((part, parts)), most=0)
    assert done[-1] == (0, 1)


def test_every_piece_is_done_once_by_whoever_is_free(several: int) -> None:
    done: list[tuple[int, int]] = []
    threads.by_pieces(lambda part, begin: done.append((part, begin)), range(5, 500, 7), most=8)
    assert sorted(begin for _part, begin in done) == list(range(5, 500, 7))
    assert {part for part, _begin in done} <= set(range(several))


@pytest.mark.usefixtures("several")
def test_where_one_piece_fails_no_more_are_taken() -> None:
    done: list[int] = []

    def work(_part: int, begin: int) -> None:
        if begin == 3:
            raise KeyboardInterrupt
        done.append(begin)
        time.sleep(0.001)

    with pytest.raises(KeyboardInterrupt):
        threads.by_pieces(work, range(2_000), most=8)
    assert len(done) < 1_000


# -- the sampler, bit by bit --

MASK, LOW = 2**64 - 1, 2**32 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    z &= MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def mix_odd(z: int) -> int:
    z &= MASK
    z = ((z ^ z >> 33) * 0xFF51AFD7ED558CCD) & MASK
    z = ((z ^ z >> 33) * 0xC4CEB9FE1A85EC53) & MASK
    z = (z ^ z >> 33) | 1
    return z if (z ^ z >> 1).bit_count() >= 24 else z ^ 0xAAAAAAAAAAAAAAAA


def draws(seed: int, row: int) -> Iterator[int]:
    """The 32 bits of each token of a row, in plain integers."""
    at, stride = mix(seed + (2 * row + 1) * GOLDEN), mix_odd(seed + (2 * row + 2) * GOLDEN)
    while True:
        at += stride
        yield mix(at) >> 32
        yield mix(at) & LOW


def continued(sampler: fast.Sampler, token: int, n: int, seed: int, row: int) -> list[int]:
    return drawn_from(sampler._entries, sampler.vocab_size, token, n, seed, row)


def drawn_from(  # noqa: PLR0913, PLR0917  as a kernel takes them
    entries: Any, C: int, token: int, n: int, seed: int, row: int
) -> list[int]:
    made = []
    for draw, _ in zip(draws(seed, row), range(n), strict=False):
        column, fraction = divmod(draw * C, 2**32)
        threshold, alias = divmod(int(entries[token * C + column]), 2**32)
        token = column if fraction >> 1 < threshold else alias // C
        made.append(token)
    return made


def test_the_generator_is_splitmix64() -> None:
    # The first numbers of the published generator from the seed 1234567.
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [mix(1234567 + (k + 1) * GOLDEN) for k in range(3)] == first


@pytest.mark.parametrize("C", [1, 2, 65, 300])
@pytest.mark.parametrize("B", [1, LANES - 1, LANES, 2 * LANES + 3])
@pytest.mark.parametrize("n", [0, 1, STEPS - 1, STEPS, 3 * STEPS + 3])
def test_tokens_are_those_of_the_law_in_plain_integers(C: int, B: int, n: int) -> None:
    sampler = fast.Sampler(torch.randn(C, C) * 2)
    idx = torch.randint(C, (B, 2))
    tokens = sampler.generate(idx, n, seed=2**63 - 1, first_row=4)
    assert torch.equal(tokens[:, :2], idx)
    for row, (_first, last, *made) in enumerate(tokens.tolist()):
        assert made == continued(sampler, last, n, 2**63 - 1, row + 4)


@pytest.mark.parametrize("C", [1_000, 4_097, 30_011])
def test_every_token_of_a_large_vocabulary_is_drawn_as_in_plain_integers(C: int) -> None:
    from reference.fast import kernels  # noqa: PLC0415  an extra

    entries = np.zeros(C * C, np.int64)  # in memory only where it is written
    rng = np.random.default_rng(C)
    aliases = rng.permutation(C) * C
    entries[:C] = (rng.integers(2**31, size=C) << 32) + aliases
    # Row 0 leads everywhere. All other rows lead back to it, and about half of all tokens are 0.
    for B in (1, LANES):  # by itself, and side by side
        out = np.zeros((B, 4 * C // B + 1), np.int64)
        kernels.sample_rows(entries, C, np.uint64(5), 0, out, 1, 0, B)
        for row in range(B):
            assert out[row, 1:].tolist() == drawn_from(entries, C, 0, 4 * C // B, 5, row)
        assert len(np.unique(out)) > 0.7 * C


def test_the_last_rows_stream_is_as_in_plain_integers() -> None:
    sampler = fast.Sampler(torch.randn(5, 5))
    idx, last = torch.zeros((1, 1), dtype=torch.int64), 2**63 - 1
    tokens = sampler.generate(idx, 9, seed=0, first_row=last)
    assert tokens[0, 1:].tolist() == continued(sampler, 0, 9, 0, last)


def test_seeds_two_golden_ratios_apart_share_their_streams() -> None:
    sampler = fast.Sampler(TABLES["ordinary"])
    idx = torch.zeros((6, 1), dtype=torch.int64)
    tokens = sampler.generate(idx, 20, seed=7)
    shifted = sampler.generate(idx, 20, seed=(7 + 2 * 2 * GOLDEN) % 2**64)
    assert torch.equal(shifted[:4], tokens[2:])


def test_a_token_below_the_resolution_of_a_column_is_never_drawn() -> None:
    for power, drawn in ((-31.9, True), (-32.1, False)):
        chances = torch.tensor([0.5, 0.5, 2.0**power / 3], dtype=torch.float64)
        law = law_of(fast.Sampler(chances.log().expand(3, 3)))
        assert bool(law[0, 2] > 0) is drawn


def test_streams_for_another_device_are_the_same() -> None:
    from reference.fast import kernels  # noqa: PLC0415  an extra

    streams = np.empty((2, 3), np.uint64)
    kernels.row_streams(np.uint64(5), 7, streams)
    for row in range(3):
        place = 2 * (7 + row)
        assert int(streams[0, row]) == mix(5 + (place + 1) * GOLDEN)
        assert int(streams[1, row]) == mix_odd(5 + (place + 2) * GOLDEN)


def test_a_stride_with_too_few_changes_is_changed() -> None:
    from reference.fast import kernels  # noqa: PLC0415  an extra

    odd = [kernels.mix_odd(np.uint64(z)) for z in range(5_000)]
    assert [int(one) for one in odd] == [mix_odd(z) for z in range(5_000)]
    assert all((int(one) ^ int(one) >> 1).bit_count() >= 24 for one in odd)


# -- its law, exactly --


def law_of(sampler: fast.Sampler) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The chance of each token after each, by counting the 2^32 draws that lead to it.

    Column c has the draws with draw * C in [c 2^32, (c + 1) 2^32), and keeps those below its
    threshold, which is counted in halves of 2^32.
    """
    C = sampler.vocab_size
    law = np.zeros((C, C))
    for i in range(C):
        for c in range(C):
            threshold, alias = divmod(int(sampler._entries[i * C + c]), 2**32)
            begin, keeps, end = (
                -(-at // C) for at in (c << 32, (c << 32) + 2 * threshold, (c + 1) << 32)
            )
            law[i, c] += (keeps - begin) / 2**32
            law[i, alias // C] += (end - keeps) / 2**32
    return law


TABLES = {
    "even": torch.zeros(7, 7),
    "ordinary": torch.randn(65, 65, generator=torch.Generator().manual_seed(1)),
    "peaked": torch.randn(40, 40, generator=torch.Generator().manual_seed(2)) * 30,
    "one token": torch.zeros(1, 1),
    "certain": torch.where(torch.eye(5) > 0, 0.0, -torch.inf),
    "impossible pairs": torch.randn(9, 9, generator=torch.Generator().manual_seed(3))
    .where(torch.rand(9, 9, generator=torch.Generator().manual_seed(4)) > 0.5, -torch.inf)
    .fill_diagonal_(0.0),
    "large logits": torch.randn(6, 6, generator=torch.Generator().manual_seed(5)) * 1e4,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_law_is_the_tables_within_the_stated_bound(name: str) -> None:
    table = TABLES[name]
    sampler = fast.Sampler(table)
    law, exact = law_of(sampler), softmax(table.double().numpy())
    np.testing.assert_allclose(law.sum(axis=1), 1, atol=1e-12)
    distance = np.abs(law - exact).sum(axis=1).max() / 2
    assert distance <= sampler.distance_bound(1)
    # What cannot follow is drawn only as often as a column that is full is not kept.
    assert law[exact == 0].max(initial=0) == 0


def test_the_law_of_three_tokens_is_within_the_stated_bound() -> None:
    table = TABLES["ordinary"][:5, :5]
    sampler = fast.Sampler(table)
    step = law_of(sampler)
    three = np.einsum("b,bc,cd->bcd", step[2], step, step)
    distance = np.abs(three - joint_law(table.double().numpy(), 2, 3)).sum() / 2
    assert 0 < distance <= sampler.distance_bound(3)


def test_the_bound_grows_with_the_text_and_ends_at_one() -> None:
    sampler = fast.Sampler(TABLES["ordinary"])
    assert sampler.distance_bound(0) == 0
    assert sampler.distance_bound(1000) == pytest.approx(1.54e-5, rel=1e-2)
    assert sampler.distance_bound(10**12) == 1


# -- its law, as drawn --


def alarm(tokens: Tensor, law: Any) -> float:
    """Bound the chance that the law itself gives such tokens, of which each row is one draw."""
    C = law.shape[0]
    places = sum(tokens[:, at] * C ** (tokens.shape[1] - 1 - at) for at in range(tokens.shape[1]))
    counts = torch.bincount(torch.as_tensor(places), minlength=law.size).numpy()
    return false_alarm_bound(counts, law.reshape(-1))


@pytest.mark.parametrize("split", [1, 1_600_000])
def test_three_tokens_in_a_row_have_their_joint_law(split: int) -> None:
    table = TABLES["ordinary"][:6, :6] * 2
    idx = torch.full((1_600_000 // split, 1), 4)
    # Many short rows, or one long text that comes to token 4 again and again.
    tokens = fast.Sampler(table).generate(idx, 3 if split == 1 else split * 12, seed=11)
    if split > 1:
        text = tokens[0, 1:]
        at = (text[:-3] == 4).nonzero().flatten()
        at = at[torch.diff(at, prepend=torch.tensor([-9])) > 3]  # draws that share no token
        tokens = torch.stack([text[at + later] for later in range(4)], dim=1)
    law = joint_law(table.double().numpy(), 4, 3)
    assert alarm(tokens[:, 1:], law) > ALARM
    crooked = joint_law(0.98 * table.double().numpy(), 4, 3)
    assert alarm(tokens[:, 1:], crooked) < ALARM  # a temperature of 0.98 would be noticed


@pytest.mark.parametrize("apart", [1, 2, LANES])
def test_rows_are_independent(apart: int) -> None:
    table = TABLES["ordinary"][:6, :6]
    tokens = fast.Sampler(table).generate(
        torch.zeros((200_000 + apart, 1), dtype=torch.int64), 2, seed=3
    )
    one = joint_law(table.double().numpy(), 0, 1)
    two = joint_law(table.double().numpy(), 0, 2).sum(axis=0)
    for first, second, law in [(1, 1, np.outer(one, one)), (1, 2, np.outer(one, two))]:
        pairs = torch.stack((tokens[:-apart, first], tokens[apart:, second]), dim=1)
        pairs = pairs[torch.arange(len(pairs)) // apart % 2 == 0]  # draws that share no row
        assert alarm(pairs, law) > ALARM


def test_seeds_are_independent() -> None:
    from reference.fast import kernels  # noqa: PLC0415  an extra

    entries = fast.Sampler(torch.zeros(6, 6))._entries
    rows = np.zeros((20_000, 3), np.int64)
    for seed in range(len(rows)):  # each the first row of a batch of its own
        kernels.sample_rows(entries, 6, np.uint64(seed), 0, rows[seed : seed + 1], 1, 0, 1)
    tokens = torch.from_numpy(rows[:, 1:])
    assert alarm(tokens, np.full((6, 6), 1 / 36)) > ALARM
    follow = torch.stack((tokens[:-1:2, 0], tokens[1::2, 0]), dim=1)
    assert alarm(follow, np.full((6, 6), 1 / 36)) > ALARM


# -- the same tokens --


def test_tokens_do_not_depend_on_threads_or_on_how_the_batch_is_split(
    several: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = fast.Sampler(TABLES["ordinary"])
    idx = torch.randint(65, (3 * LANES + 5, 1))
    monkeypatch.setattr(sampling, "ENOUGH", 10**9)  # never a second thread
    expected = sampler.generate(idx, 21, seed=8)
    monkeypatch.setattr(sampling, "ENOUGH", 1)
    assert torch.equal(sampler.generate(idx, 21, seed=8), expected), several
    for at in (1, LANES, 2 * LANES + 1):
        parts = [
            sampler.generate(idx[:at], 21, seed=8),
            sampler.generate(idx[at:], 21, seed=8, first_row=at),
        ]
        assert torch.equal(torch.cat(parts), expected)


def test_a_longer_text_begins_as_a_shorter_one() -> None:
    sampler = fast.Sampler(TABLES["ordinary"])
    idx = torch.zeros((LANES + 1, 1), dtype=torch.int64)
    long = sampler.generate(idx, 40, seed=8)
    for n in (1, STEPS, 39):
        assert torch.equal(sampler.generate(idx, n, seed=8), long[:, : n + 1])
    assert not torch.equal(sampler.generate(idx, 40, seed=9), long)


def test_without_a_seed_each_call_draws_one_from_the_generator() -> None:
    sampler = fast.Sampler(TABLES["ordinary"])
    idx = torch.zeros((1, 1), dtype=torch.int64)
    generator = torch.Generator().manual_seed(1)
    one, two = (sampler.generate(idx, 40, generator=generator) for _ in range(2))
    assert not torch.equal(one, two)
    again = sampler.generate(idx, 40, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again, one)
    torch.manual_seed(3)
    one = sampler.generate(idx, 40)
    torch.manual_seed(3)
    assert torch.equal(sampler.generate(idx, 40), one)


def test_the_sampler_keeps_the_table_that_it_was_given() -> None:
    table = TABLES["certain"].clone()
    sampler = fast.Sampler(table)
    table.fill_(0.0)
    idx = torch.full((2, 1), 3)
    assert sampler.generate(idx, 9, seed=0).eq(3).all()
    assert idx.eq(3).all()


@pytest.mark.usefixtures("own_checks_only")
def test_what_cannot_be_sampled_is_refused() -> None:
    for table, error, words in [
        ([[0.0]], NotATensorError, "a list"),
        (torch.zeros(2, 3), RankError, r"shape \(2, 3\)"),
        (torch.zeros(0, 0), RankError, r"shape \(0, 0\)"),
        (torch.tensor([[0.0, torch.nan], [0.0, 0.0]]), OutOfRangeError, r"table\[0, 1\] is nan"),
        (torch.tensor([[0.0, 0.0], [torch.inf, 0.0]]), OutOfRangeError, r"table\[1, 0\] is inf"),
        (
            torch.tensor([[0.0, 0.0], [-torch.inf, -torch.inf]]),
            OutOfRangeError,
            r"table\[1\] is -inf",
        ),
        (torch.zeros(1).expand(65_536, 65_536), OutOfRangeError, "65536 rows.*at most 65535"),
    ]:
        with pytest.raises(error, match=words):
            fast.Sampler(table)  # type: ignore[arg-type]  # on purpose
    sampler = fast.Sampler(torch.zeros(3, 3))
    idx = torch.zeros((1, 1), dtype=torch.int64)
    bad: list[tuple[dict[str, object], type[Exception], str]] = [
        ({"seed": -1}, OutOfRangeError, "seed is -1"),
        ({"seed": 2**63}, OutOfRangeError, "seed is 9223372036854775808"),
        ({"seed": 1.0}, NotAnIntegerError, "seed is 1.0"),
        ({"first_row": -1}, OutOfRangeError, "first_row is -1"),
        (
            {"first_row": 2**63},
            OutOfRangeError,
            "first_row is 9223372036854775808; it must be 0 to",
        ),
        ({"max_new_tokens": -1}, OutOfRangeError, "max_new_tokens is -1"),
        ({"idx": idx + 3}, TokenRangeError, r"idx\[0, 0\] is 3"),
        ({"idx": idx[0]}, RankError, "idx has 1 dimensions"),
    ]
    good: dict[str, object] = {"idx": idx, "max_new_tokens": 2, "seed": 0}
    for options, kind, words in bad:
        with pytest.raises(kind, match=words):
            sampler.generate(**(good | options))  # type: ignore[arg-type]  # on purpose


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(0, 2**31))
def test_any_tables_law_is_within_the_bound(C: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(C, C, generator=generator) * torch.rand(C, 1, generator=generator) * 50
    sampler = fast.Sampler(table)
    distance = np.abs(law_of(sampler) - softmax(table.double().numpy())).sum(axis=1).max() / 2
    assert distance <= sampler.distance_bound(1)
