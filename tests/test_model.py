import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from reference.model import BigramLanguageModel
from reference.oracle.counts import cross_entropy
from reference.shapes import LanguageModel

# C, B and T from their least to well past the notes' T = 8.
sizes = st.tuples(st.integers(1, 30), st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32))


def case(C: int, B: int, T: int, seed: int) -> tuple[BigramLanguageModel, Tensor, Tensor]:
    torch.manual_seed(seed)
    return BigramLanguageModel(C), torch.randint(C, (B, T)), torch.randint(C, (B, T))


def certain(successors: list[int]) -> BigramLanguageModel:
    """A model in which each token has one successor: exp(-200) is nothing in float32."""
    model = BigramLanguageModel(len(successors))
    with torch.no_grad():
        model.token_embedding_table.weight.fill_(-200.0)
        for token, successor in enumerate(successors):
            model.token_embedding_table.weight[token, successor] = 0.0
    return model


def pairs(idx: Tensor, targets: Tensor, C: int) -> np.ndarray:
    return (idx * C + targets).flatten().bincount(minlength=C * C).reshape(C, C).numpy()


def test_it_is_a_language_model() -> None:
    model: LanguageModel = BigramLanguageModel(65)
    assert [name for name, _ in BigramLanguageModel(65).named_parameters()] == [
        "token_embedding_table.weight"
    ]
    assert model.forward(torch.zeros((1, 1), dtype=torch.long))[0].shape == (1, 1, 65)


@given(sizes)
def test_logits_are_the_rows_of_the_table(size: tuple[int, int, int, int]) -> None:
    model, idx, _targets = case(*size)
    C, B, T, _seed = size
    logits, loss = model(idx)
    assert loss is None
    assert logits.shape == (B, T, C)
    table = model.token_embedding_table.weight
    for b in range(B):
        for t in range(T):
            assert torch.equal(logits[b, t], table[idx[b, t]])


@given(sizes)
def test_targets_flatten_the_same_logits_row_by_row(size: tuple[int, int, int, int]) -> None:
    model, idx, targets = case(*size)
    C, B, T, _seed = size
    flat, loss = model(idx, targets)
    assert flat.shape == (B * T, C)
    assert loss.shape == ()
    logits, _none = model(idx)
    for b in range(B):
        for t in range(T):
            assert torch.equal(flat[b * T + t], logits[b, t])


@given(sizes)
def test_the_loss_is_the_oracles(size: tuple[int, int, int, int]) -> None:
    model, idx, targets = case(*size)
    table = model.token_embedding_table.weight.detach().double().numpy()
    expected = cross_entropy(table, pairs(idx, targets, size[0]))
    _logits, loss = model(idx, targets)
    # float32: each term is a few roundings of numbers below 10, their mean a few more.
    assert loss.item() == pytest.approx(expected, abs=5e-6)
    _logits, loss = model.double()(idx, targets)
    assert loss.item() == pytest.approx(expected, abs=1e-13)


def test_a_table_without_preference_loses_the_log_of_its_size() -> None:
    model = BigramLanguageModel(65)
    torch.nn.init.constant_(model.token_embedding_table.weight, 3.0)
    _logits, loss = model(torch.randint(65, (4, 8)), torch.randint(65, (4, 8)))
    assert loss.item() == pytest.approx(math.log(65), rel=1e-6)


@given(sizes)
def test_forward_changes_nothing(size: tuple[int, int, int, int]) -> None:
    model, idx, targets = case(*size)
    was = idx.clone(), targets.clone(), model.token_embedding_table.weight.clone()
    first, first_loss = model(idx, targets)
    second, second_loss = model.eval()(idx, targets)
    assert torch.equal(first, second)
    assert torch.equal(first_loss, second_loss)
    now = idx, targets, model.token_embedding_table.weight
    assert all(torch.equal(a, b) for a, b in zip(was, now, strict=True))


def test_the_layout_in_memory_does_not_matter() -> None:
    model, idx, targets = case(7, 4, 8, 1)
    _logits, loss = model(idx, targets)
    strided_idx, strided_targets = idx.t().contiguous().t(), targets.t().contiguous().t()
    assert not strided_targets.is_contiguous()
    _logits, strided_loss = model(strided_idx, strided_targets)
    assert torch.equal(loss, strided_loss)


def test_the_loss_leads_to_the_table() -> None:
    # Two pairs (0, 1) of three: the gradient of row 0 is softmax minus one-hot, over B*T = 2.
    model = BigramLanguageModel(3)
    torch.nn.init.zeros_(model.token_embedding_table.weight)
    _logits, loss = model(torch.tensor([[0, 0]]), torch.tensor([[1, 1]]))
    loss.backward()
    gradient = model.token_embedding_table.weight.grad
    assert gradient is not None
    expected = torch.tensor([[1 / 3, 1 / 3 - 1, 1 / 3], [0, 0, 0], [0, 0, 0]])
    assert torch.allclose(gradient, expected, atol=1e-6)


@given(sizes, st.integers(0, 5))
def test_generate_adds_tokens_behind_the_prompt(
    size: tuple[int, int, int, int], max_new_tokens: int
) -> None:
    model, idx, _targets = case(*size)
    C, B, T, _seed = size
    was = idx.clone()
    grown = model.generate(idx, max_new_tokens)
    assert grown.shape == (B, T + max_new_tokens)
    assert grown.dtype == torch.int64
    assert torch.equal(grown[:, :T], was)
    assert torch.equal(idx, was)
    assert grown.min() >= 0
    assert grown.max() < C


def test_each_row_follows_its_own_last_token() -> None:
    model = certain([1, 2, 3, 4, 0])
    idx = torch.tensor([[4, 0], [0, 3], [1, 1]])
    assert model.generate(idx, 3).tolist() == [[4, 0, 1, 2, 3], [0, 3, 4, 0, 1], [1, 1, 2, 3, 4]]


def test_the_next_token_is_drawn_from_the_softmax_of_the_last_row() -> None:
    # 40,000 draws from one row of 10; the chi-square test alarms falsely once in 1e9 seeds.
    torch.manual_seed(7)
    model = BigramLanguageModel(10)
    drawn = model.generate(torch.full((40_000, 1), 3), 1)[:, 1].bincount(minlength=10)
    law = model.token_embedding_table.weight[3].double().softmax(dim=0).detach()
    assert scipy.stats.chisquare(drawn.numpy(), 40_000 * law.numpy()).pvalue > 1e-9


def test_rows_are_drawn_apart_from_each_other() -> None:
    # Neighbouring rows as a 4 x 4 table of 20,000 draws; one false alarm in 1e9 seeds.
    model = BigramLanguageModel(4)
    torch.nn.init.zeros_(model.token_embedding_table.weight)
    drawn = model.generate(torch.zeros((40_000, 1), dtype=torch.long), 1)[:, 1]
    both = (drawn[0::2] * 4 + drawn[1::2]).bincount(minlength=16)
    assert scipy.stats.chisquare(both.numpy()).pvalue > 1e-9


@given(sizes)
def test_one_stream_gives_one_continuation_however_it_is_asked_for(
    size: tuple[int, int, int, int],
) -> None:
    model, idx, _targets = case(*size)
    seed = size[3]
    whole = model.generate(idx, 5, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    first = model.generate(idx, 2, generator=generator)
    assert torch.equal(model.generate(first, 3, generator=generator), whole)
    torch.manual_seed(seed)
    assert torch.equal(model.generate(idx, 5), whole)


def test_only_the_last_token_counts() -> None:
    model = BigramLanguageModel(20)
    long, short = torch.tensor([[5, 1, 9, 7]]), torch.tensor([[7]])
    one, two = (torch.Generator().manual_seed(1) for _ in range(2))
    assert torch.equal(
        model.generate(long, 30, generator=one)[:, 4:],
        model.generate(short, 30, generator=two)[:, 1:],
    )


def test_generate_goes_on_with_the_stream_and_never_seeds_it() -> None:
    model = BigramLanguageModel(65)
    idx = torch.zeros((1, 1), dtype=torch.long)
    assert not torch.equal(model.generate(idx, 50), model.generate(idx, 50))
    before = torch.get_rng_state()
    model.generate(idx, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(before, torch.get_rng_state())


def test_generate_leaves_mode_gradients_and_table_alone() -> None:
    model = BigramLanguageModel(5)
    table = model.token_embedding_table.weight.clone()
    grown = model.generate(torch.zeros((1, 1), dtype=torch.long), 5)
    assert model.training
    assert not grown.requires_grad
    assert model.token_embedding_table.weight.requires_grad
    assert model.token_embedding_table.weight.grad is None
    assert torch.equal(model.token_embedding_table.weight, table)
    assert torch.is_grad_enabled()
