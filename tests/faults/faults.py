"""Machine-made faults: each expression of right code made wrong in each way, one at a time.

`python tests/faults/faults.py` tries 12,000 of them, `--sample 400` as many as it says, and `--only
FILE` those that a file lists as `--out` writes them: JSON, one a line. Each one is killed by a
clause; or equivalent, if it changes no bit of what a long random trial sees; or it survives, which
shows a gap in the clauses unless the contract allows what it does.
"""

import hashlib
import json
import os
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import torch
from instrument import SITES, Fault
from judging import Task, Tried, faults_at, in_children, judged, tried
from rights import rights
from trial import digest_of

from reference.conformance.subjects import own

MOST = 12_000
"""Faults of a whole run: a fair sample of all, as each expression has some ninety."""


def options(given: list[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Make right code wrong, expression by expression.")
    parser.add_argument("--sample", type=int, default=MOST, metavar="N", help="faults to judge")
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="processes at a time")
    parser.add_argument("--only", type=Path, metavar="FILE", help="judge the faults of this file")
    parser.add_argument(
        "--by-all", type=int, default=0, metavar="N", help="judge the first N by every clause"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what becomes of each")
    return parser.parse_args(given)


def order(fault: Fault) -> str:
    """Return what to sort faults by, so that any first ones are a fair sample."""
    text = f"{SITES[fault.site].name} {fault.kind} {fault.operator} {fault.condition}"
    return hashlib.sha256(text.encode()).hexdigest()


def every_task(workers: int) -> list[Task]:
    """Return all faults of all right code, each at the first code that reaches its expression."""
    every = list(rights())
    found: dict[int, Tried | None] = dict(
        in_children([partial(tried, right) for right in every], workers)
    )
    claimed: set[tuple[int, str]] = set()
    tasks: list[Task] = []
    for number, right in enumerate(every):
        one = found[number]
        if not isinstance(one, Tried):
            print(f"! {right.name}: two trials differ; left out", flush=True)
            continue
        sites = {site: visits for site, visits in one.sites.items() if site not in claimed}
        claimed |= set(sites)
        for (site, kind), visits in sites.items():
            tasks += [Task(right, one.steps, fault) for fault in faults_at(site, kind, visits)]
    expressions = len({site for site, _kind in claimed})
    print(f"{len(tasks)} faults at {expressions} of {len(SITES)} expressions", flush=True)
    return sorted(tasks, key=lambda task: order(task.fault))


def listed(tasks: list[Task], file: Path) -> list[Task]:
    """Return the faults that a file lists: at the line that it says, or else by their text."""
    by_place: dict[tuple[str, ...], list[Task]] = defaultdict(list)
    for task in tasks:
        site, fault = SITES[task.fault.site], task.fault
        for place in (site.name, site.place):
            by_place[place, fault.operator, fault.condition].append(task)
    chosen: dict[Task, None] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        file_, _, rest = one["at"].partition(":")
        what = one["operator"], one["condition"]
        there = by_place[one["at"], *what] or by_place[f"{file_} {rest.partition(' ')[2]}", *what]
        if not there:
            print(f"? not there: {one['at']} | {' | '.join(what)}", flush=True)
        chosen |= dict.fromkeys(there)
    return list(chosen)


def main() -> int:
    """Run, and print what was found."""
    given = options()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    digest_of(own.reference_subject, whole=True)  # which imports what torch imports late
    tasks = every_task(given.workers)
    tasks = listed(tasks, given.only) if given.only else tasks[: given.sample]
    print(f"{time.perf_counter() - begin:5.0f} s: {len(tasks)} faults to judge", flush=True)
    tally: Counter[str] = Counter()
    with (given.out or Path(os.devnull)).open("w", encoding="utf-8") as out:
        for number, (task, found) in enumerate(judged(tasks, given.workers, given.by_all), start=1):
            outcome = found["outcome"]
            tally[outcome] += 1
            site = SITES[task.fault.site]
            line = {"right": task.right.name, "at": site.name, **vars(task.fault), **found}
            out.write(json.dumps(line) + "\n")
            out.flush()
            if outcome in {"survived", "allowed", "kit-error"}:
                what = f"{task.fault.operator}, {task.fault.condition}"
                print(f"{outcome}: {site.name} | {what} | {found.get('reason')}{found.get('gap')}")
            if number % 100 == 0:
                print(f"{time.perf_counter() - begin:5.0f} s {dict(tally)}", flush=True)
    told = tally["killed"] + tally["survived"] + tally["allowed"]
    print(f"{dict(tally)}: {tally['killed'] / max(told, 1):.2%} of those that change anything")
    return 1 if tally["survived"] or tally["kit-error"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
