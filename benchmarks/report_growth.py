"""What growth.json says, for RESULTS.md: python -m benchmarks.report_growth.

By itself it renews that section of RESULTS.md, and growth_files.png.
"""

import json
import statistics
import textwrap
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.goals import DISTURBED, Goal, Measured, goals_table
from benchmarks.growth import (
    FIGURES,
    FIT,
    IMPORTS,
    OPEN,
    PREPARE,
    READ_FROM_DISK,
    READ_ONCE,
    Ran,
    training,
)
from benchmarks.wording import in_bytes, machine_list, rate, times

HERE = Path(__file__).parent
RESULTS, PLOT = HERE / "RESULTS.md", HERE / "growth_files.png"

TITLE = "## Files that grow"

FAST, PLAIN = training("fast"), training("reference")
COMMANDS = (READ_ONCE, READ_FROM_DISK, PREPARE, FIT, OPEN, FAST, PLAIN)

SMALL, MIDDLE, LARGE = 10**7, 10**8, 10**9


class Growth:
    """All runs of growth.json, and the machine that they were on."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.machine: dict[str, Any] = written["machine"]
        self.date: str = written["date"]
        self.steps: dict[str, int] = written["steps"]
        self.runs = [Ran(**ran) for ran in written["runs"]]

    def get(self, command: str, size: int = 0) -> list[Ran]:
        """Find the runs of a command on a text of a size.

        Raises: KeyError where there are none.
        """
        found = [ran for ran in self.runs if (ran.command, ran.size) == (command, size)]
        if not found:
            raise KeyError(f"{command}, {size}")
        return found

    def sizes(self, command: str) -> list[int]:
        return sorted({ran.size for ran in self.runs if ran.command == command})


def seconds(runs: Iterable[Ran]) -> float:
    return statistics.median(ran.seconds for ran in runs)


def told(runs: Iterable[Ran], name: str) -> float | None:
    """Give the median of what the command says of its own work, if it does."""
    found = [ran.told[name] for ran in runs if name in ran.told]
    return statistics.median(found) if found else None


def busy(*groups: list[Ran]) -> tuple[float | None, ...]:
    """Give for each group the median of what others took, as its time is a median too."""
    shares = [[r.busy_elsewhere for r in runs if r.busy_elsewhere is not None] for runs in groups]
    return tuple(statistics.median(found) if found else None for found in shares)


# ------------------------------------------------------------------------------- what must be shown

Measure = Callable[[Growth], Measured]


def peak(runs: Iterable[Ran]) -> int:
    return max(ran.peak for ran in runs)


def own(runs: Iterable[Ran]) -> int:
    return max(ran.own for ran in runs)


def memory_grown(command: str, memory: Callable[[Iterable[Ran]], int], size: int) -> Measure:
    """Divide the memory that a command takes on a text of a size by that on the smallest."""

    def measure(growth: Growth) -> Measured:
        large, small = growth.get(command, size), growth.get(command, SMALL)
        return Measured(value=memory(large) / memory(small), busy=busy(large, small))

    return measure


def per_byte_grown(command: str, size: int) -> Measure:
    """Divide the time per byte of a text of a size by that at 100 MB."""

    def measure(growth: Growth) -> Measured:
        large, middle = growth.get(command, size), growth.get(command, MIDDLE)
        value = seconds(large) / seconds(middle) * MIDDLE / size
        return Measured(value=value, busy=busy(large, middle))

    return measure


def slope_grown(size: int) -> Measure:
    """Divide what another byte costs prepare from 1 GB to a size by that from 100 MB to 1 GB.

    So nothing counts that takes as long for any text, as importing does: it makes the time per byte
    fall, and would hide that the rest of it rises. There is none for fit: what 1 GB adds to the
    time of its imports is no more than that varies by.
    """

    def measure(growth: Growth) -> Measured:
        runs = [growth.get(PREPARE, n) for n in (size, LARGE, MIDDLE)]
        last, first = (
            (seconds(more) - seconds(less)) / (more[0].size - less[0].size)
            for more, less in pairwise(runs)
        )
        return Measured(value=last / first, busy=busy(*runs))

    return measure


def over_reading(size: int) -> Measure:
    """Divide the time of preparing a text, as a command, by that of reading it."""

    def measure(growth: Growth) -> Measured:
        slow, quick = growth.get(PREPARE, size), growth.get(READ_ONCE, size)
        return Measured(value=seconds(slow) / seconds(quick), busy=busy(slow, quick))

    return measure


def goals(growth: Growth) -> Iterable[Goal[Growth]]:
    """Give the goals at 1 GB, and at the largest text too if that is larger."""
    sizes = sorted({LARGE, *growth.sizes(PREPARE)[-1:]})
    for command in (PREPARE, FIT):
        for size in sizes:
            yield Goal(
                what=f"`bigram {command}`: peak memory at {in_bytes(size)} over that at 10 MB",
                measure=memory_grown(command, peak, size),
                show=times,
                at_most=1.2,
            )
    for size in sizes:
        yield Goal(
            what=f"`bigram train --engine fast`: memory of its own, {in_bytes(size)} over 10 MB",
            measure=memory_grown(FAST, own, size),
            show=times,
        )
    for command in (PREPARE, FIT):
        for size in sizes:
            yield Goal(
                what=f"`bigram {command}`: time per byte at {in_bytes(size)} over that at 100 MB",
                measure=per_byte_grown(command, size),
                show=times,
                at_most=1.2,
            )
    for size in sizes[1:]:
        yield Goal(
            what=f"`bigram prepare`: what another byte costs from 1 GB to {in_bytes(size)} "
            "over what one costs from 100 MB to 1 GB",
            measure=slope_grown(size),
            show=times,
            at_most=1.2,
        )
    for size in sizes:
        yield Goal(
            what=f"`bigram prepare` at {in_bytes(size)}: "
            "its time over that of `cat FILE \\| wc -c`",
            measure=over_reading(size),
            show=times,
        )


def absent(_growth: Growth, _goal: Goal[Growth]) -> str:
    return "not in this run"


# -------------------------------------------------------------------------------------- all results


def table(growth: Growth) -> Iterable[str]:
    yield (
        "| command | text | time | processors | work itself | text per second of all the time "
        "| peak memory | of its own | mapped | from disk | others |"
    )
    yield "| --- |" + " ---: |" * 10
    for command in (*IMPORTS.values(), *COMMANDS):
        for number, size in enumerate(growth.sizes(command)):
            runs = growth.get(command, size)
            others = busy(runs)[0]
            cells = [
                command if number == 0 else "",
                in_bytes(size) if size else "",
                f"{seconds(runs):.2f} s",
                f"{statistics.median(ran.processor_seconds for ran in runs):.2f} s",
                work_itself(growth, command, runs),
                in_bytes(size / seconds(runs)) if size else "",
                in_bytes(peak(runs)),
                in_bytes(own(runs)),
                in_bytes(max(ran.mapped for ran in runs)),
                in_bytes(max(ran.from_disk for ran in runs)),
                "?"
                if others is None
                else f"{'**' * (others > DISTURBED)}{others:.0%}{'**' * (others > DISTURBED)}",
            ]
            yield f"| {' | '.join(cells)} |"


def work_itself(growth: Growth, command: str, runs: list[Ran]) -> str:
    """Say how long the work took by the command's own account, and how fast it was."""
    if command == OPEN:
        verified = told(runs, "verifying") or 0
        return f"{verified:.2f} s, {in_bytes(runs[0].size / verified)}/s"
    if (taken := told(runs, "seconds")) is None:
        return ""
    for engine, steps in growth.steps.items():
        if command == training(engine):
            return f"{taken:.2f} s, {rate(steps / taken)} steps/s"
    return f"{taken:.2f} s, {rate(told(runs, 'tokens_per_second') or 0)} pairs/s"


# ---------------------------------------------------------------------------------------- the plot

LOOKS = {
    READ_ONCE: ("#999999", "x"),
    PREPARE: ("#d1620a", "o"),
    FIT: ("#2a8f4e", "D"),
    FAST: ("#1f6fb4", "^"),
    PLAIN: ("#666666", "s"),
}


def plot(growth: Growth) -> Figure:
    """Draw each command's time and memory over the size of its text."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw(left, growth, seconds)
    left.set(title="time, from start to end", ylabel="seconds")
    draw(right, growth, peak)
    draw(right, growth, own, dashed=True)
    right.set(title="peak memory; dashed, of its own", ylabel="bytes")
    for axis in (left, right):
        axis.set_xlabel("bytes of text")
        axis.grid(visible=True, which="major", alpha=0.3)
    left.legend(frameon=False)
    return figure


def draw(
    axis: Axes,
    growth: Growth,
    value: Callable[[Iterable[Ran]], float],
    *,
    dashed: bool = False,
) -> None:
    for command, (color, marker) in LOOKS.items():
        if value is not seconds and command == READ_ONCE:
            continue  # next to nothing, and what the measuring process itself holds
        sizes = growth.sizes(command)
        values = [value(growth.get(command, size)) for size in sizes]
        line = "--" if dashed else "-"
        axis.loglog(sizes, values, line, color=color, marker=marker, label=command)


ALT = (
    "On logarithmic scales, over the bytes of text. Left, the time: prepare and fit rise in "
    "proportion to the text once it outweighs the imports; train stays nearly level. Right, "
    "memory: prepare and fit are level; train's peak rises with the part of its file that it has "
    "mapped, and the dashed line of its own memory is level."
)

BEFORE = """\
Written by `nox -s growth` on {date}. Text of the embedded twin's law, of each size generated anew,
then taken through the commands as a user types them, each in a process of its own: `prepare`,
`fit`, and `train` with {steps}. Times are medians of three runs, of one above 1 GB; memory is the
most of all. A size where others had disturbed the first call was measured again, in a call of its
own. "Work itself" is what the command says that counting, or training, took; the rest of its time
goes to the imports, which have lines of their own, and to verifying every byte. The peak is what
the system tells; of its own, and mapped from files (which the system takes back when it needs
room), are the most that was seen, two hundred times a second. "Read once" is `cat FILE | wc -c`:
`wc` by itself would only ask for the size. "From disk" is what had to be read there, because
memory did not hold it any more. A peak below 20 MB is that of the process which measures."""


def section(growth: Growth) -> Iterable[str]:
    """Give the lines of RESULTS.md that are about growth.json."""
    steps = " and ".join(f"{n:,} steps of the {name} engine" for name, n in growth.steps.items())
    yield TITLE
    yield ""
    yield textwrap.fill(BEFORE.format(date=growth.date, steps=steps), 100)
    yield ""
    yield from machine_list(growth.machine)
    yield f"- memory: {in_bytes(growth.machine['memory'])}"
    yield ""
    yield from goals_table(goals(growth), growth, partial(absent, growth))
    yield ""
    yield f"![{ALT}]({PLOT.name})"
    yield ""
    yield from table(growth)


def found() -> Growth | None:
    """Read growth.json, if it is there."""
    return Growth(json.loads(FIGURES.read_text(encoding="utf-8"))) if FIGURES.exists() else None


def main() -> None:
    growth = found()
    if growth is None:
        raise SystemExit(f"there is no {FIGURES.name}: run nox -s growth")
    plot(growth).savefig(PLOT, dpi=150)
    before, title, old = RESULTS.read_text(encoding="utf-8").partition(f"{TITLE}\n")
    if not title:
        raise SystemExit(f"{RESULTS.name} has no such section yet: run nox -s benchmarks")
    _, heading, after = old.partition("\n## ")
    new = "\n".join(section(growth))
    RESULTS.write_text(f"{before}{new}\n{heading}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
