"""The profile causal-lm, on a small GPT, its wrong twins, and a model of transformers."""

import re
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference.conformance import Verdict, check, parametrize_clauses
from reference.conformance.corner_cases import CASES, cases_of, needed
from reference.conformance.errors import ProfileError, UnknownClauseError
from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.runner import Plan, planned
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.target import Target
from reference.conformance.verdicts import Report, Result
from reference.model import BigramLanguageModel
from reference.spec.cases import PromptCase
from reference.spec.catalogue import catalogue
from reference.spec.causes.causal import uncached
from reference.spec.clause import BIGRAM, CAUSAL, PROFILES, Level
from reference.spec.measures import LONGEST, wide_model

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")

HERE = Path(__file__).parent
needs_hub = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)


@pytest.fixture(scope="module")
def zoo() -> Iterator[ModuleType]:
    """Give the GPTs, right and wrong."""
    folder = str(HERE.parent / "mutants")
    sys.path.insert(0, folder)
    yield import_module("wrong_causal")
    sys.path.remove(folder)


def judged(model: Any, *clauses: str, **options: Any) -> Report:
    wanted = list(clauses) or None
    return check(model, profile=CAUSAL, clauses=wanted, examples=4, **options)


def test_a_small_gpt_with_a_cache_conforms(zoo: ModuleType) -> None:
    report = judged(zoo.GPT)
    assert report.conforms(), report.broken()
    told = {result.id: result for result in report.clauses}
    assert told["generate.cached"].verdict is told["causal.padding"].verdict is Verdict.PASS
    assert told["causal.context"].seen == "the tokens before it"
    (note,) = report.notes
    assert note.startswith("the kit writes numbers of its own into the model's weights")


def test_a_bigram_model_is_a_causal_one() -> None:
    report = judged(BigramLanguageModel)
    assert report.conforms(), report.broken()
    told = {result.id: result for result in report.clauses}
    assert told["causal.context"].seen == "its own token alone"
    assert told["generate.cached"].verdict is told["causal.padding"].verdict is Verdict.SKIP


NAMED = {
    "LeakingMask": ("causal.no-future", "no causal mask"),
    "MaskOffByOne": ("causal.no-future", "the causal mask is off by one"),
    "WrongAxis": ("causal.no-future", "softmax over dim -2"),
    "FusedLeak": ("causal.no-future", "scaled_dot_product_attention is called without a mask"),
    "SoftmaxWithoutDim": ("causal.no-future", "softmax over dim 0"),
    "NormOverTime": ("causal.no-future", "a layer is normalised over time"),
    "CachedMask": ("causal.lengths", "such as a mask that is made only once"),
    "Crosstalk": ("forward.batch-independent", "sequences of one batch influence each other"),
    "AlwaysDropout": ("forward.repeatable", "dropout that evaluation does not turn off"),
    "ShiftedTwice": ("causal.loss", "targets are shifted inside once more"),
    "Unshifted": ("causal.loss", "labels are not shifted: .* learns to copy"),
    "PaddingSeen": ("causal.padding", "padding on the left shows through"),
    "PositionsStand": ("generate.cached", "positions under the cache .* at 1 is looked up as 0"),
    "PositionsOffByOne": ("generate.cached", "positions under .* at 1 is looked up as 2"),
    "RowsShareCache": ("generate.cached", "the rows of a batch share their cache"),
    "CacheKept": ("generate.cached", "keeps something from one call to the next"),
    "LastTokenAlone": ("causal.law", "drawn from the last token alone"),
    "OneDraw": ("causal.chain", "a draw is used twice"),
}
"""Wrong GPTs, the clause that catches each, and how its cause names it."""


@pytest.mark.parametrize("name", NAMED)
def test_a_wrong_gpt_is_caught_with_a_cause_that_names_it(zoo: ModuleType, name: str) -> None:
    clause, words = NAMED[name]
    report = judged(getattr(zoo, name), clause)
    (broken,) = (result for result in report.broken() if result.id == clause)
    assert re.search(words, broken.cause), broken.cause


def test_rows_share_a_cache_only_if_one_changes_how_another_is_continued(zoo: ModuleType) -> None:
    class Off(zoo.GPT):  # type: ignore[name-defined,misc]  # of a module found at run time
        """So little that a row alone is continued as it should be on most seeds."""

        def step(self, idx: Tensor, cache: Any, past: int) -> Tensor:
            scores: Tensor = super().step(idx, cache, past)
            return scores * 1.2 if cache is not None and past else scores

    def cause(model: type) -> str:
        make = partial(wide_model, TorchSubject(factory=model), 5, 0)
        rows = torch.tensor([[0, 1], [2, 4]])
        return uncached(make, rows, 8, greedy=False, agree=lambda some, n: len(some) == 1 or n < 3)

    assert cause(zoo.RowsShareCache).startswith("the rows of a batch share their cache")
    assert cause(Off) == "the fast generate leaves the plain one at new token 2"


def test_the_smallest_case_of_a_leak_is_two_tokens(zoo: ModuleType) -> None:
    (broken,) = judged(zoo.LeakingMask, "causal.no-future").broken()
    assert broken.case is not None
    assert broken.case["C"] == 2
    assert broken.case["idx"] in (((1, 0),), ((0, 1),))


class Short(nn.Module):
    """Takes sixteen tokens and no more."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab_size, 4), nn.Embedding(16, 4)
        self.head = nn.Linear(4, vocab_size)

    def forward(self, idx: Tensor) -> tuple[Tensor, None]:
        return self.head(self.tokens(idx) + self.places(torch.arange(idx.shape[1]))), None


def test_a_short_block_size_is_a_limit_and_no_leak() -> None:
    report = judged(Short, "causal.lengths", "causal.block-size")
    assert report.conforms(), report.broken()
    told = {result.id: result for result in report.clauses}
    assert told["causal.block-size"].seen == "at most 16 tokens"
    assert told["causal.lengths"].verdict is Verdict.PASS


@pytest.mark.parametrize(("block_size", "crops"), [(5, True), (8, False)])
def test_a_gpt_with_a_short_block_size_conforms(
    zoo: ModuleType,
    block_size: int,
    crops: bool,
) -> None:
    report = judged(lambda C: zoo.Cropping(C, block_size=block_size, crops=crops))
    assert report.conforms(), report.broken()
    assert not report.of(Verdict.BLOCKED)


def test_a_leak_shows_in_a_model_with_a_short_block_size(zoo: ModuleType) -> None:
    class Leaking(zoo.Cropping):  # type: ignore[name-defined,misc]  # of a module found at run time
        attention = zoo.Unmasked

    report = judged(lambda C: Leaking(C, block_size=8), "causal.no-future")
    (broken,) = report.broken()
    assert "the attention has no causal mask" in broken.cause


class Recomputed(nn.Module):
    """Has a fast generate that is right, and none with an option."""

    def __init__(self, vocab_size: int, *, wrong: bool = False) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.wrong = wrong

    def forward(self, idx: Tensor) -> tuple[Tensor, None]:
        sums = self.tokens(idx).cumsum(dim=1)
        return self.head(sums / torch.arange(1, idx.shape[1] + 1)[:, None]), None

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        total, idx = self.tokens(idx).sum(dim=1), idx.clone()
        for _ in range(max_new_tokens):
            mean = total / idx.shape[1] * (4 if self.wrong and max_new_tokens > 2 else 1)
            new = torch.multinomial(self.head(mean).softmax(dim=1), num_samples=1)
            total, idx = total + self.tokens(new[:, 0]), torch.cat([idx, new], dim=1)
        return idx


def plain(model: Recomputed, idx: Tensor, max_new_tokens: int) -> Tensor:
    for _ in range(max_new_tokens):
        probs = model(idx)[0][:, -1].softmax(dim=1)
        idx = torch.cat([idx, torch.multinomial(probs, num_samples=1)], dim=1)
    return idx


def test_a_plain_generate_can_be_named() -> None:
    (result,) = (
        one
        for one in judged(Recomputed, "generate.cached", plain_generate=plain).clauses
        if one.id == "generate.cached"
    )
    assert result.verdict is Verdict.PASS
    (broken,) = judged(
        lambda C: Recomputed(C, wrong=True), "generate.cached", plain_generate=plain
    ).broken()
    assert "the fast generate leaves the plain one at new token" in broken.cause


def by_uniforms(model: Recomputed, idx: Tensor, max_new_tokens: int) -> Tensor:
    """Draws in another order than torch.multinomial does."""
    dice = torch.rand(max_new_tokens, len(idx), 1)
    for one in dice:
        sums = model(idx)[0][:, -1].softmax(dim=1).cumsum(dim=1)
        new = (sums < one).sum(dim=1, keepdim=True).clamp(max=sums.shape[1] - 1)
        idx = torch.cat([idx, new], dim=1)
    return idx.clone()


def test_a_fast_generate_that_draws_in_a_way_of_its_own_is_judged_by_law() -> None:
    wanted = ["generate.cached", "causal.chain"]
    assert judged(Recomputed, *wanted, generate=by_uniforms, plain_generate=plain).conforms()


def test_models_of_half_precision_are_judged_as_float32(zoo: ModuleType) -> None:
    def halved(name: str) -> Any:
        return lambda C: getattr(zoo, name)(C).to(torch.bfloat16)

    assert judged(halved("GPT"), "causal", "generate.cached").conforms()
    for name in ("LeakingMask", "CachedMask", "Unshifted", "PaddingSeen", "PositionsStand"):
        clause, words = NAMED[name]
        (broken,) = (one for one in judged(halved(name), clause).broken() if one.id == clause)
        assert re.search(words, broken.cause)


class Unnormalised(nn.Module):
    """Six layers that each add to the sum, and so grow it, without a norm."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(vocab_size, 16), nn.Linear(16, vocab_size)
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(6))

    def forward(self, idx: Tensor) -> tuple[Tensor, None]:
        x = self.tokens(idx).cumsum(dim=1)
        for layer in self.layers:
            x = x + layer(x).relu()
        return self.head(x), None

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            probs = (self(idx)[0][:, -1] / 0.8).softmax(dim=1)
            idx = torch.cat([idx, torch.multinomial(probs, num_samples=1)], dim=1)
        return idx.clone()


def test_a_temperature_shows_in_a_model_whose_scores_grow_with_its_layers() -> None:
    (broken,) = (one for one in judged(Unnormalised, "causal.law").broken())
    assert "a temperature of 0.80, where 1 is meant" in broken.cause


class Lazy(nn.Module):
    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens, self.head = nn.Embedding(vocab_size, 4), nn.LazyLinear(vocab_size)

    def forward(self, idx: Tensor) -> tuple[Tensor, None]:
        return self.head(self.tokens(idx)), None


def test_a_model_that_makes_its_weights_later_is_judged() -> None:
    assert judged(Lazy, "causal.prefix").conforms()


class OfArrays:
    """A running mean over NumPy's arrays, with weights of its own each time."""

    def __init__(self, vocab_size: int) -> None:
        dice = np.random.default_rng()
        self.tokens, self.head = dice.normal(size=(vocab_size, 9)), dice.normal(size=(9, 9))
        self.out = dice.normal(size=(9, vocab_size))

    def forward(self, idx: Any, targets: Any = None) -> Any:
        del targets
        sums = self.tokens[idx].cumsum(axis=1) / np.arange(1, idx.shape[1] + 1)[:, None]
        return np.tanh(sums @ self.head) @ self.out, None

    def generate(self, idx: Any, max_new_tokens: int, rng: Any, use_cache: bool = True) -> Any:  # noqa: FBT002  as others name it
        del use_cache
        for _ in range(max_new_tokens):
            powers = np.exp(self.forward(idx)[0][:, -1])
            shares = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1)
            drawn = (shares < rng.random((len(idx), 1))).sum(axis=1, keepdims=True)
            idx = np.concatenate([idx, drawn.clip(max=powers.shape[1] - 1)], axis=1)
        return idx.copy()


def test_a_model_over_arrays_keeps_its_own_weights() -> None:
    report = judged(OfArrays, "causal", "generate.cached", adapter="arrays")
    told = {result.id: result for result in report.clauses}
    assert {name for name, one in told.items() if one.verdict is Verdict.FAIL} == {"loss.scalar"}
    for name in ("causal.lengths", "generate.cached", "causal.chain"):
        assert told[name].verdict is Verdict.PASS, told[name]


def test_no_case_of_the_profile_is_longer_than_it_says() -> None:
    kinds = {clause.case for clause in catalogue(CAUSAL)}
    for kind in kinds:
        cases = cases_of(kind, longest=LONGEST)
        assert cases.corners
        assert all(needed(case) <= LONGEST for case in cases.corners)
    assert max(map(needed, CASES[PromptCase].corners)) > LONGEST


def test_each_profile_has_clauses_of_its_own_and_in_common() -> None:
    bigram, causal = ({clause.id for clause in catalogue(name)} for name in PROFILES)
    assert "forward.memoryless" in bigram - causal
    assert "causal.no-future" in causal - bigram
    assert "forward.batch-independent" in bigram & causal
    every = catalogue(None)
    assert {clause.id for clause in every} == bigram | causal
    alone = [clause for clause in every if clause.profiles == (CAUSAL,)]
    assert sum(clause.level is not Level.CHOICE for clause in alone) == 14
    assert all(set(clause.profiles) <= set(PROFILES) and clause.profiles for clause in every)


def test_a_clause_of_another_profile_is_named_with_it() -> None:
    with pytest.raises(UnknownClauseError, match="in this profile, but there is in bigram"):
        planned(["forward.memoryless"], None, CAUSAL)
    with pytest.raises(UnknownClauseError, match="but there is in causal-lm"):
        planned(None, {"causal.loss": "a reason"}, BIGRAM)
    with pytest.raises(ProfileError, match="one of bigram, causal-lm"):
        parametrize_clauses(BigramLanguageModel, profile="gpt")


@parametrize_clauses(BigramLanguageModel, profile=CAUSAL, clauses=["causal.prefix"])
def test_clauses_of_the_profile_are_tests(clause: Any) -> None:
    clause.check()


# -- transformers, in a process of its own --


def of_hub(factory: str, *clauses: str) -> dict[str, Result]:
    target = Target(target=f"{HERE / 'hub_models.py'}:{factory}", adapter="transformers")
    plan = Plan(clauses=planned(list(clauses) or None, None, CAUSAL), profile=CAUSAL, examples=2)
    # On a busy machine a clause may take longer than the command would wait.
    told = {result.id: result for result in IsolatedRun(target, plan, timeout=3600)}
    judged = {Verdict.PASS, Verdict.FAIL, Verdict.SKIP, Verdict.BLOCKED}
    assert {name: result for name, result in told.items() if result.verdict not in judged} == {}
    return told


@needs_hub
def test_a_tiny_gpt2_is_checked_as_it_is() -> None:
    told = of_hub("make")
    assert {result.id for result in told.values() if result.verdict is Verdict.FAIL} == set()
    kept = {name for name, result in told.items() if result.verdict is Verdict.PASS}
    assert kept >= {
        clause.id for clause in catalogue(CAUSAL) if clause.concept in {"causal", "forward", "loss"}
    }
    assert "generate.cached" in kept
    assert told["generate.zero"].verdict is Verdict.SKIP


@needs_hub
def test_labels_of_transformers_that_are_not_shifted_are_named() -> None:
    told = of_hub("unshifted", "causal.loss")["causal.loss"]
    assert told.verdict is Verdict.FAIL
    assert told.cause.startswith("labels are not shifted")


@needs_hub
def test_positions_that_stand_still_under_the_cache_of_transformers_are_named() -> None:
    told = of_hub("standing", "generate.cached")["generate.cached"]
    assert told.verdict is Verdict.FAIL
    assert "positions under the cache are not those of the tokens" in told.cause
