"""The smallest fault of each family that a clause judging by chance is all but sure to notice.

`python tests/mutants/power.py` plants faults of several strengths in a right sampler, and runs the
whole clause on each, with 200 seeds. The weakest that all but 1 in 100 of the runs notice goes into
`reference/spec/power.json` with `--write`, and from there to the clause's page. With ids, only
these clauses are looked at. It takes a quarter of an hour on one core.
"""

import ast
import hashlib
import inspect
import itertools
import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from gpt import GPT
from torch import Tensor

from reference.conformance.corner_cases import CASES
from reference.conformance.reports.power import POWER, Power
from reference.conformance.runner import isolated_streams, try_case
from reference.conformance.subjects.torch_models import TorchSubject
from reference.model import BigramLanguageModel
from reference.oracle.law import held
from reference.oracle.learning import softmax
from reference.spec.cases import Case, ContextLawCase, graded_law, to_json
from reference.spec.catalogue import catalogue
from reference.spec.clause import Clause
from reference.spec.expect import Broken, expect_graded, expect_independent, expect_law
from reference.spec.measures import graded_model, logits_of

SEEDS = 200
"""Runs of a clause for each strength."""
SHARE = 100
"""One run in this many may miss the fault."""
TRIAL = 20
"""Runs for each strength to begin with; here too, one may miss the fault."""
EACH = 2
"""Runs for each top_k but the greatest."""
MOST_TOKENS = 65
"""C of the clauses that have no cases, but tables of their own."""
FEW = 4096
"""Prompts of which each is scored once, however often it occurs in a batch."""

Law = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""From scores (R, C), prompts (R, T) and a strength to probabilities (R, C)."""
Fault = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The same, at one strength."""


# -- the families --


def _temperature(scores: np.ndarray, _prompts: np.ndarray, T: float) -> np.ndarray:
    return softmax(scores / T)


def _nucleus(scores: np.ndarray, _prompts: np.ndarray, share: float) -> np.ndarray:
    return _until(softmax(scores), -scores, share)


def _typical(scores: np.ndarray, _prompts: np.ndarray, share: float) -> np.ndarray:
    P = softmax(scores)
    surprise = -np.log(np.maximum(P, 1e-300))
    return _until(P, np.abs(surprise - (P * surprise).sum(axis=1, keepdims=True)), share)


def _until(P: np.ndarray, by: np.ndarray, share: float) -> np.ndarray:
    """Keep the tokens that come first, until they have this share of the probability."""
    order = np.argsort(by, axis=1, kind="stable")
    ordered = np.take_along_axis(P, order, axis=1)
    ordered[np.cumsum(ordered, axis=1) - ordered >= share] = 0
    kept = np.zeros_like(P)
    np.put_along_axis(kept, order, ordered, axis=1)
    return kept


def _top_k(scores: np.ndarray, _prompts: np.ndarray, k: float) -> np.ndarray:
    least = np.sort(scores, axis=1)[:, -min(int(k), scores.shape[1])]
    return softmax(np.where(scores < least[:, None], -np.inf, scores))


def _min_p(scores: np.ndarray, _prompts: np.ndarray, share: float) -> np.ndarray:
    probs = softmax(scores)
    kept: np.ndarray = probs * (probs >= share * probs.max(axis=1, keepdims=True))
    return kept


def _epsilon(scores: np.ndarray, _prompts: np.ndarray, least: float) -> np.ndarray:
    probs = softmax(scores)
    first = probs == probs.max(axis=1, keepdims=True)
    kept: np.ndarray = probs * ((probs >= least) | first)
    return kept


def _penalty(scores: np.ndarray, prompts: np.ndarray, by: float) -> np.ndarray:
    lower = np.where(scores > 0, scores / by, scores * by)
    return softmax(np.where(held(prompts, scores.shape[1]), lower, scores))


def _smoothing(scores: np.ndarray, _prompts: np.ndarray, share: float) -> np.ndarray:
    mixed: np.ndarray = (1 - share) * softmax(scores) + share / scores.shape[1]
    return mixed


COLD = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.992, 0.995, 0.998, 0.999)
HOT = (10, 4, 2, 1.5, 1.3, 1.2, 1.1, 1.05, 1.03, 1.02, 1.015, 1.01, 1.008, 1.005, 1.002, 1.001)
SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9997)
LEAST = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 8e-4, 7e-4, 6e-4, 5e-4)
EPSILONS = (0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 4e-4, 3.5e-4, 3e-4, 2e-4)
PENALTIES = (4, 2, 1.5, 1.3, 1.2, 1.1, 1.05, 1.03, 1.02, 1.015, 1.01, 1.005, 1.002)
MIXED = (1, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 5e-3, 3e-3, 2e-3, 1e-3, 5e-4)
LAWS: dict[str, tuple[tuple[float, ...], Law]] = {
    "temperature below 1": (COLD, _temperature),
    "temperature above 1": (HOT, _temperature),
    "nucleus (top_p)": (SHARES, _nucleus),
    "min_p": (LEAST, _min_p),
    "typical_p": (SHARES, _typical),
    "epsilon cutoff": (EPSILONS, _epsilon),
    "repetition penalty": (PENALTIES, _penalty),
    "share of draws of all tokens alike": (MIXED, _smoothing),
}
"""Families of faults in the law of a token: their strengths, the strongest first."""


# -- the samplers --

Score = Callable[[Tensor], Tensor]
"""From prompts (R, T) to the scores of the next token, (R, C)."""


def _continued(score: Score, C: int, idx: Tensor, n: int, fault: Fault) -> Tensor:
    """Continue idx by n tokens, each drawn from the faulted law.

    Shape: (B, T) -> (B, T + n).
    """
    for _ in range(n):
        prompts, which = _told_apart(idx, C)
        P = fault(score(prompts).double().numpy(), prompts.numpy())
        ends = np.cumsum(P / P.sum(axis=1, keepdims=True), axis=1)
        ends[:, -1] = 1
        ends += np.arange(len(P))[:, None]
        dice = which + torch.rand(len(idx), dtype=torch.float64).numpy()
        new = np.searchsorted(ends.ravel(), dice, side="right") - which * C
        idx = torch.cat([idx, torch.from_numpy(new)[:, None]], dim=1)
    return idx


def _told_apart(idx: Tensor, C: int) -> tuple[Tensor, np.ndarray]:
    """Return the prompts in a batch, and which of them each row is."""
    T = idx.shape[1]
    if min(FEW, len(idx)) < C**T:
        return idx, np.arange(len(idx))
    prompts = torch.cartesian_prod(*[torch.arange(C)] * T).reshape(-1, T)
    return prompts, (idx * C ** torch.arange(T - 1, -1, -1)).sum(dim=1).numpy()


def of_a_table(fault: Fault) -> TorchSubject:
    """Return the reference's model with such a sampler."""

    def generate(model: BigramLanguageModel, idx: Tensor, max_new_tokens: int) -> Tensor:
        table = model.token_embedding_table.weight.detach()
        return _continued(partial(_last_row, table), len(table), idx, max_new_tokens, fault)

    return TorchSubject(factory=BigramLanguageModel, given={"generate": generate})


def _last_row(table: Tensor, prompts: Tensor) -> Tensor:
    return table[prompts[:, -1]]


def of_the_notes(fault: Fault) -> TorchSubject:
    """Return the reference's model, which draws by the notes' own lines from a faulted law."""

    def generate(model: BigramLanguageModel, idx: Tensor, max_new_tokens: int) -> Tensor:
        table = model.token_embedding_table.weight.detach()
        for _ in range(max_new_tokens):
            prompts, which = _told_apart(idx, len(table))
            law = fault(_last_row(table, prompts).double().numpy(), prompts.numpy())
            P = torch.from_numpy(law).float()[torch.from_numpy(which)]
            idx = torch.cat([idx, torch.multinomial(P, num_samples=1)], dim=1)
        return idx

    return TorchSubject(factory=BigramLanguageModel, given={"generate": generate})


def of_a_gpt(fault: Fault) -> TorchSubject:
    """Return the small GPT of these tests with such a sampler, by the scores that it has there."""
    return TorchSubject(factory=partial(Recorded, fault))


class Recorded:
    """A model that has the scores which the GPT has after all prompts of the clause's cases."""

    scores: dict[tuple[int, int], Tensor] = {}  # noqa: RUF012  shared: the GPT is the same each time

    def __init__(self, fault: Fault, C: int) -> None:
        self.fault, self.C = fault, C

    def score(self, prompts: Tensor) -> Tensor:
        """Return the scores of the next token after each prompt, (R, C)."""
        T = prompts.shape[1]
        places = (prompts * self.C ** torch.arange(T - 1, -1, -1)).sum(dim=1)
        return self.scores[self.C, T][places]

    def __call__(self, idx: Tensor) -> tuple[Tensor, None]:
        """Score the last position; the others are not asked for."""
        logits = torch.zeros(*idx.shape, self.C, dtype=torch.float64)
        logits[:, -1] = self.score(idx)
        return logits, None

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        """Continue idx."""
        return _continued(self.score, self.C, idx, max_new_tokens, self.fault)


def record() -> None:
    """Record the GPT's scores after all prompts of the cases."""
    gpt = TorchSubject(factory=GPT)
    for case in CASES[ContextLawCase].corners:
        assert isinstance(case, ContextLawCase)
        prompts = case.prompts()
        model = graded_model(gpt, case.C, case.table, prompts)
        Recorded.scores[case.C, case.T] = logits_of(model, prompts)[:, -1].detach().double()


def sharing(share: float) -> TorchSubject:
    """Return a model of which every other row takes its neighbour's draw in a share of draws."""

    def generate(model: BigramLanguageModel, idx: Tensor, max_new_tokens: int) -> Tensor:
        assert max_new_tokens == 1
        P = model.token_embedding_table.weight.detach()[idx[:, -1]].softmax(dim=1)
        dice = _shared(torch.rand(len(idx)), share)
        new = (P.cumsum(dim=1) < dice[:, None]).sum(dim=1, keepdim=True)
        return torch.cat([idx, new.clamp(max=P.shape[1] - 1)], dim=1)

    return TorchSubject(factory=BigramLanguageModel, given={"generate": generate})


def _shared(dice: Tensor, share: float) -> Tensor:
    pairs = len(dice) // 2
    alike = torch.rand(pairs) < share
    dice[1 : 2 * pairs : 2] = torch.where(alike, dice[: 2 * pairs : 2], dice[1 : 2 * pairs : 2])
    return dice


def sharing_offsets(share: float) -> TorchSubject:
    """Return a get_batch whose every other row has its neighbour's offset in a share of draws."""
    return _batches(lambda dice, places: (_shared(dice, share) * places).long())


def favouring(times: float) -> TorchSubject:
    """Return a get_batch that draws the first eighth of the offsets as many times as often."""

    def offsets(dice: Tensor, places: int) -> Tensor:
        first = times / (times + 7)
        inside = torch.where(
            dice < first, dice / first / 8, (1 + (dice - first) / (1 - first) * 7) / 8
        )
        return (inside * places).long().clamp(max=places - 1)

    return _batches(offsets)


def _batches(offsets: Callable[[Tensor, int], Tensor]) -> TorchSubject:
    def get_batch(data: Tensor, block_size: int, batch_size: int) -> tuple[Tensor, Tensor]:
        dice = torch.rand(batch_size, dtype=torch.float64)
        starts = offsets(dice, len(data) - block_size)
        x = data[starts[:, None] + torch.arange(block_size)]
        return x, data[starts[:, None] + torch.arange(block_size) + 1]

    return TorchSubject(factory=BigramLanguageModel, given={"get_batch": get_batch})


Plant = Callable[[float], TorchSubject]
Make = Callable[[Fault], TorchSubject]
MODELS: dict[str, dict[str, Make]] = {
    "generate.law": {"graded tables": of_a_table},
    "generate.alone": {"its table": of_a_table},
    "generate.one-at-a-time": {"its table": of_a_table},
    "generate.law.exact": {"graded table": of_the_notes},
    "causal.law": {"graded tables": of_a_table, "a small GPT": of_a_gpt},
    "causal.chain": {"a bigram model": of_a_table},
}
"""For each clause about a law of tokens, the models in which faults are planted."""
NEIGHBOURS = "share of draws that are the row's before"
OTHERS: dict[str, dict[str, tuple[tuple[float, ...], Plant]]] = {
    "generate.rows-independent": {NEIGHBOURS: (MIXED, sharing)},
    "batch.rows-independent": {NEIGHBOURS: (MIXED, sharing_offsets)},
    "batch.offset-law": {
        "an eighth of the offsets drawn more often, times": (HOT, favouring),
        "an eighth of the offsets drawn less often, times": (COLD, favouring),
    },
}
"""For each of the other clauses its families, in the reference."""


# -- what is noticed --


def notices(clause: Clause, subject: TorchSubject, cases: Iterable[Case], seed: int) -> bool:
    """Return whether a run of the clause on these cases fails the subject."""
    with isolated_streams():
        return any(isinstance(try_case(clause, subject, case, seed), Broken) for case in cases)


def is_sure(clause: Clause, subject: TorchSubject, cases: Iterable[Case], seeds: int) -> bool:
    """Return whether all but 1 in 100 of as many runs notice, or all but one of fewer."""
    missed, cases = 0, tuple(cases)
    for seed in range(seeds):
        missed += not notices(clause, subject, cases, seed)
        if missed > max(1, seeds // SHARE):
            return False
    return True


def weakest(clause: Clause, strengths: tuple[float, ...], plant: Plant) -> str:
    """Return the weakest fault that is noticed, or "none" if there is none."""
    cases = CASES[clause.case].corners
    for strength in reversed(strengths):
        planted = plant(strength)
        if all(is_sure(clause, planted, cases, seeds) for seeds in (TRIAL, SEEDS)):
            return f"{strength:g}"
    return "none"


def greatest_k(clause: Clause, plant: Plant, case: Case) -> str:
    """Return the greatest top_k of which it and all below are noticed on one case."""
    C = getattr(case, "C", MOST_TOKENS)
    for k in range(C - 1, 0, -1):
        if is_sure(clause, plant(k), (case,), SEEDS):
            below = itertools.product(range(1, k), range(EACH))
            kept = all(notices(clause, plant(less), (case,), seed) for less, seed in below)
            return f"{k} of {C}" if kept else "none"
    return "none"


def power_of(clause: Clause) -> Power:
    """Compute the power of one clause."""
    corners, rows = CASES[clause.case].corners, defaultdict[str, list[str]](list)
    for make in MODELS.get(clause.id, {}).values():
        for name, (strengths, law) in LAWS.items():
            rows[name].append(weakest(clause, strengths, _planted(make, law)))
        top_k = _planted(make, _top_k)
        greatest = [greatest_k(clause, top_k, case) for case in corners]
        if greatest != ["none"]:
            rows["top_k"].append(", ".join(greatest))
    for name, (strengths, plant) in OTHERS.get(clause.id, {}).items():
        rows[name].append(weakest(clause, strengths, plant))
    columns = list(MODELS.get(clause.id, {"the reference": None}))
    return Power(digest=digest(clause), columns=columns, rows=rows)


def digest(clause: Clause) -> str:
    """Digest what the figures follow from: the clause's cases, and its code without comments."""
    cases = [to_json(case) for case in CASES[clause.case].corners]
    told = [{k: v for k, v in case.items() if v is not False} for case in cases]
    whole = hashlib.sha256(json.dumps(told).encode())
    for check in (clause.check, expect_law, expect_graded, expect_independent, graded_law):
        tree = ast.parse(inspect.getsource(inspect.unwrap(check)))
        for part in ast.walk(tree):
            if isinstance(part, ast.FunctionDef):
                part.decorator_list.clear()  # which say what is asked first, and not how
                if ast.get_docstring(part):
                    del part.body[0]
        whole.update(ast.unparse(tree).encode())
    return whole.hexdigest()[:16]


def _planted(make: Make, law: Law) -> Plant:
    return lambda strength: make(lambda scores, prompts: law(scores, prompts, strength))


def main() -> int:
    """Compute the tables; give the exit code."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    record()
    chosen = [word for word in sys.argv[1:] if not word.startswith("-")] or [*MODELS, *OTHERS]
    every = json.loads(POWER.read_text(encoding="utf-8")) if POWER.exists() else {}
    for clause in catalogue(None):
        if clause.id in chosen:
            begin = time.perf_counter()
            every[clause.id] = power_of(clause)
            if "--write" in sys.argv:
                text = json.dumps(every, indent=1, sort_keys=True)
                POWER.write_text(f"{text}\n", encoding="utf-8")
            print(f"{clause.id}, {time.perf_counter() - begin:.0f} s:", flush=True)
            for name, figures in every[clause.id]["rows"].items():
                print(f"    {name}: {' | '.join(figures)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
