"""Machine-made faults: each expression of right code made wrong in each way, one at a time.

`python tests/faults/faults.py` judges a sample of 12,000 faults, `--sample 400` one of that size,
and `--only FILE` the faults that a file lists as `--out` writes them: JSON, one a line. Each one is
killed by a clause; or equivalent, if it changes no bit of what a long random trial sees; or
allowed, if it breaks no promise (see `allowed.py`); or it survives: that is a gap in the clauses. A
survivor that `seen.json` does not list fails the run; `--write` records a run there.
"""

import hashlib
import json
import os
import time
import warnings
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from instrument import SITES, Fault
from judging import Task, Tried, faults_at, judged, plans_of, tried
from operators import OPERATORS
from processes import in_children
from record import SEEN, Judged, record, seen, text_of
from rights import rights
from trial import Right

from reference.conformance.runner import planned, run
from reference.conformance.subjects import own

# isort: split
from digest import digest  # of a folder that `rights` puts on the path

MOST = 12_000
"""Faults of a whole run: a fair sample of all."""
BY_ALL = 500
"""Of a run that is recorded, the faults that are judged by all clauses; the others end at the
first clause that they break."""
PART, SOME = 10, 4
"""If nothing has changed since the record, a tenth of the sample is judged, in every fourth right
code."""


def options(given: list[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description="Make right code wrong, expression by expression.")
    parser.add_argument("--sample", type=int, default=MOST, metavar="N", help="faults to judge")
    parser.add_argument("--workers", type=int, default=2, metavar="K", help="processes at a time")
    parser.add_argument("--only", type=Path, metavar="FILE", help="judge the faults of this file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what becomes of each")
    parser.add_argument("--by-all", type=int, metavar="N", help="judge the first N by all clauses")
    parser.add_argument("--write", action="store_true", help="record what was seen")
    parser.add_argument("--unless-seen", action="store_true", help="a tenth, if nothing changed")
    found = parser.parse_args(given)
    if found.by_all is None:
        found.by_all = BY_ALL if found.write else 0
    return found


def order(fault: Fault) -> str:
    """Return what to sort faults by, so that any first ones are a fair sample."""
    text = f"{SITES[fault.site].place} {fault.kind} {fault.operator} {fault.condition}"
    return hashlib.sha256(text.encode()).hexdigest()


def every_task(every: list[Right], workers: int, *, twice: bool) -> list[Task]:
    """Return all faults of right code, each at the first code that reaches its expression.

    It is tried twice to see that two trials agree, which takes as long again.
    """
    found: dict[int, Tried | None] = dict(
        in_children([partial(tried, right, twice=twice) for right in every], workers)
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
    return sorted(tasks, key=lambda task: order(task.fault))


def rights_of(file: Path) -> set[str]:
    """Return the names of the right code in a file of faults, or no names if one is missing."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    told = all("right" in line for line in lines)
    return {line["right"] for line in lines} if told else set()


def listed(tasks: list[Task], file: Path) -> list[Task]:
    """Return the faults that a file lists: at the line that it says, or else by their text."""
    by_place: dict[str, dict[tuple[int, str], Task]] = defaultdict(dict)
    for task in tasks:
        site, fault = SITES[task.fault.site], task.fault
        for place in (site.name, site.place):
            by_place[place].setdefault((fault.site, fault.kind), task)
    chosen: dict[Fault, Task] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        file_, _, rest = one["at"].partition(":")
        there = by_place.get(one["at"]) or by_place.get(f"{file_} {rest.partition(' ')[2]}", {})
        if not there:
            print(f"? not there: {one['at']}", flush=True)
        for (site_, kind), task in there.items():
            if one["operator"] in OPERATORS[kind]:
                fault = Fault(site_, kind, one["operator"], one["condition"])
                chosen[fault] = replace(task, fault=fault)
    return list(chosen.values())


def judge_all(tasks: list[Task], given: Namespace) -> list[Judged]:
    """Judge faults, and print what is found as it comes."""
    begin = time.perf_counter()
    tally: Counter[str] = Counter()
    found: list[Judged] = []
    with (given.out or Path(os.devnull)).open("w", encoding="utf-8") as out:
        for task, result in judged(tasks, given.workers, given.by_all):
            right = task.right
            one = Judged(right.name, right.concepts, SITES[task.fault.site], task.fault, result)
            found.append(one)
            tally[one.outcome] += 1
            print(one.line(), file=out, flush=True)
            if one.outcome not in {"killed", "equivalent"}:
                told = result.get("reason") or result.get("gap") or result["kit"][0]
                print(f"{one.outcome}: {one.site.name} | {one.name.rpartition('| ')[2]} | {told}")
            if len(found) % 100 == 0:
                spent = time.perf_counter() - begin
                print(f"{spent:5.0f} s {len(found)} of {len(tasks)}: {dict(tally)}", flush=True)
    return found


def warm_up(every: list[Right]) -> None:
    """Draw the cases of every clause, and import what torch imports late: once for all children."""
    profiles = dict.fromkeys(right.profile for right in every)
    for right in [next(one for one in every if one.profile == profile) for profile in profiles]:
        every_clause = planned(None, None, right.profile)
        list(run(own.reference_subject(), replace(plans_of(right)[0], clauses=every_clause)))


def main() -> int:
    """Run, and return the exit code."""
    given = options()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    chosen, known = list(rights()), seen()
    warm_up(chosen)
    inputs = digest()
    if given.only:
        names = rights_of(given.only)
        chosen = [right for right in chosen if not names or right.name in names]
    elif given.unless_seen and known.get("digest") == inputs:
        chosen, given.sample = chosen[::SOME], given.sample // PART
        print("nothing has changed since a run was recorded: a part of the sample")
    every = every_task(chosen, given.workers, twice=given.write or given.sample >= MOST)
    expressions = len({task.fault.site for task in every})
    print(f"{len(every)} faults at {expressions} expressions", flush=True)
    tasks = listed(every, given.only) if given.only else every[: given.sample]
    print(f"{time.perf_counter() - begin:5.0f} s: {len(tasks)} faults to judge", flush=True)
    found = judge_all(tasks, given)
    now = record(found, inputs, faults=len(every), expressions=expressions)
    if given.write:
        SEEN.write_text(text_of(now), encoding="utf-8")
        known = now
    failed = [one for one in found if one.outcome not in {"killed", "equivalent", "allowed"}]
    new = [one for one in failed if one.name not in known.get("survived", {})]
    print(f"{now['outcomes']}; {now['killed']}")
    print(f"{len(found) - len(new)} passed, {len(new)} failed")
    return 1 if new else 0


if __name__ == "__main__":
    raise SystemExit(main())
