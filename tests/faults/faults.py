"""Machine-made faults: each expression of right code made wrong in each way, one at a time.

`python tests/faults/faults.py` tries 12,000 of them, `--sample 400` as many as it says. Each one is
killed by a clause; or equivalent, if it changes no bit of what a long random trial sees; or it
survives, which shows a gap in the clauses unless the contract allows what it does.
"""

import hashlib
import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "mutants")]

import torch  # noqa: E402  after the path
from instrument import SITES, Fault, copy_of, faulty, watching, wrap  # noqa: E402  likewise
from operators import CONDITIONS, FLOATS, INTS  # noqa: E402  likewise
from trial import digest_of  # noqa: E402  likewise

MUTANTS = HERE.parent / "mutants"
wrap(
    MUTANTS,
    dict.fromkeys(("right_models", "right_parts", "wrong_forward", "gpt", "wrong_causal"), ()),
)

from zoo import specimens  # noqa: E402  once its modules are wrapped

from reference.conformance.runner import Plan, planned, run  # noqa: E402  likewise
from reference.conformance.subjects import own  # noqa: E402  likewise
from reference.conformance.subjects.torch_models import TorchSubject  # noqa: E402  likewise
from reference.conformance.verdicts import BROKEN, Verdict  # noqa: E402  likewise
from reference.model import BigramLanguageModel  # noqa: E402  likewise
from reference.spec.clause import BIGRAM, Level  # noqa: E402  likewise

EXAMPLES = 4
"""Cases that Hypothesis draws for a clause: as few as in the kill matrix."""
MOST = 12_000
"""Faults of a whole run: a fair sample of all, as each expression has some ninety."""
LIMIT = 120.0
"""Seconds for one fault: one that takes longer is taken for a hang."""
LEFT_OUT = {"a scripted model", "a compiled model"}
"""Right specimens whose code torch reads for itself."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """Right code to make faults in."""

    name: str
    make: Callable[[], TorchSubject]
    concepts: tuple[str, ...] | None = None
    profile: str = BIGRAM

    @property
    def whole(self) -> bool:
        """Whether it is a model, and not one of the other parts."""
        return self.concepts is None or "forward" in self.concepts


MODEL = ("forward", "index", "embedding", "loss", "gradient", "generate")


def rights() -> Iterator[Right]:
    """Yield the reference, part by part, and every right specimen."""
    model = copy_of("faulted_model", ROOT / "reference/model.py")
    data = copy_of("faulted_data", ROOT / "reference/data.py")
    training = copy_of("faulted_training", ROOT / "reference/training.py")
    words = copy_of("faulted_vocabulary", ROOT / "reference/vocabulary.py")
    parts: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "model": ({"factory": model.BigramLanguageModel}, MODEL),
        "get_batch": ({"batch": data.get_batch}, ("batch",)),
        "vocabulary": ({"words": words.Vocabulary.from_text}, ("vocabulary",)),
        "training": ({"train_step": own.train_step}, ("training",)),
    }
    own.train = training.train  # type: ignore[attr-defined]  # the copy, in place of the original
    for name, (given, concepts) in parts.items():
        make = partial(TorchSubject, **{"factory": BigramLanguageModel, **given})
        yield Right(name=f"the reference's {name}", make=make, concepts=concepts)
    for one in specimens():
        if not one.breaks and one.name not in LEFT_OUT:
            yield Right(name=one.name, make=one.make, concepts=one.concepts, profile=one.profile)


def faults_of(right: Right, claimed: set[int]) -> tuple[str, list[Fault]]:
    """Return the digest of right code and the faults in those of its sites that are not claimed."""
    with watching() as seen, faulty(None):
        before = digest_of(right.make(), whole=right.whole)
    with faulty(None):
        again = digest_of(right.make(), whole=right.whole)
    if before != again:
        print(f"! {right.name}: two trials differ; left out", flush=True)
        return "", []
    sites = {number: kinds for number, kinds in seen.items() if number not in claimed}
    claimed |= set(sites)
    others = [name for name in CONDITIONS if name != "always"]
    faults = []
    for number, kinds in sites.items():
        for kind in sorted(kinds):
            for place, operator in enumerate(FLOATS if kind == "float" else INTS):
                now_and_then = others[(number * 7 + place) % len(others)]
                faults += [
                    Fault(number, kind, operator, condition)
                    for condition in ("always", now_and_then)
                ]
    return before, faults


def judge(right: Right, before: str, fault: Fault) -> dict[str, object]:
    """Say what becomes of one fault."""
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    with faulty(fault) as state:
        after = digest_of(right.make(), whole=right.whole)
        applied = state.applied
    if after == before:
        return {"outcome": "equivalent" if applied else "never"}
    plan = Plan(
        clauses=planned(right.concepts, None, right.profile),
        profile=right.profile,
        examples=EXAMPLES,
        smallest=False,
    )
    with faulty(fault):
        results = list(run(right.make(), plan))
    broken = [one.id for one in results if one.verdict in BROKEN and one.level is not Level.CHOICE]
    kit = [one.cause for one in results if one.verdict is Verdict.KIT_ERROR]
    outcome = "kit-error" if kit else "killed" if broken else "survived"
    return {
        "outcome": outcome,
        "clauses": broken,
        "seconds": time.perf_counter() - begin,
        "kit": kit,
    }


def child(right: Right, before: str, fault: Fault, to: Connection) -> None:
    """Judge one fault, and send what was found."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    to.send(judge(right, before, fault))


def judged(
    work: Sequence[tuple[Right, str, Fault]], workers: int
) -> Iterator[tuple[Right, Fault, dict[str, object]]]:
    """Judge each fault in a process of its own, some at a time."""
    context = get_context("fork")
    waiting = list(reversed(work))
    running: dict[Any, tuple[ForkProcess, float, Right, Fault]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            right, before, fault = waiting.pop()
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(right, before, fault, theirs))
            process.start()
            theirs.close()
            running[mine] = process, time.monotonic() + LIMIT, right, fault
        ready = set(wait(list(running), timeout=0.2))
        for mine, (process, until, right, fault) in list(running.items()):
            late = time.monotonic() > until
            if mine not in ready and not late:
                continue
            try:
                found = mine.recv() if mine in ready else {"outcome": "killed", "clauses": ["hang"]}
            except EOFError:
                found = {"outcome": "killed", "clauses": ["crash"]}
            process.kill()
            process.join()
            mine.close()
            del running[mine]
            yield right, fault, found


def order(fault: Fault) -> str:
    """Return what to sort faults by, so that any first ones are a fair sample."""
    site = SITES[fault.site]
    text = f"{site.name} {fault.kind} {fault.operator} {fault.condition}"
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """Run, and print what was found."""
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    most = int(options.get("--sample", MOST))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    claimed: set[int] = set()
    every: list[tuple[Right, str, Fault]] = []
    for right in rights():
        before, faults = faults_of(right, claimed)
        every += [(right, before, fault) for fault in faults]
        print(f"{time.perf_counter() - begin:5.0f} s {len(faults):6} {right.name}", flush=True)
    every.sort(key=lambda one: order(one[2]))
    print(f"{len(every)} faults at {len(claimed)} of {len(SITES)} sites", flush=True)
    tally: Counter[str] = Counter()
    with Path(options.get("--out", os.devnull)).open("w", encoding="utf-8") as out:
        for number, (right, fault, found) in enumerate(
            judged(every[:most], int(options.get("--workers", 2))), start=1
        ):
            outcome = str(found["outcome"])
            tally[outcome] += 1
            site = SITES[fault.site]
            line = {"right": right.name, "at": site.name, **vars(fault), **found}
            out.write(json.dumps(line) + "\n")
            out.flush()
            if outcome in {"survived", "kit-error"}:
                print(f"{outcome}: {site.name} | {fault.operator}, {fault.condition}", flush=True)
            if number % 100 == 0:
                print(f"{time.perf_counter() - begin:5.0f} s {dict(tally)}", flush=True)
    told = tally["killed"] + tally["survived"]
    print(f"{dict(tally)}: {tally['killed'] / max(told, 1):.2%} of those that change anything")
    return 1 if tally["survived"] or tally["kit-error"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
