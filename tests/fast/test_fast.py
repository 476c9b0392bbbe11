"""The engine against the reference: the same tokens, the same loss, the same table."""

import ast
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import reference
from reference import BigramLanguageModel, Corpus, TrainConfig, fast, get_batch, train
from reference.cli.engine import find_engine
from reference.conformance.runner import Plan, planned, run
from reference.conformance.subjects.own import OWN
from reference.conformance.verdicts import Verdict
from reference.errors import (
    BigramError,
    DtypeError,
    MissingExtraError,
    NonFiniteLossError,
    OutOfRangeError,
    TokenRangeError,
)
from reference.fast import batches, caching, compiling, generation, kernels, losses, training
from reference.oracle.counts import bigram_counts, cross_entropy
from reference.runs.curve import exact_loss
from reference.vocabulary import Vocabulary


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def stream(n: int, C: int, seed: int = 0) -> Tensor:
    return torch.randint(C, (n,), generator=torch.Generator().manual_seed(seed))


def corpus(n: int, C: int, seed: int = 0) -> Corpus:
    """Any tokens: the vocabulary is not looked at."""
    tokens = stream(n, C, seed)
    return Corpus(name="any", vocabulary=Vocabulary("a"), train=tokens, val=tokens)


class Sizes(TorchDispatchMode):
    """Notes how many elements each operation gives."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.given: list[int] = []

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        whole = result if isinstance(result, tuple) else (result,)
        self.given += [one.numel() for one in whole if isinstance(one, Tensor)]
        return result


# -- the clauses --


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("name", ["fast", "sampler"])
def test_the_engine_keeps_every_clause_that_it_has_the_parts_for(name: str) -> None:
    results = list(run(OWN[name](), Plan(clauses=planned(None, None))))
    told = {result.id: (result.verdict, result.cause) for result in results}
    good = {Verdict.PASS, Verdict.SKIP}
    assert not {clause: said for clause, said in told.items() if said[0] not in good}
    concepts = {clause.split(".")[0] for clause, said in told.items() if said[0] is Verdict.PASS}
    assert {"forward", "loss", "gradient", "generate"} <= concepts
    if name == "fast":
        assert {"batch", "training"} <= concepts


# -- get_batch --


@given(
    n=st.integers(3, 60),
    block_size=st.integers(1, 9),
    batch_size=st.integers(1, 9),
    step=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_batches_are_the_references(
    n: int, block_size: int, batch_size: int, step: int, seed: int
) -> None:
    data = torch.arange(1000)[5 : 5 + step * (n + block_size) : step]
    drawn = []
    for draw in (get_batch, fast.get_batch):
        generator = torch.Generator().manual_seed(seed)
        x, y = draw(data, block_size, batch_size, generator=generator)
        drawn.append((x.tolist(), y.tolist(), generator.get_state().tolist()))
        assert x.is_contiguous()
        assert y.is_contiguous()
    assert drawn[0] == drawn[1]


def test_batches_from_the_global_stream_are_the_references() -> None:
    data = stream(50, 9)
    torch.manual_seed(3)
    x, _y = get_batch(data, 4, 5)
    torch.manual_seed(3)
    assert torch.equal(fast.get_batch(data, 4, 5)[0], x)


def test_a_batch_may_be_written_to() -> None:
    data = stream(50, 9)
    kept = data.clone()
    x, y = fast.get_batch(data, 4, 5)
    before = y.clone()
    x.fill_(-1)
    assert torch.equal(data, kept)
    assert torch.equal(y, before)


BAD_BATCHES: list[tuple[object, object, object]] = [
    (stream(5, 9), 4, 1),
    (stream(5, 9), 0, 1),
    (stream(5, 9), 1, 0),
    (stream(5, 9), True, 1),
    (stream(5, 9), 2.0, 1),
    (stream(5, 9).float(), 1, 1),
    (stream(6, 9).view(2, 3), 1, 1),
    ([1, 2, 3], 1, 1),
]


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize(("data", "block_size", "batch_size"), BAD_BATCHES)
def test_bad_batches_are_refused_in_the_references_words(
    data: Any, block_size: Any, batch_size: Any
) -> None:
    with pytest.raises(BigramError) as expected:
        get_batch(data, block_size, batch_size)
    with pytest.raises(type(expected.value)) as refused:
        fast.get_batch(data, block_size, batch_size)
    assert str(refused.value) == str(expected.value)


# -- loss and gradient --

LAYOUTS = [(1, 1, 1), (1, 1, 5), (4, 8, 65), (70, 9, 65), (9, 300, 7), (40, 40, 40), (3, 3, 300)]


def plain_loss(table: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
    model = BigramLanguageModel(len(table)).to(table.dtype)
    model.token_embedding_table.weight = torch.nn.Parameter(table)
    loss = model(idx, targets)[1]
    loss.backward()
    gradient = model.token_embedding_table.weight.grad
    assert gradient is not None
    return torch.cat([loss.detach().view(1), gradient.flatten()])


def fast_loss(table: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
    weight = table.clone().requires_grad_()
    loss = fast.loss(weight, idx, targets)
    loss.backward()
    assert weight.grad is not None
    return torch.cat([loss.detach().view(1), weight.grad.flatten()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("worthwhile", [0, losses.WORTHWHILE])
@pytest.mark.parametrize(("B", "T", "C"), LAYOUTS)
def test_loss_and_gradient_are_the_references(  # noqa: PLR0913, PLR0917  cases by name
    B: int, T: int, C: int, worthwhile: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "WORTHWHILE", worthwhile)
    table = torch.randn(C, C, dtype=dtype) * 3
    idx, targets = torch.randint(C, (B, T)), torch.randint(C, (T, B)).t()
    near = 32 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        fast_loss(table, idx, targets), plain_loss(table, idx, targets), rtol=near, atol=near
    )


def counted(table: Tensor, idx: Tensor, targets: Tensor) -> Tensor:
    loss: Tensor = losses._LossFromCounts.apply(table, idx, targets)  # type: ignore[no-untyped-call]  # torch's
    return loss


def test_the_gradient_from_counts_is_the_derivative() -> None:
    table = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    idx, targets = stream(40, 4).view(5, 8), stream(40, 5, 1).view(5, 8)  # no row of token 4
    assert torch.autograd.gradcheck(lambda t: 3 * counted(t, idx, targets), (table,))


def test_what_the_batch_lacks_does_not_count() -> None:
    table = torch.randn(3, 3)
    idx = targets = torch.zeros((2, 4), dtype=torch.int64)
    expected = fast_loss(table, idx, targets)
    table[2] = torch.nan  # a row that is not looked up
    weight = table.clone().requires_grad_()
    loss = counted(weight, idx, targets)
    loss.backward()
    assert weight.grad is not None
    assert torch.isclose(loss.detach(), expected[0])
    assert torch.equal(weight.grad[2], torch.zeros(3))
    table[0, 1] = -torch.inf  # a token that cannot follow, and does not
    assert counted(table, idx, targets).isfinite()
    assert counted(table, idx, torch.ones_like(targets)).isposinf()  # and here does


def test_a_large_batch_takes_no_logits_of_every_position() -> None:
    B, T, C = 64, 32, 65
    idx, targets = torch.randint(C, (B, T)), torch.randint(C, (B, T))
    weight = torch.randn(C, C, requires_grad=True)
    with Sizes() as sizes:
        fast.loss(weight, idx, targets).backward()
    assert max(sizes.given) == max(B * T, C * C)


@pytest.mark.usefixtures("own_checks_only")
@pytest.mark.parametrize("layout", ["small", "large"])
def test_bad_tokens_are_refused_in_the_references_words(layout: str) -> None:
    B = 1 if layout == "small" else 4000
    good, wrong = torch.zeros((B, 9), dtype=torch.int64), torch.zeros((B, 9), dtype=torch.int64)
    wrong[-1, 3] = 10
    model, table = BigramLanguageModel(10), torch.zeros(10, 10)
    for idx, targets in [(wrong, good), (good, wrong), (good, good[:, 1:]), (good, good.float())]:
        with pytest.raises(BigramError) as expected:
            model(idx, targets)
        with pytest.raises(type(expected.value)) as refused:
            fast.loss(table, idx, targets)
        assert str(refused.value) == str(expected.value)


# -- generate --


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("B", "T", "n", "C"), [(1, 1, 300, 65), (3, 4, 9, 65), (2, 3, 0, 5), (7, 1, 90, 1)]
)
def test_generated_tokens_are_the_references(
    B: int, T: int, n: int, C: int, dtype: torch.dtype
) -> None:
    model = BigramLanguageModel(C).to(dtype)
    idx = torch.randint(C, (B, T))
    made = []
    for generate in (model.generate, partial(fast.generate, model.token_embedding_table.weight)):
        generator = torch.Generator().manual_seed(7)
        tokens = generate(idx, n, generator=generator)
        made.append((tokens.tolist(), generator.get_state().tolist()))
        assert tokens.is_contiguous()
        assert tokens.dtype == torch.int64
    assert made[0] == made[1]


def test_tokens_are_the_references_where_multinomial_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, idx = BigramLanguageModel(9), torch.zeros((2, 1), dtype=torch.int64)
    monkeypatch.setattr(generation, "multinomial_is_a_race", lambda _device: False)
    monkeypatch.setattr(generation, "_race", lambda *_given: pytest.fail("it is none"))
    expected = model.generate(idx, 20, generator=torch.Generator().manual_seed(1))
    table = model.token_embedding_table.weight
    made = fast.generate(table, idx, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made, expected)


def test_whether_multinomial_is_a_race_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = generation.multinomial_is_a_race.__wrapped__
    assert ask("cpu")  # so it is in the torch that is pinned
    true = torch.multinomial

    def with_replacement(probs: Tensor, num_samples: int, **options: Any) -> Tensor:
        return true(probs, num_samples, replacement=True, **options)

    def last_wins(probs: Tensor, num_samples: int, *, out: Tensor, **options: Any) -> Tensor:
        true(probs, num_samples, out=out, **options)
        return out.fill_(probs.shape[1] - 1)

    for other in (with_replacement, last_wins):
        monkeypatch.setattr(torch, "multinomial", other)
        assert ask("cpu") is (other is with_replacement and _same_stream(true))


def _same_stream(multinomial: Callable[..., Tensor]) -> bool:
    """Whether replacement makes no difference to one draw, as it does not in some releases."""
    probs = torch.full((3, 65), 1 / 65)
    drawn = [
        multinomial(
            probs, 1, replacement=again, generator=torch.Generator().manual_seed(1)
        ).tolist()
        for again in (False, True)
    ]
    return drawn[0] == drawn[1]


def test_a_token_costs_the_same_however_long_the_text() -> None:
    B, C = 2, 11
    table = torch.randn(C, C)

    def work(T: int, n: int) -> tuple[int, int]:
        idx = torch.zeros((B, T), dtype=torch.int64)
        with Sizes() as sizes:
            fast.generate(table, idx, n)
        return sum(sizes.given), max(sizes.given)

    generation.multinomial_is_a_race("cpu")  # asked once, and not of each text
    one, two, three = work(1, 100), work(1, 200), work(1, 300)
    begin = B * (200 + 1)  # the result is made, turned and made contiguous: four times its size
    assert two[0] - one[0] == three[0] - two[0]
    assert two[1] == max(begin, C * C)
    assert work(500, 100)[0] - one[0] <= 10 * 500 * B


@pytest.mark.parametrize("C", [5, generation.SMALL + 1])
@pytest.mark.parametrize("spoiled", [torch.nan, torch.inf, -torch.inf])
def test_a_row_without_a_law_is_refused_as_by_the_reference(spoiled: float, C: int) -> None:
    model = BigramLanguageModel(C)
    table = model.token_embedding_table.weight.data
    table[0, 2:] = -torch.inf
    table[2] = spoiled
    for n in (3, 2 * C):  # with one row at a time, and with all rows at once
        for idx in (torch.tensor([[1], [2]]), torch.tensor([[2], [1]])):
            with pytest.raises(RuntimeError, match="probability tensor contains") as expected:
                model.generate(idx, n)
            with pytest.raises(RuntimeError) as refused:
                fast.generate(table, idx, n)
            assert str(refused.value) == str(expected.value)
        table[1] = table[0]  # from here on nothing leads to the row
        idx = torch.tensor([[0], [1]])
        expected_tokens = model.generate(idx, n, generator=torch.Generator().manual_seed(7))
        tokens = fast.generate(table, idx, n, generator=torch.Generator().manual_seed(7))
        assert torch.equal(tokens, expected_tokens)


def test_generate_builds_no_graph() -> None:
    table = torch.randn(4, 4, requires_grad=True)
    assert not fast.generate(table, torch.zeros((1, 1), dtype=torch.int64), 5).requires_grad


# -- the model --


def test_the_model_is_a_drop_in_for_the_references() -> None:
    plain, model = BigramLanguageModel(65), fast.BigramLanguageModel(65)
    model.load_state_dict(plain.state_dict())
    for B, T in ((4, 8), (80, 40)):
        idx, targets = torch.randint(65, (B, T)), torch.randint(65, (B, T))
        for expected, got in zip(plain(idx, targets), model(idx, targets), strict=True):
            torch.testing.assert_close(got, expected)
        assert torch.equal(model(idx)[0], plain(idx)[0])
        assert torch.equal(model.loss(idx, targets), model(idx, targets)[1])
    with pytest.raises(TokenRangeError):
        model.generate(torch.tensor([[65]]), 1)


def test_without_validation_tokens_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fast.BigramLanguageModel(65, validate=False)
    for module in (losses, generation):
        monkeypatch.setattr(module, "check_tokens", lambda *_a, **_b: pytest.fail("it was"))
    idx = torch.randint(65, (4, 8))
    model(idx, idx)
    model.generate(idx, 2)


# -- training --


def trained(
    take: Callable[..., Iterator[object]],
    text: Corpus,
    C: int,
    config: TrainConfig,
    **options: int,
) -> tuple[Tensor, list[float], Tensor]:
    """Give the table, the losses and the generator's state after training from one start."""
    torch.manual_seed(5)
    model = BigramLanguageModel(C)
    generator = torch.Generator().manual_seed(6)
    found: list[float] = []
    for step in take(model, text, config, generator=generator, **options):
        found += step.losses.tolist() if isinstance(step, fast.TrainBlock) else [step.loss]  # type: ignore[attr-defined]  # of either kind
    return model.token_embedding_table.weight.detach(), found, generator.get_state()


def test_a_thousand_steps_give_the_references_table(twin: Corpus) -> None:
    config = TrainConfig(steps=1000)
    table, found, state = trained(fast.train, twin, 65, config)
    expected, losses_, expected_state = trained(train, twin, 65, config)
    assert (table - expected).abs().max() < 5e-6  # a tenth of what is promised
    assert found == pytest.approx(losses_, abs=5e-6)
    assert torch.equal(state, expected_state)


@pytest.mark.parametrize("C", [1, 2, 17, 300])
@pytest.mark.parametrize("rate", [1e-3, 0.5])
def test_other_sizes_give_the_references_table_too(C: int, rate: float) -> None:
    config = TrainConfig(steps=60, batch_size=5, block_size=3, learning_rate=rate)
    text = corpus(400, C)
    table, found, _state = trained(fast.train, text, C, config, block=25)
    expected, losses_, _state = trained(train, text, C, config)
    torch.testing.assert_close(table, expected, rtol=1e-5, atol=1e-5 * max(rate, 0.1))
    assert found == pytest.approx(losses_, rel=1e-5, abs=2e-6)


def test_training_does_not_depend_on_threads_or_blocks(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(steps=50, batch_size=4, block_size=4)
    text = corpus(300, 13)
    table, found, state = trained(fast.train, text, 13, config, block=50)
    for block, span in ((1, 128), (7, 128), (50, 3), (1000, 1)):
        monkeypatch.setattr(training, "SPAN", span)
        again = trained(fast.train, text, 13, config, block=block)
        assert torch.equal(again[0], table), (threads, block, span)
        assert again[1] == found
        assert torch.equal(again[2], state)
    single = torch.get_num_threads()
    torch.set_num_threads(1)
    assert torch.equal(trained(fast.train, text, 13, config)[0], table)
    torch.set_num_threads(single)


def test_ten_thousand_steps_end_at_the_same_loss(twin: Corpus) -> None:
    config = TrainConfig(steps=10_000, learning_rate=1e-2)
    counts = bigram_counts(twin.train.numpy(), 65)
    end = []
    for take in (fast.train, quick_reference):
        model = BigramLanguageModel(65)
        model.load_state_dict({"token_embedding_table.weight": trained(take, twin, 65, config)[0]})
        end.append(exact_loss(model, counts))
    assert end[0] == pytest.approx(end[1], abs=1e-5)
    assert end[0] < 2.5


def quick_reference(
    model: BigramLanguageModel, text: Corpus, config: TrainConfig, *, generator: torch.Generator
) -> Iterator[object]:
    """The reference's loop without its checks, whose losses are all finite here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    weight = model.token_embedding_table.weight
    for _ in range(config.steps):
        x, y = batches.get_batch.__wrapped__(  # type: ignore[attr-defined]  # under the checks
            text.train, config.block_size, config.batch_size, generator=generator
        )
        optimizer.zero_grad()
        logits = torch.nn.functional.embedding(x, weight)
        torch.nn.functional.cross_entropy(logits.view(-1, 65), y.view(-1)).backward()
        optimizer.step()
    torch.set_num_threads(threads)
    yield from ()


def test_a_step_goes_on_from_the_table_as_it_is() -> None:
    text, tables = corpus(300, 5), []
    for take in (train, partial(fast.train, block=1)):
        torch.manual_seed(5)
        model = BigramLanguageModel(5)
        generator = torch.Generator().manual_seed(6)
        steps: Any = take(model, text, TrainConfig(steps=4), generator=generator)
        for number, _step in enumerate(steps):
            if number == 1:  # the user's own doing
                model.token_embedding_table.weight.data.fill_(1.0)
        tables.append(model.token_embedding_table.weight.detach())
    torch.testing.assert_close(*tables)


def test_leaving_early_leaves_the_model_as_after_the_last_block() -> None:
    text, config = corpus(300, 5), TrainConfig(steps=100, batch_size=4, block_size=4)
    model = BigramLanguageModel(5)
    start = model.token_embedding_table.weight.detach().clone()
    generator = torch.Generator().manual_seed(6)
    for block in fast.train(model, text, config, generator=generator, block=10):
        if block.step == 30:
            break
    again = BigramLanguageModel(5)
    again.token_embedding_table.weight.data.copy_(start)
    other = torch.Generator().manual_seed(6)
    for _block in fast.train(
        again, text, TrainConfig(steps=30, batch_size=4, block_size=4), generator=other
    ):
        pass
    assert torch.equal(model.token_embedding_table.weight, again.token_embedding_table.weight)
    assert torch.equal(generator.get_state(), other.get_state())


@pytest.mark.parametrize("seeded", [True, False])
def test_an_interruption_leaves_nothing_half_done(
    seeded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, config = corpus(300, 5), TrainConfig(steps=20, batch_size=4, block_size=4)
    model = BigramLanguageModel(5)
    generator = torch.Generator().manual_seed(6) if seeded else None
    source = generator or torch.default_generator
    steps = fast.train(model, text, config, generator=generator, block=5)
    next(steps)
    table = model.token_embedding_table.weight.detach().clone()
    state = source.get_state()
    true = kernels.train_rows

    def interrupted(*given: Any) -> None:
        true(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(kernels, "train_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(steps)
    assert torch.equal(model.token_embedding_table.weight, table)
    assert torch.equal(source.get_state(), state)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_a_loss_that_is_not_finite_ends_training_where_the_reference_does(block: int) -> None:
    text = corpus(300, 5)
    config = TrainConfig(steps=200, batch_size=4, block_size=4, learning_rate=1e6)
    ends = []
    for take in (train, fast.train):
        torch.manual_seed(5)
        model = BigramLanguageModel(5)
        generator = torch.Generator().manual_seed(6)
        options: Any = {} if take is train else {"block": block}
        with pytest.raises(NonFiniteLossError, match="at step [1-9]") as error:
            for _step in take(model, text, config, generator=generator, **options):
                pass
        table = model.token_embedding_table.weight.detach()
        ends.append((str(error.value), generator.get_state().tolist(), table))
    assert ends[0][:2] == ends[1][:2]
    torch.testing.assert_close(ends[1][2], ends[0][2], rtol=1e-4, atol=0.0)


def test_a_table_that_is_not_finite_at_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.Stepper, "take", _spoil)
    with pytest.raises(NonFiniteLossError, match="table is not finite after step 1;"):
        list(fast.train(BigramLanguageModel(5), corpus(300, 5), TrainConfig(steps=1)))


def _spoil(stepper: training.Stepper, *_given: object, **_named: object) -> Tensor:
    stepper.taken += 1
    stepper.table.data.fill_(torch.inf)
    return torch.zeros(1)


@pytest.mark.parametrize("height", [1e4, -1e6, 3e37])
def test_a_loss_is_exact_however_large_the_logits_are(height: float) -> None:
    text, config = corpus(300, 5), TrainConfig(steps=1, batch_size=4, block_size=4)
    tables = []
    for take in (train, fast.train):
        torch.manual_seed(5)
        model = BigramLanguageModel(5)
        model.token_embedding_table.weight.data.add_(height)
        before = model.token_embedding_table.weight.detach().double().numpy()
        x, y = get_batch(text.train, 4, 4, generator=torch.Generator().manual_seed(6))
        counts = np.zeros((5, 5), np.int64)
        np.add.at(counts, (x.numpy(), y.numpy()), 1)
        (step,) = take(model, text, config, generator=torch.Generator().manual_seed(6))
        found = step.losses.item() if isinstance(step, fast.TrainBlock) else step.loss
        assert found == pytest.approx(cross_entropy(before, counts), rel=1e-6)
        tables.append(model.token_embedding_table.weight.detach())
    torch.testing.assert_close(*tables, rtol=1e-6, atol=0.0)


@pytest.mark.usefixtures("own_checks_only")
def test_what_training_cannot_take_is_refused() -> None:
    text = corpus(300, 5)
    with pytest.raises(DtypeError, match=r"torch\.float64.*torch\.float32"):
        next(fast.train(BigramLanguageModel(5).double(), text))
    with pytest.raises(TokenRangeError, match=r"data\[\d+\] is 4"):
        next(fast.train(BigramLanguageModel(4), text))
    with pytest.raises(OutOfRangeError, match="block is 0"):
        next(fast.train(BigramLanguageModel(5), text, block=0))
    with pytest.raises(reference.BigramError, match="the train split of any"):
        next(fast.train(BigramLanguageModel(5), text, TrainConfig(block_size=400)))


def test_the_exponential_is_right_to_the_last_places() -> None:
    x = -np.geomspace(1e-30, 87, 20_001, dtype=np.float32)
    x = np.concatenate([x, -np.linspace(0, 87, 20_001, dtype=np.float32)])
    made = np.empty_like(x)
    kernels.exponentials(x, np.float32(0), made)
    exact = np.exp(x.astype(np.float64))
    assert (np.abs(made - exact) / np.spacing(exact.astype(np.float32))).max() < 2
    beyond = np.array([-87.5, -1e30, -np.inf, np.nan, 0], np.float32)
    made = np.empty_like(beyond)
    kernels.exponentials(beyond, np.float32(0), made)
    assert made[:3].tolist() == [0, 0, 0]
    assert np.isnan(made[3])
    assert made[4] == 1


def test_a_mean_that_fades_is_nothing_before_it_is_denormal() -> None:
    row = np.ones(3, np.float32)
    mean, square = np.full(3, 1.2e-30, np.float32), np.full(3, 1e-33, np.float32)
    one = np.float32(1)
    kernels.adamw_without_gradient(row, mean, square, one, one, one)
    assert mean.tolist() == pytest.approx([1.08e-30] * 3, rel=1e-6, abs=0)
    kernels.adamw_without_gradient(row, mean, square, one, one, one)
    assert mean.tolist() == [0, 0, 0]
    assert square.tolist() == [0, 0, 0]
    assert row.tolist() == [1, 1, 1]


# -- without Numba --


def test_without_numba_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "is_there", lambda: False)
    check_that_what_is_compiled_raises(r"bigram-reference\[fast\]")


def test_a_numba_that_compiles_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba  # noqa: PLC0415  an extra

    cpu = torch.device("cpu")
    assert find_engine("auto", cpu) == "fast"
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    check_that_what_is_compiled_raises("NUMBA_DISABLE_JIT is set.* Unset it")
    assert find_engine("auto", cpu) == "reference"
    monkeypatch.delitem(sys.modules, "numba")  # as before the first import of it
    for value, there in (("", True), ("0", True), ("1", False)):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", value)
        assert compiling.is_there() is there


def check_that_what_is_compiled_raises(words: str) -> None:
    table = torch.zeros(3, 3)
    for action in (
        lambda: fast.Sampler(table),
        lambda: fast.fit(stream(9, 3), 3, smoothing=fast.Exact()),
        lambda: next(fast.train(BigramLanguageModel(3), corpus(300, 3))),
        compiling.compiled,
    ):
        with pytest.raises(MissingExtraError, match=words):
            action()
    idx = torch.zeros((1, 2), dtype=torch.int64)
    fast.loss(table, idx, idx)  # torch alone does for these
    fast.generate(table, idx, 2)
    fast.get_batch(stream(9, 3), 2, 2)


def test_the_engine_gives_the_names_that_it_lists() -> None:
    assert fast.__all__ == sorted(fast._MODULE_OF)
    assert set(fast.__all__) <= set(dir(fast))
    for name in fast.__all__:
        assert getattr(fast, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = fast.no_such_name


# -- the cache of machine code --


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], ModuleType]:
    """Copy the engine's sources, and return what imports the kernels from there anew."""
    for source in Path(fast.__path__[0]).glob("*.py"):
        shutil.copy(source, tmp_path)
    monkeypatch.setattr(fast, "__path__", [str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # which a quick edit would not outdate

    def load() -> ModuleType:
        for name in caching.SOURCES:
            module = name.removesuffix(".py")
            monkeypatch.delattr(fast, module, raising=False)
            monkeypatch.delitem(sys.modules, f"reference.fast.{module}", raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("reference.fast.kernels")

    return load


def drawn_and_decayed(kernels: ModuleType) -> list[float]:
    """Return what follows from instructions.py, from adamw.py, and how much the cache had."""
    entries, mean = np.full(4, (3 << 32) + 2, np.int64), np.ones(1, np.float32)
    token = kernels.after(entries, np.int64(0), np.uint64(0), np.uint64(2))
    zero, one = np.zeros(1, np.float32), np.float32(1)
    kernels.adamw_without_gradient(zero, mean, zero.copy(), one, one, one)
    hits = sum(
        sum(one.stats.cache_hits.values())
        for one in (kernels.after, kernels.adamw_without_gradient)
    )
    return [token, round(float(mean[0]), 6), hits]


def test_a_change_in_any_source_of_the_machine_code_takes_effect(
    copied: Callable[[], ModuleType], tmp_path: Path
) -> None:
    assert drawn_and_decayed(copied()) == [0, 0.9, 0]
    assert drawn_and_decayed(copied()) == [0, 0.9, 2]
    edit(tmp_path / "adamw.py", "BETA_1, BETA_2 = 0.9,", "BETA_1, BETA_2 = 0.5,")
    assert drawn_and_decayed(copied()) == [0, 0.5, 0]
    edit(tmp_path / "instructions.py", "select(condition, a, b)", "select(condition, b, a)")
    assert drawn_and_decayed(copied()) == [2, 0.5, 0]
    assert drawn_and_decayed(copied()) == [2, 0.5, 2]


def edit(path: Path, old: str, new: str) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1
    path.write_text(source.replace(old, new), encoding="utf-8")


def test_the_caches_key_covers_all_that_the_kernels_import() -> None:
    found, left = set(), ["kernels"]
    while left:
        name = left.pop()
        found.add(f"{name}.py")
        source = (Path(fast.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert not any(one.name.startswith("reference") for one in node.names), name
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reference"):
                package, _, module = str(node.module).rpartition(".")
                assert package == "reference.fast" or module == "errors", f"{name}: {module}"
                left += [module] if package == "reference.fast" else []
    assert sorted(found) == list(caching.SOURCES)


@pytest.mark.parametrize("damage", [b"", b"\x80\x05X", b"no pickle"])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_in_the_cache_is_replaced(kind: str, damage: bytes, tmp_path: Path) -> None:
    twice = twice_from(tmp_path)
    assert twice(21) == 42
    (file,) = tmp_path.rglob(f"*.{kind}")
    file.write_bytes(damage)
    for hits in (0, 1):
        twice = twice_from(tmp_path)
        assert twice(21) == 42
        assert sum(twice.stats.cache_hits.values()) == hits


def twice_from(folder: Path) -> Any:
    """Import a compiled function anew from a file of its own, beside which it is cached."""
    (folder / "twice.py").write_text(
        "from reference.fast.compiling import compiled\n"
        "@compiled()\n"
        "def twice(x):\n"
        "    return 2 * x\n",
        encoding="utf-8",
    )
    spec = importlib.util.spec_from_file_location("twice", folder / "twice.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.twice


@pytest.mark.parametrize("when", ["defined", "saved"])
def test_a_folder_that_cannot_be_written_to_costs_only_time(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core import caching as numbas  # noqa: PLC0415  an extra

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    if when == "defined":
        monkeypatch.setattr(numbas.CacheImpl, "_locator_classes", [])
    else:
        monkeypatch.setattr(numbas.IndexDataCacheFile, "_save_data", full)
    assert twice_from(tmp_path)(21) == 42
    assert not list(tmp_path.rglob("*.nbc"))
