"""Every bad argument gets the error of its cause, which names the value, the place, the range.

Each case differs in one feature from one that is accepted.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from reference import errors
from reference.data import get_batch
from reference.model import BigramLanguageModel

pytestmark = pytest.mark.usefixtures("own_checks_only")

C = 5
GOOD = torch.tensor([[0, 1, 4], [2, 3, 0]])

BAD_TOKENS: list[tuple[object, type[Exception], str]] = [
    (
        torch.tensor([[0, 1, 5], [2, 3, 0]]),
        errors.TokenRangeError,
        r"\[0, 2\] is 5; .* 0 to 4 \(vocab_size is 5\)",
    ),
    (torch.tensor([[0, 1, 4], [-1, 3, 0]]), errors.TokenRangeError, r"\[1, 0\] is -1; .* 0 to 4"),
    (torch.tensor([[0, 1, 4], [2, 3, -100]]), errors.TokenRangeError, r"\[1, 2\] is -100; "),
    (torch.tensor([[0, 9, 4], [2, 3, -7]]), errors.TokenRangeError, r"\[0, 1\] is 9; "),
    (GOOD.int(), errors.DtypeError, "torch.int32; it must be torch.int64"),
    (GOOD.float(), errors.DtypeError, "torch.float32; it must be torch.int64"),
    (GOOD.bool(), errors.DtypeError, "torch.bool; it must be torch.int64"),
    (GOOD[0], errors.RankError, r"1 dimensions, shape \(3,\); it must have 2, shape \(B, T\)"),
    (GOOD[None], errors.RankError, r"3 dimensions, shape \(1, 2, 3\); "),
    (GOOD[:0], errors.EmptyError, r"shape \(0, 3\) and holds no token"),
    (GOOD[:, :0], errors.EmptyError, r"shape \(2, 0\) and holds no token"),
    (GOOD.tolist(), errors.NotATensorError, "is a list; it must be a torch.Tensor"),
    (GOOD.numpy(), errors.NotATensorError, "is a ndarray; it must be a torch.Tensor"),
]


@pytest.fixture
def model() -> BigramLanguageModel:
    return BigramLanguageModel(C)


def test_the_accepted_twin_of_each_case_is_accepted(model: BigramLanguageModel) -> None:
    model(GOOD)
    model(GOOD, GOOD)
    model.generate(GOOD, 2)
    get_batch(torch.arange(10), 3, 2)


@pytest.mark.parametrize(("bad", "error", "message"), BAD_TOKENS)
def test_bad_idx(
    model: BigramLanguageModel, bad: Tensor, error: type[Exception], message: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: model(bad),
        lambda: model(bad, GOOD),
        lambda: model.generate(bad, 1),
        lambda: model.generate(bad, 0),
    ]
    for call in calls:
        with pytest.raises(error, match=r"^idx\b.*" + message):
            call()


@pytest.mark.parametrize(("bad", "error", "message"), BAD_TOKENS)
def test_bad_targets(
    model: BigramLanguageModel, bad: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=r"^targets\b.*" + message):
        model(GOOD, bad)


@pytest.mark.parametrize("bad", [GOOD[:1], GOOD[:, :2], GOOD.t()])
def test_targets_of_another_shape(model: BigramLanguageModel, bad: Tensor) -> None:
    with pytest.raises(errors.TargetsShapeError) as caught:
        model(GOOD, bad)
    assert str(tuple(bad.shape)) in str(caught.value)
    assert "(2, 3)" in str(caught.value)


COUNTS: list[tuple[str, int, Callable[[int], object]]] = [
    ("vocab_size", 1, BigramLanguageModel),
    ("max_new_tokens", 0, lambda n: BigramLanguageModel(C).generate(GOOD, n)),
    ("block_size", 1, lambda n: get_batch(torch.arange(10), n, 2)),
    ("batch_size", 1, lambda n: get_batch(torch.arange(10), 3, n)),
]


@pytest.mark.parametrize(("name", "minimum", "call"), COUNTS)
def test_bad_counts(name: str, minimum: int, call: Callable[[object], object]) -> None:
    call(minimum)
    call(np.int64(minimum))
    for below in (minimum - 1, -5):
        with pytest.raises(errors.OutOfRangeError, match=f"{name} is {below}; .* {minimum} or"):
            call(below)
    for value in (2.0, "2", None, True):
        with pytest.raises(errors.NotAnIntegerError, match=f"{name} is {value!r} .* integer"):
            call(value)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (
            torch.arange(10).float(),
            errors.DtypeError,
            r"torch.float32; it must be torch.int64.*uint8",
        ),
        (torch.arange(10).short(), errors.DtypeError, "torch.int16"),
        (torch.arange(10).bool(), errors.DtypeError, "torch.bool"),
        (torch.arange(10).reshape(2, 5), errors.RankError, r"shape \(2, 5\); .*shape \(N,\)"),
        (torch.arange(0), errors.EmptyError, r"shape \(0,\)"),
        (list(range(10)), errors.NotATensorError, "is a list"),
    ],
)
def test_bad_data(bad: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=r"^data\b.*" + message):
        get_batch(bad, 3, 2)


def test_every_error_is_of_this_package_and_of_a_built_in_kind() -> None:
    kinds = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value is not errors.BigramError
    ]
    assert len(kinds) > 15
    for kind in kinds:
        assert issubclass(kind, errors.BigramError)
        assert any(base.__module__ == "builtins" for base in kind.__bases__), kind


def test_validation_can_be_switched_off(model: BigramLanguageModel) -> None:
    bad = torch.tensor([[-100, 1, 4], [2, 3, 0]])
    with pytest.raises(errors.TokenRangeError):
        model(GOOD, bad)
    model.validate = False
    _logits, loss = model(GOOD, bad)  # cross_entropy leaves the target out
    assert loss.isfinite()
    for call in (model, lambda idx: model.generate(idx, 1)):
        with pytest.raises(IndexError) as caught:
            call(bad.clamp(max=0))
        assert not isinstance(caught.value, errors.BigramError)


def test_shapes_and_types_are_checked_all_the_same(model: BigramLanguageModel) -> None:
    model.validate = False
    for bad in (GOOD[0], GOOD.int(), GOOD[:0]):
        with pytest.raises(errors.BigramError, match="idx"):
            model(bad)
        with pytest.raises(errors.BigramError, match="targets"):
            model(GOOD, bad)
    with pytest.raises(errors.TargetsShapeError):
        model(GOOD, GOOD.t())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_cuda_a_bad_token_raises_and_the_context_lives_on(model: BigramLanguageModel) -> None:
    there = model.cuda()
    for token in (C, -1):
        with pytest.raises(errors.TokenRangeError, match=rf"idx\[0, 0\] is {token}"):
            there(torch.tensor([[token]], device="cuda"))
    logits, _none = there(GOOD.cuda())
    assert torch.equal(logits.cpu(), model.cpu()(GOOD)[0])
