"""Pictures of what was learned, for those who would rather look than read.

Drawn with matplotlib's figures alone: no window, no global state.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from reference.corpus import Corpus
from reference.errors import MissingExtraError, printable
from reference.files.atomic import make_writable, replacing
from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.oracle.counts import transition_probabilities
from reference.runs.curve import LossCurve
from reference.terminal.console import SafeConsole
from reference.vocabulary import Vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#1f6fb4", "#d1620a", "#666666"
DPI = 150
LEAST_GAP = 1e-9
"""Nats above the floor that are drawn; less is rounding."""
LEAST = 1e-4
"""Probabilities below this are drawn as white."""


def check_can_plot(directory: Path) -> None:
    """Find out before the work whether pictures can be drawn after it.

    Raises: MissingExtraError without matplotlib; ModelFileError where the directory cannot be
        written.
    """
    try:
        import matplotlib.figure  # noqa: F401  an optional dependency
    except ImportError as error:
        raise MissingExtraError(
            "--plot needs matplotlib: pip install 'bigram-reference[plots]'"
        ) from error
    make_writable(directory)


def loss_figure(curve: LossCurve) -> "Figure":
    """Draw the loss against the entropy floor, and below it the gap between the two."""
    figure = _figure(7.5, 6.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    steps = [point.step for point in curve.points]
    above.plot(
        steps, [point.batch_loss for point in curve.points], color=BLUE, alpha=0.35, label="batches"
    )
    above.plot(
        steps, [point.loss for point in curve.points], color=BLUE, label="the whole train split"
    )
    above.axhline(
        curve.floor, color=ORANGE, linestyle="--", label=f"entropy floor {curve.floor:.4f}"
    )
    above.set_ylabel("loss, nats per token")
    above.legend(frameon=False)
    above.set_title("Training approaches, and cannot pass, the entropy of the text")
    gaps = [max(point.loss - curve.floor, LEAST_GAP) for point in curve.points]
    below.semilogy(steps, gaps, color=BLUE)
    below.set_ylabel("above the floor, nats")
    below.set_xlabel("step")
    below.xaxis.set_major_formatter("{x:,.0f}")
    below.grid(visible=True, which="major", alpha=0.3)
    return figure


def tables_figure(model: BigramLanguageModel, curve: LossCurve, vocabulary: Vocabulary) -> "Figure":
    """Draw P(next | current) as the table has learned it, beside the text's own counts."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    weight = model.token_embedding_table.weight.detach().cpu().double()
    learned = weight.softmax(dim=1).numpy()  # (C, C): row = current, column = next
    counted = transition_probabilities(curve.counts)
    figure = _figure(15.0, 7.2)
    axes = figure.subplots(1, 2, sharey=True)
    labels = [printable(one) for one in vocabulary.characters.replace(" ", "\u2423")]
    norm = LogNorm(LEAST, 1)
    pairs = zip(axes, (learned, counted), ("learned", "counted in the text"), strict=True)
    for axis, probabilities, title in pairs:
        axis.imshow(probabilities.clip(min=LEAST / 10), norm=norm, cmap="Blues")
        axis.set_title(f"P(next | current), {title}")
        axis.set_xlabel("next character")
        if len(labels) <= 100:  # noqa: PLR2004  more would not be legible
            axis.set_xticks(range(len(labels)), labels, fontsize=6, family="monospace")
            axis.set_yticks(range(len(labels)), labels, fontsize=6, family="monospace")
    axes[0].set_ylabel("current character")
    scale = ScalarMappable(norm, "Blues")
    figure.colorbar(scale, ax=axes, label="probability, log scale", shrink=0.8)
    return figure


def words_figure(figures: Figures) -> "Figure":
    """Draw the notes' four words as points, and where King - Man + Woman leads."""
    figure = _figure(7.5, 5.5)
    axis = figure.subplots()
    point = dict(zip(figures.words, figures.word_vectors, strict=True))
    king, man, woman = point["King"], point["Man"], point["Woman"]
    minus_man = (king[0] - man[0], king[1] - man[1])
    result = (minus_man[0] + woman[0], minus_man[1] + woman[1])
    for start, end, label in ((king, minus_man, "- Man"), (minus_man, result, "+ Woman")):
        axis.annotate(
            "", end, start, arrowprops={"arrowstyle": "->", "color": ORANGE, "linewidth": 1.6}
        )
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        axis.annotate(label, middle, (-8, 0), textcoords="offset points", color=ORANGE, ha="right")
    axis.plot(*result, marker="x", markersize=9, markeredgewidth=2, color=ORANGE)
    axis.annotate(
        f"King - Man + Woman ({result[0]:.1f}, {result[1]:.1f})",
        result,
        (10, 4),
        textcoords="offset points",
        color=ORANGE,
    )
    for word, (x, y) in point.items():
        axis.plot(x, y, "o", color=BLUE, markersize=9)
        axis.annotate(f"{word} ({x}, {y})", (x, y), (10, -4), textcoords="offset points")
    axis.plot(*figures.king_in_prose, "o", markerfacecolor="none", color=GREY, markersize=9)
    axis.annotate(
        "King in the prose", figures.king_in_prose, (10, -4), textcoords="offset points", color=GREY
    )
    axis.set(xlim=(-0.3, 2.3), ylim=(-0.8, 1.0), xlabel="royalty", ylabel="gender")
    axis.set_title("King - Man + Woman is near Queen, not equal to it")
    axis.grid(visible=True, alpha=0.3)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, completely or not at all.

    Raises: OutputError.
    """
    with warnings.catch_warnings(), replacing(path) as out:
        warnings.filterwarnings("ignore", message="Glyph")  # the font may lack a character: a box
        figure.savefig(out, format="png", dpi=DPI)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw(
    directory: Path,
    model: BigramLanguageModel,
    curve: LossCurve,
    corpus: Corpus,
    console: SafeConsole,
) -> None:
    """Draw the loss curve and the tables into a folder."""
    save(loss_figure(curve), directory / "loss.png")
    save(tables_figure(model, curve, corpus.vocabulary), directory / "tables.png")
    console.print(f"drawn: loss.png and tables.png in {directory}", soft_wrap=True)
