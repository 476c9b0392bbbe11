"""How often the clauses that judge by chance turn down what is right: the reference, and a GPT.

`python tests/mutants/alarms.py 500` tries every case of each of them with 500 seeds. Each says of
itself that this happens at most once in 1e9 runs, so that a single alarm is a fault of the check.
"""

import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from gpt import GPT
from torch import Tensor

from reference.conformance.corner_cases import cases_of
from reference.conformance.runner import isolated_streams, try_case
from reference.conformance.subjects.own import reference_subject
from reference.conformance.subjects.torch_models import TorchSubject
from reference.spec.catalogue import catalogue
from reference.spec.clause import CAUSAL, Clause
from reference.spec.expect import Broken
from reference.spec.measures import longest

AT_ONCE = 25
"""Seeds between two lines of progress."""


def by_chance() -> list[tuple[TorchSubject, Clause]]:
    """Give the clauses whose verdict rests on chance, each with one that is right.

    A bigram model says too little of the clauses that are about what comes before.
    """
    bigram = [clause for clause in catalogue() if "Alarm" in clause.remarks]
    causal = [clause for clause in catalogue(CAUSAL) if "Alarm" in clause.remarks]
    found = [(reference_subject(), clause) for clause in bigram]
    # Without a choice of greedy, its two generates are compared on one stream.
    gpt = TorchSubject(factory=Drawing)
    return found + [(gpt, clause) for clause in causal if clause not in bigram]


class Drawing(GPT):
    """A GPT whose generate always draws."""

    def generate(  # type: ignore[override]  # as said
        self, idx: Tensor, max_new_tokens: int, *, use_cache: bool = True
    ) -> Tensor:
        """Continue idx."""
        return super().generate(idx, max_new_tokens, use_cache=use_cache)


def alarms(seed: int) -> list[str]:
    """Try every case of each with one seed; say which of them raise an alarm."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    raised = []
    for subject, clause in by_chance():
        most = longest(subject) if subject.factory is Drawing else None
        for case in cases_of(clause.case, longest=most).corners:
            with isolated_streams():
                answer = try_case(clause, subject, case, seed)
            if isinstance(answer, Broken):
                raised.append(f"{clause.id}, seed {seed}: {answer.expected}, saw {answer.seen}")
    return raised


def main() -> int:
    """Try the seeds from 1 to the number that is given; give the exit code."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    names = ", ".join(clause.id for _subject, clause in by_chance())
    print(f"{seeds} seeds for {names}", flush=True)
    begin, failed = time.perf_counter(), 0
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        answers: Iterator[list[str]] = pool.map(alarms, range(1, seeds + 1))
        for number, raised in enumerate(answers, start=1):
            for line in raised:
                print("!", line, flush=True)
            failed += bool(raised)
            if number % AT_ONCE == 0:
                print(f"{number} seeds in {time.perf_counter() - begin:.0f} s", flush=True)
    print(f"{seeds - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
