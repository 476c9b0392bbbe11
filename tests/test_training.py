import dataclasses
import math
import re

import pytest
import torch
from torch.nn import functional as F

from reference.corpus import Corpus
from reference.errors import (
    NonFiniteLossError,
    NotAnIntegerError,
    NotANumberError,
    OutOfRangeError,
    TooShortError,
)
from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.oracle.counts import bigram_counts, cross_entropy, entropy_floor
from reference.training import TrainConfig, estimate_loss, train


def stream(seed: int = 1337) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small() -> Corpus:
    return Corpus.from_text("the cat sat on the mat and the rat ran at the hat. " * 20)


@pytest.fixture
def model(small: Corpus) -> BigramLanguageModel:
    return BigramLanguageModel(len(small.vocabulary))


def table(model: BigramLanguageModel) -> torch.Tensor:
    return model.token_embedding_table.weight.detach().clone()


def test_the_defaults_are_the_notes_values() -> None:
    config, figures = TrainConfig(), Figures()
    for field in dataclasses.fields(config):
        assert getattr(config, field.name) == getattr(figures, field.name), field.name


def test_a_config_is_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().steps = 1  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(TypeError):
        TrainConfig(1)  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("name", ["steps", "batch_size", "block_size"])
def test_a_count_in_a_config_is_checked(name: str) -> None:
    minimum = 0 if name == "steps" else 1
    TrainConfig(**{name: minimum})
    with pytest.raises(OutOfRangeError, match=f"{name} is {minimum - 1}"):
        TrainConfig(**{name: minimum - 1})
    with pytest.raises(NotAnIntegerError, match=f"{name} is 2.5"):
        TrainConfig(**{name: 2.5})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("rate", [0.0, -1e-3, math.nan, math.inf, 1.1e6])
def test_a_learning_rate_is_above_zero_and_no_more_than_a_million(rate: float) -> None:
    TrainConfig(learning_rate=1e-12)
    TrainConfig(learning_rate=1e6)
    with pytest.raises(OutOfRangeError, match=re.escape(f"learning_rate is {rate}; ")):
        TrainConfig(learning_rate=rate)


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("rate", ["0.1", None, True])
def test_a_learning_rate_is_a_number(rate: object) -> None:
    TrainConfig(learning_rate=1)
    with pytest.raises(NotANumberError, match=f"learning_rate is {rate!r}"):
        TrainConfig(learning_rate=rate)  # type: ignore[arg-type]  # wrong on purpose


def test_the_loop_is_the_notes_loop(twin: Corpus) -> None:
    torch.manual_seed(1337)
    m = BigramLanguageModel(65)
    expected = table(m)
    losses = [step.loss for step in train(m, twin, TrainConfig(steps=20), generator=stream())]

    # The notes' lines, on a table of their own.
    weight = torch.nn.Parameter(expected)
    optimizer = torch.optim.AdamW([weight], lr=1e-3)
    generator = stream()
    for loss_before in losses:
        ix = torch.randint(len(twin.train) - 8 - 1, (32,), generator=generator)
        xb = torch.stack([twin.train[i : i + 8] for i in ix])
        yb = torch.stack([twin.train[i + 1 : i + 8 + 1] for i in ix])
        loss = F.cross_entropy(F.embedding(xb, weight).view(32 * 8, 65), yb.view(32 * 8))
        assert loss.item() == loss_before
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    assert torch.equal(table(m), weight)


def test_steps_are_counted_from_one_and_all_taken(
    model: BigramLanguageModel, small: Corpus
) -> None:
    assert [step for step, _loss in train(model, small, TrainConfig(steps=5))] == [1, 2, 3, 4, 5]
    assert list(train(model, small, TrainConfig(steps=0))) == []


def test_training_brings_the_loss_to_the_floor(model: BigramLanguageModel, small: Corpus) -> None:
    config = TrainConfig(steps=400, learning_rate=0.1)
    for _step in train(model, small, config, generator=stream()):
        pass
    counts = bigram_counts(small.train.numpy(), len(small.vocabulary))
    gap = cross_entropy(table(model).double().numpy(), counts) - entropy_floor(counts)
    assert 0 < gap < 0.05


def test_it_trains_as_far_as_it_is_iterated(model: BigramLanguageModel, small: Corpus) -> None:
    before = table(model)
    steps = train(model, small, TrainConfig(steps=5))
    assert torch.equal(table(model), before)
    next(steps)
    after_one = table(model)
    assert not torch.equal(after_one, before)
    del steps
    assert torch.equal(table(model), after_one)


def test_the_same_seeds_train_the_same_table(small: Corpus) -> None:
    tables = []
    for _run in range(2):
        torch.manual_seed(1)
        model = BigramLanguageModel(len(small.vocabulary))
        for _step in train(model, small, TrainConfig(steps=10), generator=stream(2)):
            pass
        tables.append(table(model))
    assert torch.equal(*tables)


def test_only_the_train_split_is_trained_on() -> None:
    corpus = Corpus.from_text("ab" * 90 + "c" * 20)
    model = BigramLanguageModel(3)
    before = table(model)
    for _step in train(model, corpus, TrainConfig(steps=50, learning_rate=0.1)):
        pass
    moved = (table(model) - before).abs().max(dim=1).values
    # Row c is never drawn, so weight decay alone moves it: 0.1 * 0.01 a step, of its own size.
    assert moved[0] > 1
    assert moved[1] > 1
    assert moved[2] < 50 * 0.1 * 0.01 * before.abs().max() * 1.01


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_spreads(
    model: BigramLanguageModel, small: Corpus, value: float
) -> None:
    with torch.no_grad():
        model.token_embedding_table.weight[small.train[0], small.train[1]] = value
    before = table(model)
    steps = train(model, small, TrainConfig(steps=500, learning_rate=1e-9), generator=stream())
    with pytest.raises(NonFiniteLossError, match=r"loss is (nan|inf) at step 1 of 500.*1e-09"):
        list(steps)
    assert torch.equal(table(model).nan_to_num(), before.nan_to_num())


def test_a_last_step_that_overflows_is_told_too(model: BigramLanguageModel, small: Corpus) -> None:
    torch.nn.init.constant_(model.token_embedding_table.weight, 1e36)
    # Its weight decay multiplies the table by 1 - 1e4.
    config = TrainConfig(steps=1, learning_rate=1e6)
    with pytest.raises(NonFiniteLossError, match=r"table is not finite after step 1; .*1000000\.0"):
        list(train(model, small, config))


def test_a_text_too_short_is_refused(model: BigramLanguageModel, small: Corpus) -> None:
    with pytest.raises(TooShortError, match="train split"):
        next(train(model, small, TrainConfig(block_size=10_000)))


def test_the_estimate_is_of_both_splits_and_near_the_exact_loss(twin: Corpus) -> None:
    model = BigramLanguageModel(65)
    estimate = estimate_loss(model, twin, batches=200, generator=stream())
    assert list(estimate) == ["train", "val"]
    for split, loss in estimate.items():
        exact = cross_entropy(
            table(model).double().numpy(), bigram_counts(twin.split(split).numpy(), 65)
        )
        # 51,200 tokens whose losses scatter by about 1.3: 0.03 is over five standard errors,
        # less than one false alarm in 1e6 seeds.
        assert loss == pytest.approx(exact, abs=0.03)


def test_the_estimate_tells_the_splits_apart() -> None:
    corpus = Corpus.from_text("a" * 90 + "b" * 10)
    model = BigramLanguageModel(2)
    with torch.no_grad():
        model.token_embedding_table.weight.copy_(torch.tensor([[0.0, -50.0], [0.0, 0.0]]))
    estimate = estimate_loss(model, corpus, TrainConfig(block_size=3), batches=2)
    assert estimate["train"] == pytest.approx(0, abs=1e-6)
    assert estimate["val"] == pytest.approx(math.log(2), rel=1e-6)


def test_an_estimate_takes_the_configs_batches_and_200_of_them(small: Corpus) -> None:
    seen: list[tuple[tuple[int, ...], bool]] = []

    class Watched(BigramLanguageModel):
        def forward(self, idx, targets=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  as its base
            seen.append((tuple(idx.shape), torch.is_grad_enabled()))
            return super().forward(idx, targets)

    model = Watched(len(small.vocabulary))
    estimate_loss(model, small, TrainConfig(batch_size=3, block_size=5))
    assert seen == [((3, 5), False)] * 400  # 200 of each split


def test_estimating_changes_nothing(model: BigramLanguageModel, small: Corpus) -> None:
    before, stream_before = table(model), torch.get_rng_state()
    estimate_loss(model, small, batches=3, generator=stream())
    assert torch.equal(table(model), before)
    assert model.training
    assert model.token_embedding_table.weight.grad is None
    assert torch.equal(torch.get_rng_state(), stream_before)
    with pytest.raises(OutOfRangeError, match="batches is 0"):
        estimate_loss(model, small, batches=0)
