import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, strategies as st

from reference.oracle.counts import (
    bigram_counts,
    cross_entropy,
    entropy_floor,
    transition_probabilities,
)

C = 5
texts = st.lists(st.integers(0, C - 1), min_size=2, max_size=80)
tables = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).normal(size=(C, C)) * 3)


def test_counts_by_hand() -> None:
    assert bigram_counts([0, 1, 1, 0, 1], 3).tolist() == [[0, 2, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("tokens", [[], [1]])
def test_fewer_than_two_tokens_have_no_pair(tokens: list[int]) -> None:
    assert bigram_counts(tokens, 3).tolist() == [[0] * 3] * 3


@given(texts)
def test_counts_are_of_every_pair_of_neighbours(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    for i in range(C):
        for j in range(C):
            assert counts[i, j] == list(pairwise(tokens)).count((i, j))


@pytest.mark.parametrize("tokens", [[0, 3], [-1, 0]])
def test_a_token_outside_the_vocabulary_is_refused(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="0 to 2"):
        bigram_counts(tokens, 3)


@given(texts)
def test_a_row_of_probabilities_is_its_counts_shared_out(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    probabilities = transition_probabilities(counts)
    for row, total, shares in zip(counts, counts.sum(axis=1), probabilities, strict=True):
        assert shares.tolist() == [count / total if total else 0.0 for count in row]


def test_floors_by_hand() -> None:
    assert entropy_floor(np.array([[0, 7], [3, 0]])) == 0  # the next token is certain
    assert entropy_floor(np.array([[2, 2], [5, 5]])) == pytest.approx(math.log(2), rel=1e-15)
    # Row 0 has 2 of 3 tokens and one bit, row 1 one and none.
    assert entropy_floor(np.array([[1, 1], [1, 0]])) == pytest.approx(2 / 3 * math.log(2))


@given(texts)
def test_the_floor_is_scipys_conditional_entropy(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    rows = counts[counts.any(axis=1)]
    shares = rows.sum(axis=1) / rows.sum()
    expected = float(shares @ scipy.stats.entropy(rows, axis=1))
    assert entropy_floor(counts) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_without_counts_there_is_no_floor() -> None:
    with pytest.raises(ValueError, match="no counts"):
        entropy_floor(np.zeros((3, 3), dtype=np.int64))


@given(texts, tables)
def test_the_loss_is_the_mean_of_scipys_log_softmax(tokens: list[int], table: np.ndarray) -> None:
    log_probabilities = scipy.special.log_softmax(table, axis=1)
    expected = -np.mean(log_probabilities[tokens[:-1], tokens[1:]])
    assert cross_entropy(table, bigram_counts(tokens, C)) == pytest.approx(expected, rel=1e-12)


@given(texts, tables)
def test_no_table_goes_below_the_floor(tokens: list[int], table: np.ndarray) -> None:
    counts = bigram_counts(tokens, C)
    assert cross_entropy(table, counts) > entropy_floor(counts)


@given(texts)
def test_the_counts_own_probabilities_reach_the_floor(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    table = np.log(np.maximum(transition_probabilities(counts), 1e-30))
    assert cross_entropy(table, counts) == pytest.approx(entropy_floor(counts), abs=1e-12)


def test_large_logits_do_not_overflow() -> None:
    table = np.array([[1e4, -1e4], [-1e4, 1e4]])
    assert cross_entropy(table, np.array([[1, 0], [0, 1]])) == 0
