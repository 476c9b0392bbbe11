"""Pictures of what was learned: on the way, in the end, and drawn from."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float64
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm

from reference import TrainConfig
from reference.fast import train
from reference.oracle.counts import transition_probabilities
from reference.oracle.learning import softmax
from reference.runs.curve import LossCurve, Point
from spec_site.pictures_base import (
    Palette,
    Picture,
    best_model,
    best_table,
    corpus,
    new_model,
    plain_ticks,
    plotting,
    seeded,
    visible,
)

COMMON = 14
"""Characters whose rows and columns are drawn."""

LEAST = 1e-3
"""Probabilities below this are drawn as this."""

SHADES = 40
"""Of a colour scale; above 50, matplotlib would draw it as pixels."""

BEFORE, DRAWS, LIKELIEST = "T", 2000, 10
"""What is sampled: the token after this one, so often; the bars that have a name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A run of the notes' loop, and the least and the greatest batch loss up to each point."""

    curve: LossCurve
    least: tuple[float, ...]
    greatest: tuple[float, ...]


@cache
def trained() -> Training:
    """Train a model as the notes do, and keep its losses on the way."""
    config = TrainConfig()
    model = new_model()
    curve = LossCurve(model, corpus(), steps=config.steps)
    least: list[float] = []
    greatest: list[float] = []
    for block in train(model, corpus(), config, generator=seeded(), block=curve.every):
        curve.points.append(Point(block.step, block.losses.mean().item(), curve.loss()))
        least.append(block.losses.min().item())
        greatest.append(block.losses.max().item())
    return Training(curve=curve, least=tuple(least), greatest=tuple(greatest))


def loss(palette: Palette) -> Picture:
    """Draw the loss against the entropy floor, and below it the gap between the two."""
    run = trained()
    curve = run.curve
    steps = [point.step for point in curve.points]
    gaps = [point.loss - curve.floor for point in curve.points]
    first, last = curve.points[0], curve.points[-1]
    figure = plotting(5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    above.fill_between(
        steps,
        run.least,
        run.greatest,
        color=(palette.faint, 0.35),
        linewidth=0,
        label=f"batches: least to greatest of {curve.every}",
    )
    above.plot(
        steps,
        [point.loss for point in curve.points],
        color=palette.blue,
        linewidth=2,
        label="the whole train split",
    )
    above.axhline(
        curve.floor,
        color=palette.orange,
        linestyle="--",
        linewidth=1.8,
        label=f"entropy floor {curve.floor:.4f}",
    )
    above.set_title("loss, nats per token")
    above.legend(loc="upper right")
    below.semilogy(steps, gaps, color=palette.blue, linewidth=2)
    below.annotate(
        f"{gaps[-1]:.4f}",
        (steps[-1], gaps[-1]),
        (0, 7),
        ha="right",
        textcoords="offset points",
        color=palette.blue,
    )
    below.set_title("nats above the floor")
    below.set_xlabel("step")
    below.set_xticks([0, 50_000, 100_000])
    below.xaxis.set_major_formatter(plain_ticks())
    below.yaxis.set_major_formatter(plain_ticks())
    below.grid(visible=True)
    alt = (
        f"Above, the loss over {last.step:,} steps: it falls from {first.loss:.4f} at step "
        f"{first.step:,} towards a dashed line at the entropy floor, {curve.floor:.4f}, and ends "
        f"at {last.loss:.4f}. The losses of single batches lie in a band about it, which reaches "
        f"down to {min(run.least):.2f}. Below, the gap between the loss and the floor, in a "
        f"logarithmic scale: it falls from {gaps[0]:.2f} to {gaps[-1]:.4f} nats."
    )
    return Picture(figure=figure, alt=alt)


def tables(palette: Palette) -> Picture:
    """Draw P(next | current) as the table has learned it, and as it is in the text."""
    curve = trained().curve
    weight = curve.model.token_embedding_table.weight.detach().double()
    learned = weight.softmax(dim=1).numpy()  # (C, C): row = current, column = next
    counted = transition_probabilities(curve.counts)
    common = np.argsort(-curve.counts.sum(axis=1))[:COMMON]
    chosen = np.ix_(common, common)
    gaps = np.abs(learned - counted)[chosen]
    everywhere = np.abs(learned - counted).max(axis=1)  # (C,)
    worst = int(everywhere.argmax())
    row, column = (int(place) for place in np.unravel_index(gaps.argmax(), gaps.shape))
    names = [visible(corpus().vocabulary.characters[token]) for token in common]
    colours = LinearSegmentedColormap.from_list("rising", [palette.page, palette.blue], N=SHADES)
    norm = LogNorm(LEAST, 1)
    figure = plotting(9.4)
    panels = figure.subplots(2, 1)
    pairs = zip(
        panels,
        (learned, counted),
        ("P(next | current), learned", "P(next | current), counted"),
        strict=True,
    )
    for axes, probabilities, how in pairs:
        axes.pcolormesh(
            probabilities[chosen].clip(min=LEAST),
            norm=norm,
            cmap=colours,
            edgecolors="face",
            linewidth=0.4,
        )
        axes.set_title(how)
        axes.set(aspect="equal", ylim=(COMMON, 0))
        middles = [place + 0.5 for place in range(COMMON)]
        axes.set_xticks(middles, names)
        axes.set_yticks(middles, names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(True)
    bar = figure.colorbar(
        ScalarMappable(norm, colours),
        ax=panels,
        location="bottom",
        aspect=28,
        pad=0.02,
        format=plain_ticks(),
    )
    bar.set_label("a row: the current character; a column: the next")
    figure.supxlabel(f"greatest difference: {gaps.max():.4f}", fontsize=10.5)
    greatest = (
        f"{gaps.max():.4f}, for {names[column]} after {names[row]} "
        f"({learned[chosen][row, column]:.4f} learned, {counted[chosen][row, column]:.4f} counted)"
    )
    alt = (
        f"Two square maps of the {COMMON} commonest characters, {' '.join(names)}: a row for each "
        "current character, a column for each next one, the more strongly coloured the more "
        "probable. The learned map and the counted one look the same. The greatest difference "
        f"between them is {greatest}; in the whole table of {learned.shape[0]} characters it is "
        f"{everywhere.max():.4f}, in the row of "
        f"{visible(corpus().vocabulary.characters[worst])} (pairs to learn it from: "
        f"{curve.counts[worst].sum():,})."
    )
    return Picture(figure=figure, alt=alt)


@cache
def sampled() -> Float64[np.ndarray, "C"]:
    """Let the reference's generate draw the token after one character, and give the shares.

    Shape: (C,), summing to 1.
    """
    vocabulary = corpus().vocabulary
    idx = vocabulary.encode(BEFORE).repeat(DRAWS, 1)  # (B, 1), B = DRAWS
    drawn = best_model().generate(idx, max_new_tokens=1, generator=seeded())[:, 1]
    drawn_of_each = np.bincount(drawn.numpy(), minlength=len(vocabulary))
    return np.asarray(drawn_of_each / DRAWS)


def law(palette: Palette) -> Picture:
    """Draw the probabilities of one row, and how often generate drew each of its tokens."""
    vocabulary = corpus().vocabulary
    (row,) = vocabulary.encode(BEFORE).tolist()
    probabilities = softmax(best_table().double().numpy())[row]
    order = np.argsort(-probabilities)
    named, others = order[:LIKELIEST], order[LIKELIEST:]
    names = [*(visible(vocabulary.characters[token]) for token in named), "others"]
    exact = np.append(probabilities[named], probabilities[others].sum())
    shares = np.append(sampled()[named], sampled()[others].sum())
    errors = 2 * np.sqrt(shares * (1 - shares) / DRAWS)
    figure = plotting(3.9)
    axes = figure.subplots()
    axes.bar(
        range(len(names)),
        exact,
        color=(palette.blue, 0.3),
        edgecolor=palette.blue,
        label="softmax of the table's row",
    )
    axes.errorbar(
        range(len(names)),
        shares,
        errors,
        fmt="o",
        color=palette.orange,
        markersize=5,
        capsize=3,
        linewidth=1.6,
        label=f"drawn by generate, {DRAWS:,} times",
    )
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_title(f"P(next | {BEFORE})")
    axes.set_xlabel("next character")
    axes.legend(loc="upper right")
    within = int((np.abs(shares - exact) <= errors).sum())
    alt = (
        f"Bars for the probability of each character after {BEFORE}, and a point with an error bar "
        f"for its share of {DRAWS:,} draws. "
        + "; ".join(
            f"{name}: {p:.3f} and {share:.3f}"
            for name, p, share in zip(names, exact, shares, strict=True)
        )
        + f". {within} of the {len(names)} points lie within two standard errors of their bar."
    )
    return Picture(figure=figure, alt=alt)
