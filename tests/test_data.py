import pytest
import scipy.stats
import torch
from hypothesis import given, strategies as st

from reference.corpus import Corpus
from reference.data import get_batch
from reference.errors import TooShortError

sizes = st.integers(min_value=1, max_value=20)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(sizes, sizes, st.integers(min_value=0, max_value=50), st.integers(0, 2**32))
def test_x_is_a_window_and_y_the_same_one_later(
    block_size: int, batch_size: int, more: int, seed: int
) -> None:
    data = torch.arange(block_size + 2 + more) * 7  # each token tells its place
    x, y = get_batch(data, block_size, batch_size, generator=stream(seed))
    assert x.shape == y.shape == (batch_size, block_size)
    assert x.dtype == y.dtype == torch.int64
    for row_x, row_y in zip(x, y, strict=True):
        start = int(row_x[0]) // 7
        assert 0 <= start <= more  # the notes' bound: never the very last window
        assert torch.equal(row_x, data[start : start + block_size])
        assert torch.equal(row_y, data[start + 1 : start + 1 + block_size])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32])
def test_the_types_that_files_have_give_the_same_int64_batches(dtype: torch.dtype) -> None:
    data = torch.randint(200, (90,), generator=stream(4))
    wanted = get_batch(data, 8, 32, generator=stream(5))
    found = get_batch(data.to(dtype), 8, 32, generator=stream(5))
    for ours, theirs in zip(wanted, found, strict=True):
        assert theirs.dtype == torch.int64
        assert torch.equal(theirs, ours)


def test_every_offset_is_drawn_alike() -> None:
    # 40,000 draws over 40 offsets; the chi-square test alarms falsely once in 1e9 seeds.
    data = torch.arange(8 + 1 + 40)
    x, _y = get_batch(data, 8, 40_000, generator=stream(1))
    counts = x[:, 0].bincount(minlength=40)
    assert len(counts) == 40
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 1e-9


def test_rows_are_drawn_independently() -> None:
    # The offsets of neighbouring rows, as a 10 x 10 table; one false alarm in 1e9 seeds.
    data = torch.arange(8 + 1 + 10)
    x, _y = get_batch(data, 8, 20_000, generator=stream(2))
    pairs = (x[0::2, 0] * 10 + x[1::2, 0]).bincount(minlength=100)
    assert scipy.stats.chisquare(pairs.numpy()).pvalue > 1e-9


def test_the_same_seed_draws_the_same_batch_and_the_next_draw_another(twin: Corpus) -> None:
    one, two = stream(3), stream(3)
    x, y = get_batch(twin.train, 8, 32, generator=one)
    again_x, again_y = get_batch(twin.train, 8, 32, generator=two)
    assert torch.equal(x, again_x)
    assert torch.equal(y, again_y)
    assert not torch.equal(x, get_batch(twin.train, 8, 32, generator=one)[0])


def test_a_batch_takes_one_draw_per_row_and_no_more() -> None:
    one, two = stream(4), stream(4)
    get_batch(torch.arange(100), 8, 32, generator=one)
    torch.randint(100 - 8 - 1, (32,), generator=two)
    assert torch.equal(one.get_state(), two.get_state())


def test_without_a_generator_the_global_stream_is_used_as_in_the_notes() -> None:
    torch.manual_seed(5)
    x, _y = get_batch(torch.arange(100), 8, 32)
    assert torch.equal(x, get_batch(torch.arange(100), 8, 32, generator=stream(5))[0])


def test_with_a_generator_the_global_stream_is_left_alone() -> None:
    before = torch.get_rng_state()
    get_batch(torch.arange(100), 8, 32, generator=stream(5))
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_shares_no_memory_with_the_data() -> None:
    data = torch.arange(100)
    x, y = get_batch(data, 8, 32)
    was_y = y.clone()
    x.fill_(-1)
    assert torch.equal(data, torch.arange(100))
    assert torch.equal(y, was_y)


@given(sizes)
def test_the_shortest_data_has_one_offset_and_any_shorter_is_refused(block_size: int) -> None:
    data = torch.arange(block_size + 2)
    x, _y = get_batch(data, block_size, 3)
    assert torch.equal(x, data[:block_size].expand(3, -1))
    with pytest.raises(
        TooShortError, match=f"{block_size + 1} tokens.*block_size {block_size}.*{block_size + 2}"
    ):
        get_batch(data[:-1], block_size, 3)
