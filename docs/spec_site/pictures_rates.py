"""The picture for the notes' question why AdamW, and why 1e-3: other choices beside theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from matplotlib.axes import Axes

from reference import TrainConfig
from reference.fast import BigramLanguageModel, get_batch, train
from reference.oracle.counts import entropy_floor
from reference.runs.curve import exact_loss
from spec_site.pictures_base import (
    Palette,
    Picture,
    corpus,
    counts,
    new_model,
    plain_ticks,
    plotting,
    seeded,
)

FIRST_STEPS = 3000
POINTS = 25
"""Of a curve, after its start."""

ADAMW_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
SGD_RATES = (100.0, 10.0, 1.0, 1e-3)
"""From too high to too low, which for SGD is the notes' rate."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run: the loss over the whole train split after each of `steps`, from step 0.

    Units: losses in nats per token.
    """

    optimizer: str
    learning_rate: float
    steps: tuple[int, ...]
    losses: tuple[float, ...]


@cache
def rates() -> tuple[Run, ...]:
    """Train for the first few thousand steps by AdamW and by plain SGD, at four rates each.

    Every run starts from the same table and sees the same batches.
    """
    adamw = [_run("AdamW", rate, steps=FIRST_STEPS) for rate in ADAMW_RATES]
    sgd = [_run("SGD", rate, steps=FIRST_STEPS) for rate in SGD_RATES]
    return (*adamw, *sgd)


@cache
def whole_rates() -> tuple[Run, ...]:
    """Train by AdamW for as long as the notes do, at the same four rates."""
    return tuple(_run("AdamW", rate, steps=TrainConfig().steps) for rate in ADAMW_RATES)


def _run(optimizer: str, learning_rate: float, *, steps: int) -> Run:
    model = new_model()
    config = TrainConfig(steps=steps, learning_rate=learning_rate)
    train_by = {"AdamW": _adamw, "SGD": _sgd}[optimizer]
    points = [(0, exact_loss(model, counts()))]
    points += [(step, exact_loss(model, counts())) for step in train_by(model, config)]
    taken, losses = zip(*points, strict=True)
    return Run(optimizer=optimizer, learning_rate=learning_rate, steps=taken, losses=losses)


def _adamw(model: BigramLanguageModel, config: TrainConfig) -> Iterator[int]:
    every = config.steps // POINTS
    for block in train(model, corpus(), config, generator=seeded(), block=every):
        yield block.step


def _sgd(model: BigramLanguageModel, config: TrainConfig) -> Iterator[int]:
    """Train by the notes' loop with another optimizer; stop at each point of the curve."""
    optimizer = torch.optim.SGD(model.parameters(), lr=config.learning_rate)
    generator = seeded()
    for step in range(1, config.steps + 1):
        xb, yb = get_batch(
            corpus().train, config.block_size, config.batch_size, generator=generator
        )  # (B, T), (B, T)
        loss = model.loss(xb, yb)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % (config.steps // POINTS) == 0:
            yield step


def learning_rates(palette: Palette) -> Picture:
    """Draw the loss of AdamW and of SGD at four rates each, and how near AdamW comes in the end."""
    floor = entropy_floor(counts())
    adamw = [run for run in rates() if run.optimizer == "AdamW"]
    sgd = [run for run in rates() if run.optimizer == "SGD"]
    figure = plotting(9.3)
    first, second, third = figure.subplots(3, 1)
    for axes, runs, title in (
        (first, adamw, "AdamW: loss, nats per token"),
        (second, sgd, "plain SGD: loss, nats per token"),
    ):
        _curves(axes, runs, palette)
        axes.axhline(floor, color=palette.ink, linestyle=":", linewidth=1.3)
        axes.annotate(
            f"entropy floor {floor:.4f}",
            (FIRST_STEPS, floor),
            (0, -5),
            ha="right",
            va="top",
            textcoords="offset points",
        )
        axes.set_title(title)
        axes.set(ylim=(2.0, 5.0), xlabel="step")
        axes.xaxis.set_major_formatter(plain_ticks())
    _curves(third, whole_rates(), palette, above=floor)
    third.set_yscale("log")
    third.set_title("AdamW, to the end: nats above the floor")
    third.set_xlabel("step")
    third.set_xticks([0, 50_000, 100_000])
    third.xaxis.set_major_formatter(plain_ticks())
    third.yaxis.set_major_formatter(plain_ticks())
    third.grid(visible=True, axis="y")
    return Picture(figure=figure, alt=_alt(adamw, sgd, floor))


def _curves(
    axes: Axes, runs: list[Run] | tuple[Run, ...], palette: Palette, *, above: float = 0.0
) -> None:
    others = iter(
        (
            (palette.orange, "s", (0, (1, 1))),
            (palette.green, "^", (0, (5, 1.5))),
            (palette.purple, "D", (0, (5, 1.5, 1, 1.5))),
        )
    )
    for run in runs:
        of_notes = run.learning_rate == TrainConfig().learning_rate
        colour, marker, line = (palette.blue, "o", "-") if of_notes else next(others)
        loss = run.losses[-1]
        axes.plot(
            run.steps,
            [value - above for value in run.losses],
            color=colour,
            marker=marker,
            markevery=4,
            markersize=5,
            linestyle=line,
            linewidth=1.7,
            label=f"{_rate(run.learning_rate)}: {loss - above:.4f}",
        )
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.24),
        ncols=2,
        title="rate: value at the last step",
        title_fontsize=10.5,
    )


def _rate(learning_rate: float) -> str:
    """Write a rate as the notes do, 1e-3."""
    if learning_rate >= 1:
        return f"{learning_rate:g}"
    digits, power = f"{learning_rate:.0e}".split("e")
    return f"{digits}e{int(power)}"


def _alt(adamw: list[Run], sgd: list[Run], floor: float) -> str:
    def ends(runs: list[Run] | tuple[Run, ...]) -> str:
        return ", ".join(f"{_rate(run.learning_rate)}: {run.losses[-1]:.4f}" for run in runs)

    nearest = min(whole_rates(), key=lambda run: run.losses[-1])
    return (
        f"Three panels of falling curves. All start at a loss of {adamw[0].losses[0]:.4f}; the "
        f"entropy floor is {floor:.4f}. After {FIRST_STEPS:,} steps AdamW has come to, by rate, "
        f"{ends(adamw)}; plain SGD to {ends(sgd)}. After {TrainConfig().steps:,} steps AdamW has "
        f"come to {ends(whole_rates())}: {_rate(nearest.learning_rate)} ends nearest to the floor, "
        f"{nearest.losses[-1] - floor:.4f} above it."
    )
