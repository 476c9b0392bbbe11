"""Turn a run's figures into RESULTS.md and growth.png: python benchmarks/report.py FILE.

FILE is what `pytest benchmarks --benchmark-only --benchmark-json=FILE` has written.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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

DISTURBED = 0.1
"""Share of the processors' time, taken by others, from which on a figure is not to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure, and the results that it is made of."""

    value: float
    results: tuple[Result, ...]

    def others(self) -> float | None:
        """Give the greatest share of the processors that others took while one was timed."""
        shares = [r.busy_elsewhere for r in self.results if r.busy_elsewhere is not None]
        return max(shares, default=None)


Measure = Callable[[Run], Measured]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure, and what it must come to; without a bound it is only told."""

    what: str
    measure: Measure
    show: Callable[[float], str]
    device: str = "cpu"
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    def bound(self) -> str:
        if self.at_least is not None:
            aim = f", aim {self.show(self.aim)}" if self.aim is not None else ""
            return f"at least {self.show(self.at_least)}{aim}"
        return f"at most {self.show(self.at_most)}" if self.at_most is not None else "none"

    def verdict(self, value: float) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        low = self.at_least is None or value >= self.at_least
        high = self.at_most is None or value <= self.at_most
        return "yes" if low and high else "**no**"


def times(value: float) -> str:
    return f"{value:,.2f}x" if value < 10 else f"{value:,.0f}x"


def percent(value: float) -> str:
    return f"{value:.1%}"


def in_seconds(value: float) -> str:
    return f"{value:.2f} s"


Place = tuple[str, str] | tuple[str, str, str]


def faster(slow: Place, quick: Place) -> Measure:
    """Divide the seconds per token of one result by another's."""

    def measure(run: Run) -> Measured:
        one, other = run.get(*slow), run.get(*quick)
        return Measured(value=ratio(one, other), results=(one, other))

    return measure


def longer(long: Place, short: Place) -> Measure:
    """Divide the seconds of one result by another's, whatever their tokens."""

    def measure(run: Run) -> Measured:
        one, other = run.get(*long), run.get(*short)
        value = ratio(one, other) * one.tokens / other.tokens
        return Measured(value=value, results=(one, other))

    return measure


def seconds(place: Place) -> Measure:
    """Give the seconds of one result."""

    def measure(run: Run) -> Measured:
        result = run.get(*place)
        return Measured(value=result.seconds, results=(result,))

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

GOALS = [
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


def goals_table(run: Run) -> Iterable[str]:
    yield "| what | bound | measured | met | others |"
    yield "| --- | --- | ---: | --- | ---: |"
    for goal in GOALS:
        try:
            found = goal.measure(run)
        except KeyError:
            there = goal.device in run.machine["devices"]
            cells = "not in this run | - | -" if there else "no CUDA device | - | -"
        else:
            others = found.others()
            taken = "?" if others is None else percent(others)
            if others is not None and others > DISTURBED:
                taken = f"**{taken}**"
            cells = f"{goal.show(found.value)} | {goal.verdict(found.value)} | {taken}"
        yield f"| {goal.what} | {goal.bound()} | {cells} |"


# ------------------------------------------------------------------------------------- all results


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:,.3g} {unit}"
    return f"{seconds / 1e-9:,.3g} ns"


def rate(per_second: float) -> str:
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= scale:
            return f"{per_second / scale:,.3g} {unit}"
    return f"{per_second:,.3g}"


def share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.001 else "< 0.1%"


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


def machine_list(run: Run) -> Iterable[str]:
    machine = run.machine
    cpu, versions = machine["cpu"], machine["packages"]
    yield f"- processor: {cpu.get('brand_raw', 'unknown')}, {cpu.get('count', '?')} cores"
    yield f"- torch's threads: {machine['threads']}"
    yield f"- system: {machine['system']}, {machine['machine']}"
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    yield f"- {machine['python_implementation']} {machine['python_version']}, {packages}"
    for kind, device in machine["devices"].items():
        name = "" if device["name"] == kind else f" ({device['name']})"
        copying = device["copy_bandwidth"] / 1e9
        yield f"- {kind}{name}: copying moves {copying:,.1f} GB/s, read and written together"
    if "cuda" not in machine["devices"]:
        yield "- no CUDA device: what runs on one was left out"


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


def report(run: Run) -> str:
    return "\n".join(
        [
            INTRODUCTION,
            "",
            "## The machine",
            "",
            *machine_list(run),
            "",
            "## What must be shown",
            "",
            BEFORE_GOALS,
            "",
            *goals_table(run),
            "",
            "## Growth",
            "",
            f"![{ALT}](growth.png)",
            "",
            "## All results",
            "",
            BEFORE_ALL,
            *all_tables(run),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write RESULTS.md and growth.png beside this file")
    parser.add_argument("file", type=Path, help="what --benchmark-json has written")
    run = Run(json.loads(parser.parse_args().file.read_text(encoding="utf-8")))
    growth(run).savefig(HERE / "growth.png", dpi=150)
    (HERE / "RESULTS.md").write_text(report(run), encoding="utf-8")


if __name__ == "__main__":
    main()
