"""The kill matrix: every specimen against every clause, and what must hold of it.

`python tests/mutants/matrix.py` runs it; with `--write` it also writes what each clause kills, and
what each choice records, to `reference/spec/kills.json`, which `bigram spec ID` shows. With words,
only the specimens whose clause or name holds one of them are run and shown in full, and nothing is
enforced. It works on two cores, or with `--one-core` on one, beside something else.

What it saw follows from the files that it reads: `--write` also notes their digest. With
`--unless-seen` the whole matrix is run only where one of them is another since; else a part of it,
one specimen for each clause and some of the right ones, to see that all is as it was noted.
"""

import json
import os
import re
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402  after the path
from digest import digest  # noqa: E402  likewise
from zoo import Specimen, specimens  # noqa: E402  likewise

from reference.conformance.runner import Plan, planned, run  # noqa: E402  likewise
from reference.conformance.verdicts import Verdict  # noqa: E402  likewise
from reference.spec.catalogue import catalogue  # noqa: E402  likewise
from reference.spec.clause import Level  # noqa: E402  likewise

EXAMPLES = 4
"""Fewer than a person's run has: most specimens show at a corner."""
ROOT = HERE.parents[1]
KILLS = ROOT / "reference/spec/kills.json"
SEEN = HERE / "matrix.sha256"
SOME = 4
"""Of the right specimens every fourth is in the part."""
MOST_TOLD = 3
"""Clauses that one planted mistake may break."""
FEWEST_ANSWERS = 2
"""Behaviours that a choice must tell apart, or it is none."""
MOST_ANSWERS = 6
"""Behaviours of a choice that are written down: what differs may have no end of them."""
MOST_NAMES = 3
"""Specimens that are named with each."""
TINY = re.compile(r"\d(\.\d+)?e-\d+")
"""A figure that rounding makes, and that another processor makes otherwise."""

Row = dict[str, tuple[str, str, str, str]]
"""For each clause: verdict, cause, expected, seen."""
Behaviours = dict[str, list[Specimen]]
"""What a choice records, and the specimens of which it does."""


def judge(number: int, *, smallest: bool) -> tuple[int, Row, float]:
    """Run one specimen."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    specimen = specimens()[number]
    begin = time.perf_counter()
    plan = Plan(
        clauses=planned(specimen.concepts, None, specimen.profile),
        profile=specimen.profile,
        examples=EXAMPLES,
        smallest=smallest,
    )
    row = {
        result.id: (result.verdict.value, result.cause, result.expected, result.seen)
        for result in run(specimen.make(), plan)
    }
    return number, row, time.perf_counter() - begin


def failures(row: Row) -> list[str]:
    """Give the clauses that a specimen breaks."""
    broken = {Verdict.FAIL, Verdict.CRASH, Verdict.TIMEOUT}
    return [name for name, (verdict, *_rest) in row.items() if verdict in broken]


def complaints(zoo: list[Specimen], rows: list[Row]) -> list[str]:
    """Say what does not hold of the specimens, and of the clauses."""
    names = [specimen.name for specimen in zoo]
    said = [f"{name!r} is there twice" for name in {n for n in names if names.count(n) > 1}]
    for specimen, row in zip(zoo, rows, strict=True):
        said += told(specimen, row)
    alone: dict[str, list[str]] = defaultdict(list)
    for specimen, row in zip(zoo, rows, strict=True):
        broken = failures(row)
        if len(broken) == 1:
            alone[broken[0]].append(specimen.name)
    for clause in catalogue(None):
        if clause.level is not Level.CHOICE and not alone[clause.id]:
            said.append(f"{clause.id} kills nothing alone")
    for name, seen in recorded(zoo, rows).items():
        if len(seen) < FEWEST_ANSWERS:
            said.append(f"the choice {name} sees only {list(seen)}")
    return said


def told(specimen: Specimen, row: Row) -> list[str]:
    """Say what does not hold of one specimen."""
    said = []
    broken = failures(row)
    faults = [name for name, answer in row.items() if answer[0] == Verdict.KIT_ERROR]
    if faults:
        said.append(f"{specimen.name!r}: the kit itself fails at {faults}: {row[faults[0]][1]}")
    if not specimen.breaks and broken:
        said.append(f"the right {specimen.name!r} is flagged by {broken}: {row[broken[0]]}")
    if specimen.breaks and specimen.breaks not in broken:
        said.append(f"{specimen.name!r} survives {specimen.breaks}; broken: {broken}")
    if len(broken) > MOST_TOLD:
        said.append(f"{specimen.name!r} is told {len(broken)} clauses: {broken}")
    return said


def killed(zoo: list[Specimen], rows: list[Row]) -> dict[str, list[str]]:
    """List for each clause the wrong implementations that it kills."""
    kills = {
        clause.id: sorted(
            specimen.name
            for specimen, row in zip(zoo, rows, strict=True)
            if clause.id in failures(row)
        )
        for clause in catalogue(None)
        if clause.level is not Level.CHOICE
    }
    return dict(sorted(kills.items()))


def recorded(zoo: list[Specimen], rows: list[Row]) -> dict[str, Behaviours]:
    """Group the specimens, for each choice, by what it records of them."""
    choices = sorted(clause.id for clause in catalogue(None) if clause.level is Level.CHOICE)
    every: dict[str, Behaviours] = {name: defaultdict(list) for name in choices}
    for specimen, row in zip(zoo, rows, strict=True):
        for name in row.keys() & every.keys():
            verdict, _cause, _expected, seen = row[name]
            if verdict == Verdict.PASS:
                every[name][TINY.sub("…", seen)].append(specimen)
    return every


def answers(behaviours: Behaviours) -> dict[str, list[str]]:
    """Choose the behaviours of a choice that are written down, the most usual first.

    They are those of right specimens. Where these all do the same, one of wrong ones follows: the
    behaviour that most of them show, so that nothing is written that changes from run to run.
    """
    right = {seen: [one for one in group if not one.breaks] for seen, group in behaviours.items()}
    usual = sorted(behaviours, key=lambda s: (-len(right[s]), -len(behaviours[s]), s))
    open_to_right_ones = sum(bool(group) for group in right.values())
    count = min(max(open_to_right_ones, FEWEST_ANSWERS), MOST_ANSWERS)
    chosen = {seen: right[seen] or behaviours[seen] for seen in usual[:count]}
    return {seen: shortest([one.name for one in group]) for seen, group in chosen.items()}


def shortest(names: list[str]) -> list[str]:
    """Give the shortest few."""
    return sorted(names, key=lambda name: (len(name), name))[:MOST_NAMES]


def written(zoo: list[Specimen], rows: list[Row]) -> str:
    """Give the text of `kills.json`."""
    choices = {name: answers(seen) for name, seen in recorded(zoo, rows).items()}
    both = {"kills": killed(zoo, rows), "choices": choices}
    return json.dumps(both, indent=1, ensure_ascii=False) + "\n"


def part(zoo: list[Specimen]) -> list[int]:
    """Choose the specimens of the part: the first that each clause is there for, and right ones."""
    first: dict[str, int] = {}
    for number, specimen in enumerate(zoo):
        if specimen.breaks:
            first.setdefault(specimen.breaks, number)
    right = [number for number, specimen in enumerate(zoo) if not specimen.breaks]
    return sorted([*first.values(), *right[::SOME]])


def as_noted(zoo: list[Specimen], rows: dict[int, Row]) -> list[str]:
    """Say what of a part of the matrix is not as `kills.json` has it."""
    said = []
    kills = json.loads(KILLS.read_text(encoding="utf-8"))["kills"]
    for number, row in rows.items():
        name = zoo[number].name
        said += told(zoo[number], row)
        noted = [clause for clause, names in kills.items() if name in names]
        if sorted(noted) != sorted(failures(row)):
            said.append(f"{name!r} breaks {failures(row)}; reference/spec/kills.json has {noted}")
    return said


def main() -> int:
    """Run the matrix; give the exit code."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    zoo = specimens()
    numbers = [
        number
        for number, specimen in enumerate(zoo)
        if not words or any(word in f"{specimen.breaks} {specimen.name}" for word in words)
    ]
    now = digest()
    partly = "--unless-seen" in sys.argv and SEEN.exists() and SEEN.read_text().strip() == now
    if partly:
        numbers = part(zoo)
        print("nothing has changed since the whole matrix was run and noted: a part of it")
    begin = time.perf_counter()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    workers = 1 if "--one-core" in sys.argv else 2
    pool = ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"))
    rows: dict[int, Row] = {}
    with pool:
        for number, row, seconds in pool.map(partial(judge, smallest=bool(words)), numbers):
            rows[number] = row
            mark = "right" if not zoo[number].breaks else "wrong"
            print(f"{seconds:5.1f} s {mark} {zoo[number].name}: {failures(row) or 'conforms'}")
            for name in failures(row) if words else ():
                print(f"        {name}: {row[name][1]}\n        {row[name][2]} | {row[name][3]}")
    wrong = sum(bool(zoo[number].breaks) for number in numbers)
    took = time.perf_counter() - begin
    print(f"{wrong} wrong and {len(numbers) - wrong} right ones in {took:.0f} s")
    if words:
        some = [zoo[number] for number in numbers]
        for name, seen in recorded(some, [rows[number] for number in numbers]).items():
            print(f"{name} records {answers(seen)}")
        return 0
    if partly:
        return finished(len(numbers), as_noted(zoo, rows))
    ordered = [rows[number] for number in range(len(zoo))]
    said = complaints(zoo, ordered)
    text = written(zoo, ordered)
    if "--write" in sys.argv:
        KILLS.write_text(text, encoding="utf-8")
        if not said:
            SEEN.write_text(f"{now}\n")
    elif not KILLS.exists() or KILLS.read_text(encoding="utf-8") != text:
        said.append("reference/spec/kills.json is not what this run saw; write it with --write")
    return finished(len(numbers), said)


def finished(count: int, said: list[str]) -> int:
    """Say how it went; give the exit code."""
    for line in said:
        print("!", line)
    print(f"{count - len(said)} passed, {len(said)} failed")
    return 1 if said else 0


if __name__ == "__main__":
    raise SystemExit(main())
