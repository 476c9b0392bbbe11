"""What the pictures share: their colours, their paper, and the text that they are drawn from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Any, TypeAlias

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter
from matplotlib.typing import RcKeyType

from reference import BigramLanguageModel, Corpus, fast, load_corpus
from reference.notes import Figures
from reference.oracle.counts import Counts, bigram_counts
from reference.shapes import Table

WIDTH = 4.6
"""Inches: at a phone's width the text is then still about 12 pixels high."""

SEED = Figures().seed

MEASURED = "DejaVu Sans"
"""The font that matplotlib brings, and by which it places text."""

SHOWN = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Helvetica, Arial"
"""The page's own fonts, in which readers see it; all are narrower than the one measured."""

Fill: TypeAlias = tuple[str, float] | str
"""A colour and how much of it, or "none"."""

VISIBLE = str.maketrans({" ": "\u2423", "\n": "\u21b5"})
"""Signs for the characters that leave no mark."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of one theme, told apart by readers who see red and green alike too."""

    name: str
    page: str
    ink: str
    faint: str
    blue: str
    orange: str
    green: str
    purple: str


LIGHT = Palette(
    name="light",
    page="#ffffff",
    ink="#1c1c1e",
    faint="#63666b",
    blue="#0067a8",
    orange="#a84400",
    green="#007a59",
    purple="#a04a80",
)
DARK = Palette(
    name="dark",
    page="#131416",
    ink="#e6e6e8",
    faint="#9a9da3",
    blue="#5db9f0",
    orange="#f09a3e",
    green="#35c79c",
    purple="#e39bc6",
)
PALETTES = (LIGHT, DARK)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, and what is to be seen in it in words."""

    figure: Figure
    alt: str


Drawing: TypeAlias = Callable[[Palette], Picture]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A picture as it goes into the page."""

    svg: str
    alt: str


def drawn(drawing: Drawing, palette: Palette) -> Drawn:
    """Draw in the colours of a palette; the same drawing always gives the same bytes."""
    with mpl.rc_context(_style(palette)):
        picture = drawing(palette)
        paper = StringIO()
        picture.figure.savefig(
            paper, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return Drawn(svg=paper.getvalue().replace(f"'{MEASURED}'", SHOWN), alt=picture.alt)


def _style(palette: Palette) -> dict[RcKeyType, Any]:
    ink, faint = palette.ink, palette.faint
    return {
        "svg.fonttype": "none",  # text stays text: it can be searched, and is sharp at any size
        "svg.hashsalt": "pictures",  # otherwise ids are random
        "font.family": "sans-serif",
        "font.sans-serif": [MEASURED],
        "font.size": 10.5,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.labelsize": 10.5,
        "legend.fontsize": 10.5,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.edgecolor": faint,
        "xtick.color": faint,
        "ytick.color": faint,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "grid.color": faint,
        "grid.alpha": 0.3,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "legend.frameon": False,
    }


def plotting(height: float) -> Figure:
    """Give a figure of that many inches for axes that lay themselves out."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def paper(height: float) -> tuple[Figure, Axes]:
    """Give a figure to draw on in inches, from the top left corner."""
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def label(axes: Axes, x: float, y: float, text: str, **how: object) -> None:
    """Write a line of text whose middle is at height y."""
    # One line at a time, and never turned: only so does it stay anchored in a narrower font.
    options: dict[str, Any] = {"va": "center_baseline", **how}
    axes.text(x, y, text, **options)


def cell(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    *,
    size: tuple[float, float],
    edge: str,
    fill: Fill = "none",
    weight: float = 0.8,
) -> None:
    """Draw a box whose top left corner is at that place, with text in its middle."""
    (x, y), (width, height) = place, size
    box = Rectangle(place, width, height, facecolor=fill, edgecolor=edge, linewidth=weight)
    axes.add_patch(box)
    label(axes, x + width / 2, y + height / 2, text, ha="center")


def plain(number: float) -> str:
    """Write a number of an axis without powers of ten: 0.001, 10, 100,000."""
    return f"{number:,.0f}" if number >= 1 else f"{number:g}"


def plain_ticks() -> FuncFormatter:
    """Give a formatter whose labels are text of one piece."""
    return FuncFormatter(lambda number, _place: plain(number))


def visible(text: str) -> str:
    """Put signs in the place of spaces and line ends."""
    return text.translate(VISIBLE)


@cache
def corpus() -> Corpus:
    """Load the default corpus, once."""
    return load_corpus()


@cache
def counts() -> Counts:
    """Count the pairs of the train split.

    Shape: (C, C), row = current token, column = next token.
    """
    return bigram_counts(corpus().train.numpy(), len(corpus().vocabulary))


@cache
def best_table() -> Table:
    """Fit the table that training comes near to.

    Shape: (C, C), logits that are log probabilities.
    """
    return fast.fit(corpus().train, len(corpus().vocabulary), smoothing=fast.Exact())


@cache
def best_model() -> BigramLanguageModel:
    """Give the reference's model with that table."""
    with torch.random.fork_rng(devices=[]):  # torch's global stream is put back
        model = BigramLanguageModel(len(corpus().vocabulary))
    with torch.no_grad():
        model.token_embedding_table.weight.copy_(best_table())
    return model


def new_model() -> fast.BigramLanguageModel:
    """Give a model before training, always the same."""
    with torch.random.fork_rng(devices=[]):  # torch's global stream is put back
        torch.manual_seed(SEED)
        return fast.BigramLanguageModel(len(corpus().vocabulary))


def seeded() -> torch.Generator:
    """Give a stream of random numbers of our own, so that nobody else's is moved on."""
    return torch.Generator().manual_seed(SEED)
