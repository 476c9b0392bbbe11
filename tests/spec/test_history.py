"""Histories: what users do to one model, played, shortened and written out to be pasted."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional as F

from reference.conformance import check
from reference.conformance.corner_cases import CASES
from reference.conformance.subjects.own import reference_subject
from reference.conformance.verdicts import Verdict
from reference.model import BigramLanguageModel
from reference.spec.cases import Case
from reference.spec.clauses.history import Life, possible
from reference.spec.histories import DEEDS, HistoryCase

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


REFERENCE = reference_subject()
MORE = CASES[HistoryCase].more
assert MORE is not None


class Forgetful(BigramLanguageModel):
    """Takes the probabilities when it first generates, and has another bug after the third loss."""

    P: Tensor | None = None

    def generate(self, idx: Tensor, max_new_tokens: int, **_named: Any) -> Tensor:
        if self.P is None:
            self.P = F.softmax(self.token_embedding_table.weight.detach(), dim=-1)
        for _ in range(max_new_tokens):
            follow = self.P[F.embedding(idx[:, -1:], torch.arange(len(self.P))[:, None])[..., 0, 0]]
            idx = torch.cat([idx, torch.multinomial(follow, 1)], dim=1)
        return idx


def test_a_history_is_shortened_to_the_deeds_that_matter_and_runs_when_it_is_pasted() -> None:
    report = check(Forgetful, clauses=["history.stale-generate"], examples=1)
    (result,) = report.of(Verdict.FAIL)
    assert result.id == "history.stale-generate"
    assert result.case is not None
    assert result.case["deeds"] == ("generate", "write", "generate")
    assert "from before it was written or trained" in result.cause
    outs = []
    for model in (Forgetful, BigramLanguageModel):
        scope = {"torch": torch, "BigramLanguageModel": model}
        code = result.code.rstrip().rpartition("\n")
        exec(f"{code[0]}\nout = {code[2]}", scope)  # noqa: S102  our own code
        outs.append(scope["out"])
    wrong, right = (out[:, -3].tolist() for out in outs)  # type: ignore[index]  # tensors
    assert str(wrong) == result.seen
    assert result.expected.endswith(str(right))


def test_a_long_history_is_shortened_from_any_place() -> None:
    long = HistoryCase(C=3, idx=((0,),), deeds=("train", "loss", "generate", "step", "write"))
    assert [len(one.deeds) for one in long.shorter()] == [4] * 5
    assert {*long.deeds} == {deed for one in long.shorter() for deed in one.deeds}
    assert list(HistoryCase(C=3, idx=((0,),), deeds=("loss",)).shorter()) == []


def test_the_reference_takes_every_deed() -> None:
    assert possible(REFERENCE) == DEEDS.keys()


@given(MORE)
def test_a_written_table_makes_one_successor_certain_and_never_the_target(case: Case) -> None:
    assert isinstance(case, HistoryCase)
    for number in range(4):
        best = case.written(number).topk(2, dim=1)
        assert (best.values[:, 0] - best.values[:, 1] > 70).all()
        assert (best.indices[case.tensor(), 0] != case.target_tensor()).all()
    first, second = (case.written(number).argmax(dim=1) for number in (0, 1))
    assert case.C == 3 or (first != second).all()


@settings(max_examples=20)
@given(MORE)
def test_a_step_makes_the_targets_certain(case: Case) -> None:
    assert isinstance(case, HistoryCase)
    *_, last = Life(REFERENCE, replace(case, deeds=("backward", "step"))).moments()
    assert torch.equal(last.table.argmax(dim=1)[case.tensor()], case.target_tensor())


def test_what_a_model_cannot_do_alone_is_left_out_of_its_histories() -> None:
    class Fixed(nn.Module):
        """In float32 only, and not to be copied."""

        def __init__(self, vocab_size: int) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(vocab_size, vocab_size))

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            del targets
            return F.one_hot(idx, len(self.table)).float() @ self.table, None

        def __deepcopy__(self, _memo: object) -> "Fixed":
            raise TypeError("it holds a lock")

    report = check(Fixed, clauses=["history"], examples=3)
    assert not [result for result in report.of(Verdict.FAIL) if result.id.startswith("history")]
