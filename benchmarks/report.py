"""Turn a run's figures into RESULTS.md, growth.png and the README's table of the engine.

python -m benchmarks.report FILE

FILE is what `pytest benchmarks --benchmark-only --benchmark-json=FILE` has written.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import readme, report_growth
from benchmarks.goals import DISTURBED, Goal, Measured, goals_table
from benchmarks.wording import duration, in_seconds, machine_list, percent, rate, share, times

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the run; `seconds` is the median, `by_turns` other variants' times over its."""

    operation: str
    size: str
    numbers: dict[str, int]
    variant: str
    device: str
    seconds: float
    rounds: int
    tokens: int
    share_of_copy: float
    busy_elsewhere: float | None
    by_turns: dict[str, float]

    @property
    def seconds_per_token(self) -> float:
        return self.seconds / self.tokens


class Run:
    """All results of one run, and the machine that it was on."""

    def __init__(self, written: dict[str, Any]) -> None:
        self.machine: dict[str, Any] = written["machine_info"]
        self.date = str(written["datetime"])[:10]
        self.results = [as_result(benchmark) for benchmark in written["benchmarks"]]

    def get(self, place: str, variant: str, device: str = "cpu") -> Result:
        """Find a result by its operation and size, its variant and its device.

        Raises: KeyError where the run has none.
        """
        for result in self.results:
            where = f"{result.operation}, {result.size}"
            if (where, result.variant, result.device) == (place, variant, device):
                return result
        raise KeyError(f"{place}, {variant}, {device}")


def as_result(benchmark: dict[str, Any]) -> Result:
    noted = benchmark["extra_info"]
    return Result(
        operation=noted["operation"],
        size=noted["size_in_words"],
        numbers=noted["size"],
        variant=noted["variant"],
        device=noted["device"],
        seconds=benchmark["stats"]["median"],
        rounds=benchmark["stats"]["rounds"],
        tokens=noted["tokens"],
        share_of_copy=noted["share_of_copy_bandwidth"],
        busy_elsewhere=noted["busy_elsewhere"],
        by_turns=noted["by_turns"],
    )


def ratio(one: Result, other: Result) -> float:
    """Divide the seconds per token of two results: timed by turns if they were, or the medians."""
    same = (one.operation, one.size, one.device) == (other.operation, other.size, other.device)
    if same and one.variant in other.by_turns:
        return other.by_turns[one.variant]
    if same and other.variant in one.by_turns:
        return 1 / one.by_turns[other.variant]
    return one.seconds_per_token / other.seconds_per_token


# ------------------------------------------------------------------------------- what must be shown

Measure = Callable[[Run], Measured]

Place = tuple[str, str] | tuple[str, str, str]


def faster(slow: Place, quick: Place) -> Measure:
    """Divide the seconds per token of one result by another's."""

    def measure(run: Run) -> Measured:
        one, other = run.get(*slow), run.get(*quick)
        return Measured(value=ratio(one, other), busy=(one.busy_elsewhere, other.busy_elsewhere))

    return measure


def longer(long: Place, short: Place) -> Measure:
    """Divide the seconds of one result by another's, whatever their tokens."""

    def measure(run: Run) -> Measured:
        one, other = run.get(*long), run.get(*short)
        value = ratio(one, other) * one.tokens / other.tokens
        return Measured(value=value, busy=(one.busy_elsewhere, other.busy_elsewhere))

    return measure


def seconds(place: Place) -> Measure:
    """Give the seconds of one result."""

    def measure(run: Run) -> Measured:
        result = run.get(*place)
        return Measured(value=result.seconds, busy=(result.busy_elsewhere,))

    return measure


def speedup(place: str) -> Measure:
    return faster((place, "notes"), (place, "engine"))


def share_of_filling(place: str, device: str = "cpu") -> Measure:
    return longer((place, "fill", device), (place, "sampler", device))


FIT = "fit, N = 1,003,854, C = 65"
FIT_32 = "fit, N = 32,123,328, C = 65"
STEP = "training step, 32 x 8, C = 65"
NOTES_1000 = ("generate, B = 1, n = 1,000", "notes")
SAMPLER_LONG = ("generate, B = 1, n = 1,000,000", "sampler")
PREPARE = "prepare, N = 100,000,000, C = 65"
NOT_ASCII = "prepare, not ASCII, N = 100,000,000, C = 65"

GOALS: list[Goal[Run]] = [
    Goal(
        what="get_batch, 32 x 8, over the notes' code",
        measure=speedup("get_batch, 32 x 8"),
        show=times,
        at_least=28,
    ),
    Goal(
        what="get_batch, 256 x 64, over the notes' code",
        measure=speedup("get_batch, 256 x 64"),
        show=times,
        at_least=75,
    ),
    Goal(
        what="loss and gradient, 512 x 256 (B·T = 131,072), C = 65, over the notes' code",
        measure=speedup("loss and gradient, 512 x 256, C = 65"),
        show=times,
        at_least=60,
    ),
    Goal(
        what="loss and gradient, 32 x 8, C = 65, over the notes' code",
        measure=speedup("loss and gradient, 32 x 8, C = 65"),
        show=times,
        at_least=0.95,
    ),
    Goal(
        what="a training step, 32 x 8, C = 65: 100,000 of the engine's over 2,000 of the notes'",
        measure=speedup(STEP),
        show=times,
        at_least=30,
        aim=50,
    ),
    Goal(
        what="fit by counting, int64, over NLTK's `lm.MLE`",
        measure=faster((FIT, "NLTK"), (FIT, "engine, int64")),
        show=times,
        at_least=4000,
    ),
    Goal(
        what="fit by counting, int64, over markovify",
        measure=faster((FIT, "markovify"), (FIT, "engine, int64")),
        show=times,
        at_least=200,
    ),
    Goal(
        what="fit by counting, uint16, over NLTK's `lm.MLE`",
        measure=faster((FIT, "NLTK"), (FIT, "engine, uint16")),
        show=times,
    ),
    *(
        Goal(
            what=f"fit by counting, {stream}: its time over that of reading the stream once",
            measure=longer((fit, f"engine, {stream}"), (fit, f"reading, {stream}")),
            show=times,
            at_most=2.5,
        )
        for stream, fit in (
            ("int64", FIT),
            ("int64, 32 times", FIT_32),
            ("uint16", FIT),
            ("uint8", FIT),
            ("uint16 file", FIT),
        )
    ),
    Goal(
        what="`fast.generate`, B = 1, n = 10,000, over the notes' loop",
        measure=speedup("generate, B = 1, n = 10,000"),
        show=times,
        at_least=8,
    ),
    Goal(
        what="`fast.generate`, B = 1: time at n = 10,000 over time at n = 1,000",
        measure=longer(
            ("generate, B = 1, n = 10,000", "engine"), ("generate, B = 1, n = 1,000", "engine")
        ),
        show=times,
        at_most=11,
    ),
    Goal(
        what="Sampler, B = 1, n = 1,000,000, over the notes' loop at n = 1,000, per token",
        measure=faster(NOTES_1000, SAMPLER_LONG),
        show=times,
        at_least=3500,
        aim=5000,
    ),
    Goal(
        what="Sampler, B = 1, n = 1,000, over the same: the call itself counts too",
        measure=faster(NOTES_1000, ("generate, B = 1, n = 1,000", "sampler")),
        show=times,
    ),
    Goal(
        what="Sampler, B = 1, n = 1,000,000, over markovify, per token",
        measure=faster(("generate, B = 1, n = 10,000", "markovify"), SAMPLER_LONG),
        show=times,
        at_least=500,
    ),
    Goal(
        what="Sampler, B = 1,024, n = 500, over the notes' loop",
        measure=faster(
            ("sample, B = 1,024, n = 500", "notes"), ("sample, B = 1,024, n = 500", "sampler")
        ),
        show=times,
        at_least=7000,
    ),
    Goal(
        what="Sampler, B = 1,024, n = 4,000: share of the rate at which its result can be filled",
        measure=share_of_filling("sample, B = 1,024, n = 4,000"),
        show=percent,
        at_least=0.12,
        aim=0.30,
    ),
    Goal(
        what="the same at n = 1,000",
        measure=share_of_filling("sample, B = 1,024, n = 1,000"),
        show=percent,
    ),
    Goal(
        what="`prepare`, 100 MB, over nanoGPT's way: a Python list of ids",
        measure=faster((PREPARE, "nanoGPT's way"), (PREPARE, "prepare")),
        show=times,
        at_least=30,
    ),
    Goal(
        what="`prepare`, 100 MB: its time over that of `cat FILE \\| wc -c`",
        measure=longer((PREPARE, "prepare"), (PREPARE, "reading")),
        show=times,
    ),
    Goal(
        what="the same where one character in eleven is not ASCII",
        measure=longer((NOT_ASCII, "prepare"), (NOT_ASCII, "reading")),
        show=times,
    ),
    Goal(
        what="CUDA: Sampler, B = 65,536, n = 1,024: share of the rate of filling",
        measure=share_of_filling("sample, B = 65,536, n = 1,024", "cuda"),
        show=percent,
        device="cuda",
        at_least=0.25,
    ),
    Goal(
        what="CUDA: 100,000 training steps, 32 x 8, C = 65",
        measure=seconds((STEP, "engine", "cuda")),
        show=in_seconds,
        device="cuda",
        at_most=3,
    ),
]


def absent(run: Run, goal: Goal[Run]) -> str:
    """Say why a goal has no figure in this run."""
    return "not in this run" if goal.device in run.machine["devices"] else "no CUDA device"


# ------------------------------------------------------------------------------------- all results


def all_tables(run: Run) -> Iterable[str]:
    """Give a table for each operation and device, in the order in which they were run."""
    titles = list(dict.fromkeys((result.operation, result.device) for result in run.results))
    for operation, device in titles:
        yield ""
        yield f"### {operation}, {device}"
        yield ""
        yield "| size | variant | median | rounds | per token, over | tokens/s | of copying |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
        rows = [r for r in run.results if (r.operation, r.device) == (operation, device)]
        for size in dict.fromkeys(result.size for result in rows):
            group = [result for result in rows if result.size == size]
            for number, result in enumerate(group):
                over = ratio(group[0], result)
                yield (
                    f"| {size if number == 0 else ''} | {result.variant} "
                    f"| {duration(result.seconds)} | {result.rounds} "
                    f"| {times(over) if number else group[0].variant} "
                    f"| {rate(1 / result.seconds_per_token)} | {share(result.share_of_copy)} |"
                )


# --------------------------------------------------------------------------------- growth curves

COLORS = {"notes": "#d1620a", "reference": "#666666", "engine": "#1f6fb4", "sampler": "#2a8f4e"}
MARKERS = {"notes": "o", "reference": "s", "engine": "^", "sampler": "D"}


def growth(run: Run) -> Figure:
    """Draw the time per token, on the CPU, over the tokens generated and over the length T."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw(left, run, operation="generate", letter="n", fixed={"B": 1})
    left.set(title="generation, B = 1", xlabel="n, tokens generated")
    draw(right, run, operation="loss and gradient", letter="T", fixed={"B": 32, "C": 65})
    right.set(title="loss and gradient, B = 32, C = 65", xlabel="T, tokens in each sequence")
    for axis in (left, right):
        axis.set_ylabel("seconds per token")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(frameon=False)
    return figure


def draw(axis: Axes, run: Run, *, operation: str, letter: str, fixed: dict[str, int]) -> None:
    for variant, color in COLORS.items():
        points = sorted(
            (result.numbers[letter], result.seconds_per_token)
            for result in run.results
            if (result.operation, result.variant, result.device) == (operation, variant, "cpu")
            and fixed.items() <= result.numbers.items()
        )
        if points:
            axis.loglog(
                *zip(*points, strict=True), color=color, marker=MARKERS[variant], label=variant
            )


ALT = (
    "Seconds per token, on logarithmic scales. Left, over the number of tokens generated: the "
    "notes' and the reference's lines rise with n, the engine's stays level, the sampler's falls "
    "and ends far below. Right, loss and gradient over the length T: the engine's line falls away "
    "from the notes' and the reference's."
)

INTRODUCTION = """\
# Results

Written by `nox -s benchmarks`. Times are medians of one run, and ratios are of medians, where two
calls were timed by turns the median of the turns' ratios. Compare lines of one run, as ratios, and
not times of two. [README.md](README.md) says what each operation is."""

BEFORE_GOALS = f"""\
"Others" is the share of the processors' time that other processes, or other machines on the same
processors, took while the two were timed. Above {DISTURBED:.0%} a figure is not to be trusted:
torch's threads wait for each other, and the notes' loop then takes many times as long."""

BEFORE_ALL = """\
The size is that of a call: B x T tokens, n tokens generated for each of B rows, N tokens counted.
"Per token, over" is how many times as fast as the first line of the same size a variant is. "Of
copying" is the share of the copy bandwidth at which it moves the least bytes that the operation
needs; data that stay in a cache can exceed it."""


def report(run: Run, grown: report_growth.Growth | None) -> str:
    return "\n".join(
        [
            INTRODUCTION,
            "",
            "## The machine",
            "",
            *machine_list(run.machine),
            "",
            "## What must be shown",
            "",
            BEFORE_GOALS,
            "",
            *goals_table(GOALS, run, partial(absent, run)),
            "",
            "## Growth",
            "",
            f"![{ALT}](growth.png)",
            "",
            *([*report_growth.section(grown), ""] if grown is not None else ()),
            "## All results",
            "",
            BEFORE_ALL,
            *all_tables(run),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write RESULTS.md, growth.png and the README's table"
    )
    parser.add_argument("file", type=Path, help="what --benchmark-json has written")
    run = Run(json.loads(parser.parse_args().file.read_text(encoding="utf-8")))
    growth(run).savefig(HERE / "growth.png", dpi=150)
    grown = report_growth.found()
    if grown is not None:
        report_growth.plot(grown).savefig(report_growth.PLOT, dpi=150)
    report_growth.RESULTS.write_text(report(run, grown), encoding="utf-8")
    with suppress(KeyError):  # only a part of the benchmarks was run
        readme.main()


if __name__ == "__main__":
    main()
