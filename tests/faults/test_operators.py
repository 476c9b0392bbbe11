import pytest
import torch
from operators import (
    BESIDE,
    CONDITIONS,
    FLOATS,
    INTS,
    OPERATORS,
    Call,
    Memory,
    apply,
    changes_a_number,
    kind_of,
)
from torch import Tensor

NUMBERS = torch.linspace(-1.3, 1.7, 3 * 67).reshape(3, 67) ** 3 * 9
"""Numbers that no operator of floating-point numbers leaves as they are."""
LIKELY = torch.full((2, 60), 1e-4)
TOKENS = torch.tensor([[300, 2, 77], [5, -9, 61]])


def seen(kind: str, name: str, value: Tensor) -> object:
    """Return what an operator does to a value: what it returns, leaves behind, or raises."""
    torch.manual_seed(0)
    memory, given = Memory(), value.clone()
    operator = OPERATORS[kind][name]
    answers: list[Tensor] = []
    try:
        for _ in range(2):  # some do it from the second call on
            torch.rand(1)
            answers = [apply(operator, one, memory) for one in (given, given + 1)]
    except (RuntimeError, IndexError) as error:
        return type(error)
    parts = (*answers, given, torch.get_rng_state())
    return [(str(one.dtype), one.shape, one.requires_grad, one.tolist()) for one in parts]


def untouched(value: Tensor) -> object:
    torch.manual_seed(0)
    torch.rand(2)
    parts = (value, value + 1, value, torch.get_rng_state())
    return [(str(one.dtype), one.shape, one.requires_grad, one.tolist()) for one in parts]


@pytest.mark.parametrize("name", FLOATS)
def test_each_operator_of_floats_changes_some_value(name: str) -> None:
    trained = NUMBERS.clone().requires_grad_()
    odd = torch.tensor([[float("nan"), 1.0], [2.0, 3.0]])
    values = (NUMBERS, LIKELY / LIKELY.sum(), odd, NUMBERS.double())
    shown = [(one, untouched(one)) for one in values]
    changed = any(repr(seen("float", name, one)) != repr(plain) for one, plain in shown)
    assert changed or not FLOATS[name](trained, Memory()).requires_grad


@pytest.mark.parametrize("name", INTS)
def test_each_operator_of_whole_numbers_changes_some_value(name: str) -> None:
    assert seen("int", name, TOKENS) != untouched(TOKENS)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("round_3", [0.12345, -2.0], [0.123, -2.0]),
        ("round_0", [0.6, -1.4], [1.0, -1.0]),
        ("clamp_3", [5.0, -5.0, 1.0], [3.0, -3.0, 1.0]),
        ("small_to_0", [9e-4, 2e-3], [0.0, 2e-3]),
        ("abs", [-1.0, 2.0], [1.0, 2.0]),
        ("nan_to_num", [float("nan"), float("-inf"), 1.0], [0.0, 0.0, 1.0]),
        ("sort", [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]),
        ("flip_last", [3.0, 1.0, 2.0], [2.0, 1.0, 3.0]),
        ("roll_last", [3.0, 1.0, 2.0], [2.0, 3.0, 1.0]),
        ("swap_columns", [3.0, 1.0, 2.0], [1.0, 3.0, 2.0]),
        ("drop_last_column", [3.0, 1.0, 2.0], [3.0, 1.0]),
        ("last_column_wrong", [3.0, 1.0, 2.0], [3.0, 1.0, 2.5]),
        ("top_all_but_one", [3.0, 1.0, 2.0], [3.0, 0.0, 2.0]),
        ("greedy", [-3.0, -1.0, -2.0], [float("-inf"), -1.0, float("-inf")]),
        ("nucleus_0.99", [0.9, 0.095, 0.005], [0.9, 0.095, 0.0]),
        ("epsilon_1e-3", [0.9, 0.0995, 0.0005], [0.9, 0.0995, 0.0]),
    ],
)
def test_an_operator_of_floats_makes_this_of_a_row(
    name: str, given: list[float], expected: list[float]
) -> None:
    answer = apply(FLOATS[name], torch.tensor([given]), Memory())
    torch.testing.assert_close(answer, torch.tensor([expected]))


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("plus_1", 7, 8),
        ("minus_1", 7, 6),
        ("cap_64", 65, 64),
        ("cap_64", 64, 64),
        ("cap_8", 9, 8),
        ("at_least_1", 0, 1),
        ("modulo_64", 70, 6),
        ("as_uint8", 300, 44),
        ("as_int8", 200, -56),
        ("halve", 7, 3),
        ("double", 7, 14),
        ("negate", 7, -7),
        ("zero", 7, 0),
        ("last_element_0", 7, 0),
        ("first_element_plus_1", 7, 8),
    ],
)
def test_an_operator_of_whole_numbers_makes_this_of_an_int(
    name: str, given: int, expected: int
) -> None:
    assert apply(INTS[name], given, Memory()) == expected


def test_stale_returns_the_first_value_of_each_shape_again() -> None:
    memory = Memory()
    answers = [apply(INTS["stale"], number, memory) for number in (3, 4, 5)]
    assert answers == [3, 3, 3]


def test_decay_returns_less_at_each_call() -> None:
    memory, one = Memory(), torch.ones(1)
    first, second = (float(apply(FLOATS["decay"], one, memory)) for _ in range(2))
    assert 1 > first > second


@pytest.mark.parametrize("name", sorted(BESIDE))
def test_operators_of_the_stream_leave_the_value_and_move_the_stream(name: str) -> None:
    memory = Memory()
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        assert apply(INTS[name], 5, memory) == 5
        states.append((torch.get_rng_state(), torch.Generator().manual_seed(seed).get_state()))
    (first, start), (second, other) = states
    if name == "extra_draw":
        assert not torch.equal(first, start)
        assert not torch.equal(second, other)
    else:  # two seeds end up at one place
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["write_into", "add_into"])
def test_operators_in_place_write_into_the_value_itself(name: str) -> None:
    value = torch.ones(2, 2)
    apply(FLOATS[name], value, Memory())
    assert not torch.equal(value, torch.ones(2, 2))


@pytest.mark.parametrize(
    ("name", "numbers", "changes"),
    [
        ("cap_64", [1, 64], False),
        ("cap_64", [1, 65], True),
        ("stale", [3, 3], False),
        ("stale", [3, 4], True),
        ("reseed", [3], True),
        ("halve", [0], False),
    ],
)
def test_an_operator_that_leaves_all_numbers_of_a_site_is_known(
    name: str, numbers: list[int], changes: bool
) -> None:
    assert changes_a_number(name, numbers) is changes


PAIRS = {
    "B = 1": (Call(B=1), Call(B=2)),
    "B > 4": (Call(B=5), Call(B=4)),
    "T = 1": (Call(T=1), Call(T=2)),
    "T > 64": (Call(T=65), Call(T=64)),
    "C > 50": (Call(C=51), Call(C=50)),
    "from the second call": (Call(number=2), Call(number=1)),
    "in evaluation": (Call(training=False), Call(training=True)),
    "in training": (Call(training=True), Call(training=False)),
    "without targets": (Call(has_targets=False), Call(has_targets=True)),
    "with a repeated token": (Call(repeats=True), Call(repeats=False)),
    "after the last token": (Call(ends_in_last=True), Call(ends_in_last=False)),
}


@pytest.mark.parametrize("name", [name for name in CONDITIONS if name != "always"])
def test_a_condition_holds_only_if_it_says_so(name: str) -> None:
    holds, holds_not = PAIRS[name]
    condition = CONDITIONS[name]
    assert condition(holds)
    assert not condition(holds_not)
    assert not condition(Call())  # of a call that does not tell


def test_there_are_at_least_sixty_operators() -> None:
    assert len(FLOATS.keys() | INTS.keys()) >= 60
    assert kind_of(3) == "int"
    assert kind_of(True) == ""
    assert kind_of(torch.ones(1)) == "float"
    assert kind_of("text") == ""
