"""Options of sampling that are left on by default, as users write them: the laws notice each."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from reference.conformance.corner_cases import CASES
from reference.conformance.runner import isolated_streams, try_case
from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.spec.catalogue import catalogue
from reference.spec.expect import Broken

BY_ID = {clause.id: clause for clause in catalogue(None)}
Processor = Callable[[Tensor, Tensor], Tensor]
"""From the tokens so far, (B, T), and the scores (B, C) to other scores."""


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the small GPT's module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "mutants"))
    return importlib.import_module("gpt")


def cooled(_idx: Tensor, scores: Tensor) -> Tensor:
    return (scores.softmax(dim=-1) ** (1 / 0.99)).log()


def heated(_idx: Tensor, scores: Tensor) -> Tensor:
    return scores / 1.01


def top_fifty(_idx: Tensor, scores: Tensor) -> Tensor:
    kept = torch.topk(scores, min(50, scores.size(-1)))[0][..., -1, None]
    return torch.where(scores < kept, torch.full_like(scores, -float("inf")), scores)


def scattered(_idx: Tensor, scores: Tensor) -> Tensor:
    values, places = scores.topk(max(1, scores.size(-1) - 1), dim=-1)
    return torch.full_like(scores, -float("inf")).scatter_(-1, places, values)


def nucleus(_idx: Tensor, scores: Tensor) -> Tensor:
    ascending, places = torch.sort(scores, descending=False)
    rare = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - 0.995
    rare[..., -1:] = False
    return scores.masked_fill(rare.scatter(1, places, rare), -float("inf"))


def least_share(_idx: Tensor, scores: Tensor) -> Tensor:
    log_probs = scores.log_softmax(dim=-1)
    below = log_probs - log_probs.max(dim=-1, keepdim=True).values < torch.tensor(1e-3).log()
    return scores.masked_fill(below, -float("inf"))


def typical(_idx: Tensor, scores: Tensor) -> Tensor:
    logs = scores.log_softmax(dim=-1)
    entropy = -(logs * logs.exp()).nansum(dim=-1, keepdim=True)
    places = torch.argsort((-logs - entropy).abs())
    mass = scores.gather(-1, places).softmax(dim=-1).cumsum(dim=-1)
    last = (mass < 0.95).sum(dim=1, keepdim=True).clamp(max=scores.size(-1) - 1)
    rare = torch.arange(scores.size(-1)) > last
    return scores.masked_fill(rare.scatter(1, places, rare), -float("inf"))


def penalised(idx: Tensor, scores: Tensor) -> Tensor:
    score = torch.gather(scores, 1, idx)
    return scores.scatter(1, idx, torch.where(score < 0, score * 1.05, score / 1.05))


FILTER, PENALTY = "filter is on by default", "a repetition penalty is on by default"
PROCESSORS: dict[Processor, str] = {
    cooled: "a temperature of 0.99",
    heated: "a temperature of 1.01",
    top_fifty: "only the 50 likeliest of 65 tokens",
    scattered: FILTER,
    nucleus: FILTER,
    least_share: FILTER,
    typical: "",
    penalised: PENALTY,
}
"""Each option, and how its cause names it."""
each = pytest.mark.parametrize("processor", PROCESSORS, ids=lambda one: one.__name__)


def processed(processor: Processor) -> Callable[..., Tensor]:
    """Make a generate that changes the scores before each draw."""

    def generate(model: Any, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            scores = processor(idx, model(idx)[0][:, -1].detach())
            idx = torch.cat([idx, scores.softmax(dim=-1).multinomial(1)], dim=-1)
        return idx

    return generate


def failure(clause_id: str, factory: Callable[[int], object], processor: Processor) -> Broken:
    """Return how the first case fails that does."""
    clause = BY_ID[clause_id]
    subject = TorchSubject(factory=factory, given={"generate": processed(processor)})
    for case in CASES[clause.case].corners:
        with isolated_streams():
            answer = try_case(clause, subject, case, seed=0)
        if isinstance(answer, Broken):
            return answer
    pytest.fail(f"{clause_id} noticed nothing")


def cause_of(broken: Broken) -> str:
    return broken.cause if isinstance(broken.cause, str) else broken.cause()


@each
def test_an_option_of_a_bigram_model_is_noticed_and_named(processor: Processor) -> None:
    broken = failure("generate.law", BigramLanguageModel, processor)
    assert PROCESSORS[processor] in cause_of(broken)


@each
def test_an_option_of_a_gpt_is_noticed_and_named(zoo: ModuleType, processor: Processor) -> None:
    broken = failure("causal.law", zoo.GPT, processor)
    assert PROCESSORS[processor] in cause_of(broken)


@pytest.mark.parametrize("processor", [top_fifty, scattered])
def test_a_filter_shows_in_a_model_whose_weights_are_out_of_reach(
    zoo: ModuleType, processor: Processor
) -> None:
    def hidden(C: int) -> Callable[[Tensor], object]:
        return partial(zoo.GPT(C).eval())

    assert FILTER in cause_of(failure("causal.law", hidden, processor))
