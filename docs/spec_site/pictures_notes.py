"""Pictures of the notes' own numbers: scores made probabilities, and words as points."""

import math

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes

from reference.notes import Figures
from reference.oracle.learning import softmax as softmax_of
from spec_site.pictures_base import Palette, Picture, plotting


def softmax(palette: Palette) -> Picture:
    """Draw the notes' first row of logits on its way to probabilities."""
    notes = Figures()
    raw = np.array(notes.raw_logits[0])
    printed = np.array(notes.probabilities[0])
    powers = np.exp(raw)
    probabilities = softmax_of(raw)
    figure = plotting(6.6)
    panels = figure.subplots(3, 1, sharex=True)
    titles = (
        "logits: any number",
        "exp(logit): above 0",
        f"divided by the sum, {powers.sum():.4f}: probabilities",
    )
    for axes, values, title in zip(panels, (raw, powers, probabilities), titles, strict=True):
        _bars(axes, values, palette)
        axes.set_title(title)
    last = panels[-1]
    for column, (value, bar) in enumerate(zip(printed, probabilities, strict=True)):
        last.plot([column - 0.4, column + 0.4], [value, value], color=palette.orange, linewidth=2.5)
        over = value > bar
        last.annotate(
            f"{value:.4f}",
            (column, value),
            (0, 4 if over else -4),
            ha="center",
            va="bottom" if over else "top",
            weight="bold",
            color=palette.orange,
            textcoords="offset points",
        )
    last.plot([], [], color=palette.orange, linewidth=2.5, label="as the notes print it")
    last.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14))
    last.set_ylim(0, 1.2 * max(*printed, *probabilities))
    last.set_xticks(range(len(raw)), [str(column + 1) for column in range(len(raw))])
    gap = np.abs(printed - probabilities)
    alt = (
        f"Three rows of five bars. Logits: {_listed(raw)}. Their exponentials, all above 0: "
        f"{_listed(powers)}. Those divided by their sum, {powers.sum():.4f}: "
        f"{_listed(probabilities)}, which sum to 1. Marks in the last row show what the notes "
        f"print instead: {_listed(printed)}; the greatest difference is {gap.max():.4f}, in column "
        f"{gap.argmax() + 1}."
    )
    return Picture(figure=figure, alt=alt)


def _bars(axes: Axes, values: Float64[np.ndarray, "C"], palette: Palette) -> None:
    axes.bar(
        range(len(values)), values, width=0.8, color=(palette.blue, 0.18), edgecolor=palette.blue
    )
    axes.axhline(0, color=palette.faint, linewidth=1)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks([])
    for column, value in enumerate(values):
        # Above the line, where bars that hang from it leave room; the tops are left for marks.
        text = f"{value:.4f}".replace("-", "\u2212")
        axes.annotate(text, (column, 0), (0, 5), ha="center", textcoords="offset points")


def _listed(values: Float64[np.ndarray, "C"]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def words(palette: Palette) -> Picture:
    """Draw the notes' four words as points, and where King - Man + Woman leads."""
    notes = Figures()
    point = dict(zip(notes.words, notes.word_vectors, strict=True))
    king, man, woman = point["King"], point["Man"], point["Woman"]
    between = (king[0] - man[0], king[1] - man[1])
    result = (between[0] + woman[0], between[1] + woman[1])
    distance = math.dist(result, point[notes.analogy])
    figure = plotting(4.9)
    axes = figure.subplots()
    for start, end, name in ((king, between, "\u2212 Man"), (between, result, "+ Woman")):
        axes.annotate(
            "",
            end,
            start,
            arrowprops={
                "arrowstyle": "->",
                "color": palette.orange,
                "lw": 2,
                "shrinkA": 0,
                "shrinkB": 6,
            },
        )
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        axes.annotate(
            name,
            middle,
            (-9, 0),
            textcoords="offset points",
            color=palette.orange,
            ha="right",
            va="center",
        )
    axes.plot(*result, marker="X", markersize=10, color=palette.orange)
    _name(axes, "the result", result, palette.orange)
    for word, place in point.items():
        axes.plot(*place, "o", color=palette.blue, markersize=9, zorder=5)  # above the arrow
        _name(axes, word, place, palette.ink)
    axes.plot(*notes.king_in_prose, "o", markerfacecolor="none", color=palette.faint, markersize=9)
    _name(axes, "King, in prose", notes.king_in_prose, palette.faint)
    axes.set(xlim=(-0.15, 2.05), ylim=(-0.75, 0.95), xlabel="royalty")
    axes.set_title("gender")
    axes.set_xticks([0, 1, 2])
    axes.grid(visible=True)
    alt = (
        "A plane with royalty to the right and gender upwards. "
        + "; ".join(f"{word} at {place}" for word, place in point.items())
        + f". From King an arrow for minus Man and an arrow for plus Woman lead to "
        f"({result[0]:.1f}, {result[1]:.1f}), which is {distance:.1f} from {notes.analogy} and not "
        f"{notes.analogy} itself. The prose of the notes puts King at {notes.king_in_prose}."
    )
    return Picture(figure=figure, alt=alt)


def _name(axes: Axes, name: str, place: tuple[float, float], colour: str) -> None:
    x, y = place
    axes.annotate(
        f"{name} ({x:.1f}, {y:.1f})".replace("-", "\u2212"),
        place,
        (11, 0),
        va="center",
        textcoords="offset points",
        color=colour,
    )
