import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, strategies as st
from torch.nn import functional as F

from reference.oracle.counts import (
    bigram_counts,
    counting_optimum,
    cross_entropy,
    entropy_floor,
    transition_probabilities,
)
from reference.oracle.law import (
    count_bound,
    divergence,
    false_alarm_bound,
    held,
    joint_law,
    law_after,
    sum_bound,
)
from reference.oracle.learning import AdamW, adamw_step, gradient, softmax

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


@pytest.mark.usefixtures("own_checks_only")
def test_tokens_that_are_no_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="float64; each must be an integer"):
        bigram_counts(np.array([0.5, 1.9]), 3)


def test_a_pair_that_cannot_be_costs_nothing_where_there_is_none() -> None:
    table = np.array([[0.0, -np.inf], [0.0, 0.0]])
    assert cross_entropy(table, np.array([[3, 0], [0, 0]])) == 0
    assert cross_entropy(table, np.array([[3, 1], [0, 0]])) == math.inf


@given(texts)
def test_a_row_of_probabilities_is_its_counts_shared_out(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    probabilities = transition_probabilities(counts)
    for row, total, shares in zip(counts, counts.sum(axis=1), probabilities, strict=True):
        assert shares.tolist() == [count / total if total else 0.0 for count in row]


def test_floors_by_hand() -> None:
    assert entropy_floor(np.array([[0, 7], [3, 0]])) == 0  # the next token is certain
    assert entropy_floor(np.array([[2, 2], [5, 5]])) == pytest.approx(math.log(2), rel=1e-15, abs=0)
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
    for call in (entropy_floor, lambda counts: cross_entropy(np.zeros((3, 3)), counts)):
        with pytest.raises(ValueError, match="^there are no counts; "):
            call(np.zeros((3, 3), dtype=np.int64))


@given(texts, tables)
def test_the_loss_is_the_mean_of_scipys_log_softmax(tokens: list[int], table: np.ndarray) -> None:
    log_probabilities = scipy.special.log_softmax(table, axis=1)
    expected = -np.mean(log_probabilities[tokens[:-1], tokens[1:]])
    assert cross_entropy(table, bigram_counts(tokens, C)) == pytest.approx(
        expected, rel=1e-12, abs=1e-15
    )


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
    table = np.array([[1e4, 0.0], [-1e4, -1e4]])  # each row by itself
    assert cross_entropy(table, np.array([[1, 0], [1, 1]])) == pytest.approx(2 / 3 * math.log(2))


# Learning


@given(texts, tables)
def test_the_gradient_is_torchs(tokens: list[int], table: np.ndarray) -> None:
    weight = torch.tensor(table, requires_grad=True)
    stream = torch.tensor(tokens)
    F.cross_entropy(weight[stream[:-1]], stream[1:]).backward()
    assert weight.grad is not None
    ours = gradient(table, bigram_counts(tokens, C))
    assert np.allclose(ours, weight.grad.numpy(), rtol=0, atol=1e-14)


def test_the_gradient_by_hand() -> None:
    # Two pairs (0, 1) under a flat table of 3: softmax less one-hot, and nothing elsewhere.
    counts = np.array([[0, 2, 0], [0, 0, 0], [0, 0, 0]])
    expected = np.array([[1 / 3, -2 / 3, 1 / 3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert np.allclose(gradient(np.zeros((3, 3)), counts), expected, rtol=0, atol=1e-15)


@given(tables)
def test_softmax_is_scipys(table: np.ndarray) -> None:
    assert np.allclose(softmax(table), scipy.special.softmax(table, axis=1), rtol=1e-14, atol=0)
    stacked = np.stack([table, table * 500])  # far past where exp overflows
    assert np.allclose(softmax(stacked), scipy.special.softmax(stacked, axis=2), rtol=1e-12, atol=0)


@given(texts)
def test_at_the_counting_optimum_nothing_is_left_to_learn(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, C)
    table = counting_optimum(counts)
    assert np.array_equal(np.isneginf(table), (counts == 0) & counts.any(axis=1, keepdims=True))
    assert (table[~counts.any(axis=1)] == 0).all()
    assert np.abs(gradient(table, counts)).max() < 1e-15
    assert cross_entropy(np.maximum(table, -1e5), counts) == pytest.approx(
        entropy_floor(counts), abs=1e-12
    )


@given(tables, st.integers(0, 2**32))
def test_an_adamw_step_is_torchs(table: np.ndarray, seed: int) -> None:
    weight = torch.nn.Parameter(torch.tensor(table))
    optimizer = torch.optim.AdamW([weight], lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3)
    state = AdamW(learning_rate=0.01, beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=0.3)
    draws = np.random.default_rng(seed)
    for _step in range(5):
        derivative = draws.normal(size=(C, C)) * 10.0 ** draws.integers(-6, 2)
        weight.grad = torch.tensor(derivative)
        optimizer.step()
        table, state = adamw_step(table, derivative, state)
        assert np.allclose(table, weight.detach().numpy(), rtol=1e-12, atol=1e-14)
    assert state.steps == 5


def test_adamws_settings_are_pytorchs_defaults() -> None:
    defaults = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))]).defaults
    ours = AdamW()
    assert (ours.learning_rate, ours.weight_decay) == (defaults["lr"], defaults["weight_decay"])
    assert (ours.beta1, ours.beta2, ours.epsilon) == (*defaults["betas"], defaults["eps"])


def test_a_first_step_by_hand() -> None:
    # Corrected, the means are the gradient and its square, so the step is the rate times the sign.
    table, state = adamw_step(
        np.array([[2.0, 2.0], [2.0, 2.0]]),
        np.array([[3.0, -5.0], [0.0, 1e-3]]),
        AdamW(learning_rate=0.1, weight_decay=0.5, epsilon=0.0 + 1e-300),
    )
    assert np.allclose(table, [[1.8, 2.0], [1.9, 1.8]], rtol=1e-12, atol=0)
    assert state.steps == 1


# The law of the tokens to come


@given(tables, st.integers(0, C - 1), st.integers(0, 4))
def test_a_joint_law_multiplies_the_steps(table: np.ndarray, token: int, n: int) -> None:
    law = joint_law(table, token, n)
    assert law.shape == (C,) * n
    assert law.sum() == pytest.approx(1, abs=1e-12)
    probabilities = scipy.special.softmax(table, axis=1)
    ways = np.ndindex(*law.shape)
    for way in [next(ways) for _ in range(min(20, law.size))]:
        steps = pairwise([token, *way])
        expected = math.prod(float(probabilities[i, j]) for i, j in steps)
        assert law[way] == pytest.approx(expected, rel=1e-12, abs=0)


@given(tables, st.integers(0, C - 1), st.integers(1, 4))
def test_the_law_of_one_token_sums_over_those_between(
    table: np.ndarray, token: int, n: int
) -> None:
    between = tuple(range(n - 1))
    expected = joint_law(table, token, n).sum(axis=between)
    assert np.allclose(law_after(table, token, n), expected, rtol=1e-10, atol=0)


def test_no_token_later_is_the_token_itself() -> None:
    assert law_after(np.eye(3), 1, 0).tolist() == [0, 1, 0]


@given(st.lists(st.integers(0, 50), min_size=3, max_size=3), st.integers(0, 2**32))
def test_the_divergence_is_scipys(observed: list[int], seed: int) -> None:
    if not any(observed):
        return
    law = np.random.default_rng(seed).dirichlet(np.ones(3))
    expected = float(scipy.stats.entropy(observed, law))
    assert divergence(np.array(observed), law) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_what_the_law_rules_out_is_no_false_alarm() -> None:
    law = np.array([0.5, 0.5, 0.0])
    assert false_alarm_bound(np.array([5, 5, 0]), law) == 1
    assert divergence(np.array([5, 4, 1]), law) == math.inf
    assert false_alarm_bound(np.array([5, 4, 1]), law) == 0


def test_a_certain_law_never_alarms() -> None:
    assert false_alarm_bound(np.array([7, 0]), np.array([1.0, 0.0])) == 1
    assert false_alarm_bound(np.array([7, 0]), np.array([1 - 1e-12, 0.0])) == 1  # but for rounding


def test_the_bound_by_hand() -> None:
    # 20 of 25 from a fair coin: 25 d = 25 (0.8 ln 1.6 + 0.2 ln 0.4), one degree of freedom.
    excess = 20 * math.log(1.6) + 5 * math.log(0.4)
    expected = math.e * excess * math.exp(-excess)
    for observed, law in (([20, 5], [0.5, 0.5]), ([20, 0, 5], [0.5, 0.0, 0.5])):
        assert false_alarm_bound(np.array(observed), np.array(law)) == pytest.approx(expected)
    assert expected == pytest.approx(0.1058, abs=5e-5)


def test_nothing_drawn_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="^nothing was drawn; "):
        false_alarm_bound(np.zeros(3, dtype=np.int64), np.ones(3) / 3)


@pytest.mark.parametrize("law", [[0.5, 0.5], [0.9, 0.1], [0.2, 0.3, 0.5], [0.01, 0.04, 0.95]])
@pytest.mark.parametrize("n", [1, 7, 25])
def test_the_bound_is_one(law: list[float], n: int) -> None:
    """For every possible sample, add up the exact probability of all that diverge as far."""
    k = len(law)
    samples = [
        np.array([*head, n - sum(head)])
        for head in np.ndindex(*(n + 1,) * (k - 1))
        if sum(head) <= n
    ]
    chances = scipy.stats.multinomial(n, law).pmf(np.array(samples))
    distances = np.array([divergence(sample, np.array(law)) for sample in samples])
    for sample, distance in zip(samples, distances, strict=True):
        exact = float(chances[distances >= distance - 1e-12].sum())
        assert false_alarm_bound(sample, np.array(law)) >= exact * (
            1 - 1e-9
        )  # of which some are below 1e-40


@pytest.mark.parametrize("chance", [0.5, 0.6, 0.9])
def test_the_bound_is_one_for_draws_that_are_shared_among_values(chance: float) -> None:
    """Two outcomes cover the unit interval, and each is spread over the quarters it covers."""
    law, n = np.full(4, 1 / 4), 25
    first = np.diff(np.clip(np.linspace(0, 1, 5), 0, chance)) / chance
    second = (law - chance * first) / (1 - chance)
    outcomes = [k * first + (n - k) * second for k in range(n + 1)]
    chances = scipy.stats.binom(n, chance).pmf(np.arange(n + 1))
    distances = np.array([divergence(counts, law) for counts in outcomes])
    for counts, distance in zip(outcomes, distances, strict=True):
        exact = float(chances[distances >= distance - 1e-12].sum())
        assert false_alarm_bound(counts, law) >= exact * (1 - 1e-9)
    assert false_alarm_bound(outcomes[0], law) < 1e-3


def test_the_bound_is_strict_enough_to_see_a_small_bias() -> None:
    # A million draws of 10 values, one of them 1% too often: far below one alarm in 1e9.
    law = np.ones(10) / 10
    biased = np.array([101_000] + [99_889] * 8 + [99_888])
    assert false_alarm_bound(np.array([100_000] * 10), law) == 1
    assert false_alarm_bound(biased, law) > 1e-9  # 1% is not certain with a million
    assert false_alarm_bound(biased * 10, law) < 1e-9  # with ten million it is


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8))
def test_the_bound_of_a_count_is_one_whatever_each_draws_chance(chances: list[float]) -> None:
    law = np.ones(1)
    for chance in chances:
        law = np.convolve(law, [1 - chance, chance])
    for count in range(len(chances) + 1):
        side = slice(count, None) if count >= sum(chances) else slice(count + 1)
        bound = count_bound(count, len(chances), float(np.mean(chances)))
        assert bound >= min(1.0, law[side].sum()) * (1 - 1e-9)


def test_the_bound_of_a_count_by_hand() -> None:
    expected = 2 * math.exp(-10 * (0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)))
    assert count_bound(8, 10, 0.5) == pytest.approx(expected)
    assert count_bound(0, 100, 0.3) == pytest.approx(2 * 0.7**100)
    assert count_bound(5, 10, 0.5) == 1
    assert count_bound(6, 10, 0.5) == 1


@given(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_the_bound_of_a_sum_is_one(worths: list[int], one: int, other: int) -> None:
    law, worth = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]), np.reshape(worths, (2, 3))
    draws, sums = np.array([one, other]), np.ones(1)
    for row, n in enumerate(draws):
        step = np.zeros(6)
        np.add.at(step, worth[row], law[row])
        for _ in range(n):
            sums = np.convolve(sums, step)
    mean = float(draws @ (law * worth).sum(axis=1))
    for total in range(len(sums)):
        side = sums[total:] if total >= mean else sums[: total + 1]
        bound = sum_bound(float(total), draws, law, worth.astype(float))
        assert bound >= side.sum() * (1 - 1e-9)


def test_the_bound_of_a_sum_by_hand() -> None:
    law, worth = np.array([[0.5, 0.5]]), np.array([[-1.0, 1.0]])
    t = 0.3  # of 100 coins, 65 heads and 35 tails: 30 too many, with a variance of 100
    expected = 2 * math.cosh(t) ** 100 * math.exp(-t * 30)
    assert sum_bound(30.0, np.array([100]), law, worth) == pytest.approx(expected)
    assert sum_bound(-30.0, np.array([100]), law, worth) == pytest.approx(expected)
    assert sum_bound(0.0, np.array([100]), law, worth) == 1
    assert sum_bound(1.0, np.array([100]), law, worth) == 1  # the bound is no more than 1
    assert sum_bound(7.0, np.array([7]), np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]])) == 1
    assert sum_bound(8.0, np.array([7]), np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]])) == 0


def test_the_tokens_that_a_prompt_holds() -> None:
    marks = held(np.array([[2, 0], [1, 1]]), 3)
    assert marks.dtype == np.bool
    assert marks.tolist() == [[True, False, True], [False, True, False]]
