import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from instrument import SITES, Fault, _size, copy_of, faulty, watching
from torch import nn
from trial import differs, digest_of

from reference.conformance.subjects.torch_models import TorchSubject
from reference.data import get_batch

ROOT = Path(__file__).parents[2]
SOURCE = '''
import torch
from torch import nn

class Model(nn.Module):
    """A docstring."""

    size: int = 3

    def __init__(self, C: int) -> None:
        self.early = C + 1  # before nn.Module is ready
        super().__init__()
        self.table = nn.Embedding(C, C)

    def forward(self, idx, targets=None):
        logits = self.table(idx)
        if idx.shape[1] > 99:
            raise ValueError(f"{idx.shape[1] - 1} is too long")
        return logits, None

def shift(data: torch.Tensor, block_size: int, batch_size: int) -> int:
    grow = lambda number: number * 2
    return grow(block_size + 1) - batch_size
'''


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    file = tmp_path_factory.mktemp("source") / "sample_of_faults.py"
    file.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    return copy_of("sample_of_faults", file)


def site(text: str) -> int:
    """Return the number of an expression of the sample."""
    (number,) = [
        number
        for number, one in enumerate(SITES)
        if one.file == "sample_of_faults.py" and one.text == text
    ]
    return number


def test_a_wrapped_copy_of_a_model_does_the_same_to_the_bit(wrapped: ModuleType) -> None:
    plain: dict[str, Any] = {"__name__": "plain"}
    exec(SOURCE, plain)  # noqa: S102  ours
    before = digest_of(lambda: TorchSubject(factory=plain["Model"]), whole=True)
    assert not differs(lambda: TorchSubject(factory=wrapped.Model), before, whole=True)


def test_a_wrapped_copy_of_the_reference_does_the_same_to_the_bit() -> None:
    copy = copy_of("faulted_for_a_test", ROOT / "reference/data.py")
    assert copy.get_batch is not get_batch

    def subject(batch: Callable[..., object]) -> TorchSubject:
        return TorchSubject(factory=nn.Identity, given={"get_batch": batch})

    before = digest_of(lambda: subject(get_batch), whole=False)
    assert not differs(lambda: subject(copy.get_batch), before, whole=False)


def test_a_fault_elsewhere_changes_nothing_before_a_module_is_ready(wrapped: ModuleType) -> None:
    with faulty(Fault(-1, "float", "zeros", "C > 50")) as state:
        model = wrapped.Model(60)
        assert model(torch.tensor([[1, 2]]))[0].shape == (1, 2, 60)
    assert state.applied == 0


def test_a_fault_changes_one_expression(wrapped: ModuleType) -> None:
    data = torch.zeros(5)
    assert wrapped.shift(data, 3, 1) == 7
    with faulty(Fault(site("block_size + 1"), "int", "plus_1", "always")) as state:
        assert wrapped.shift(data, 3, 1) == 9
    assert state.applied == 1
    assert wrapped.shift(data, 3, 1) == 7


def test_an_expression_in_a_lambda_is_wrapped_and_one_in_a_message_is_not(
    wrapped: ModuleType,
) -> None:
    with faulty(Fault(site("number * 2"), "int", "zero", "always")):
        assert wrapped.shift(torch.zeros(5), 3, 1) == -1
    assert not [one for one in SITES if one.text == "idx.shape[1] - 1"]


def test_a_condition_goes_by_the_call_of_its_function(wrapped: ModuleType) -> None:
    numbers = []
    with faulty(Fault(site("block_size + 1"), "int", "plus_1", "T > 64")):
        numbers += [wrapped.shift(torch.zeros(5), T, 1) for T in (64, 65)]
    with faulty(Fault(site("block_size + 1"), "int", "plus_1", "from the second call")):
        numbers += [wrapped.shift(torch.zeros(5), 3, 1) for _ in range(3)]
    assert numbers == [129, 133, 7, 9, 9]


def test_each_model_counts_its_own_calls(wrapped: ModuleType) -> None:
    idx = torch.tensor([[1]])
    with faulty(Fault(site("self.table(idx)"), "float", "zeros", "from the second call")):
        one, other = wrapped.Model(3), wrapped.Model(3)
        zeros = [not bool(model(idx)[0].any()) for model in (one, other, one, other)]
    assert zeros == [False, False, True, True]


@pytest.mark.parametrize(
    ("condition", "rows", "C", "train"),
    [
        ("B = 1", [[0, 1]], 5, False),
        ("B > 4", [[0, 1]] * 5, 5, False),
        ("T = 1", [[0], [1]], 5, False),
        ("C > 50", [[0, 1], [1, 0]], 51, False),
        ("in training", [[0, 1], [1, 0]], 5, True),
        ("with a repeated token", [[0, 1], [2, 2]], 5, False),
        ("after the last token", [[0, 1], [2, 4]], 5, False),
    ],
)
def test_a_condition_is_read_off_a_models_call(
    wrapped: ModuleType, condition: str, rows: list[list[int]], C: int, train: bool
) -> None:
    applied = []
    plain = [[0, 1], [1, 0]], 5, False
    for idx, size, mode in ((rows, C, train), plain):
        with faulty(Fault(site("self.table(idx)"), "float", "zeros", condition)) as state:
            model: nn.Module = wrapped.Model(size).train(mode)
            model(torch.tensor(idx))
        applied.append(state.applied)
    assert applied == [1, 0]


def test_the_vocabulary_of_a_model_is_what_it_scores() -> None:
    model = nn.Module()
    model.places, model.head = nn.Embedding(64, 4), nn.Linear(4, 5)
    assert _size(model) == 5
    assert _size(nn.Module()) is None


def test_watching_tells_values_and_conditions_that_hold_now_and_then(wrapped: ModuleType) -> None:
    with watching() as seen:
        for T in (3, 70):
            wrapped.shift(torch.zeros(5), T, 1)
    visits = seen[site("block_size + 1"), "int"]
    assert list(visits.numbers or ()) == [4, 71]
    assert visits.now_and_then == ["T > 64", "from the second call"]
