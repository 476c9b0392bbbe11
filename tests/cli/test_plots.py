import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from reference.cli import main as cli, plots
from reference.corpus import Corpus
from reference.errors import MissingExtraError, OutputError
from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.oracle.counts import transition_probabilities
from reference.runs.curve import LossCurve
from reference.training import TrainConfig, train


def picture(path: Path) -> np.ndarray:
    pixels: np.ndarray = matplotlib.image.imread(path)
    return pixels


def inked(pixels: np.ndarray) -> float:
    """The share of a picture that is not white."""
    return float((pixels[..., :3].min(axis=-1) < 0.9).mean())


def test_the_walkthrough_draws_three_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "figures"
    with pytest.raises(SystemExit, match="0"):
        cli.main(["walkthrough", "--steps", "20", "--plot", str(folder)])
    names = {path.name for path in folder.iterdir()}
    assert names == {"loss.png", "tables.png", "words.png"}
    for path in folder.iterdir():
        pixels = picture(path)
        assert min(pixels.shape[:2]) > 600
        assert 0.005 < inked(pixels) < 0.9


def test_the_tables_are_the_models_softmax_and_the_texts_counts(twin: Corpus) -> None:
    model = BigramLanguageModel(65)
    curve = LossCurve(model, twin, steps=1)
    figure = plots.tables_figure(model, curve, twin.vocabulary)
    learned, counted = (axis.images[0].get_array() for axis in figure.axes[:2])
    assert learned is not None
    assert counted is not None
    expected = model.token_embedding_table.weight.detach().double().softmax(dim=1).numpy()
    assert np.allclose(learned, np.maximum(expected, 1e-5), rtol=1e-12, atol=0)
    expected = transition_probabilities(curve.counts)
    assert np.allclose(counted, np.maximum(expected, 1e-5), rtol=1e-12, atol=0)
    for axis in figure.axes[:2]:
        assert axis.get_xlabel() == "next character"
        assert [label.get_text() for label in axis.get_xticklabels()][:3] == ["\\n", "\u2423", "!"]


def ys(line: Line2D) -> list[float]:
    values: list[float] = np.asarray(line.get_ydata()).tolist()
    return values


def test_the_loss_curve_is_its_points_and_the_floor(twin: Corpus) -> None:
    model = BigramLanguageModel(65)
    curve = LossCurve(model, twin, steps=60)
    for step in train(model, twin, TrainConfig(steps=60, learning_rate=0.1)):
        curve.add(step)
    above, below = plots.loss_figure(curve).axes
    batches, whole, floor = above.get_lines()
    assert ys(batches) == [point.batch_loss for point in curve.points]
    assert ys(whole) == [point.loss for point in curve.points]
    assert set(ys(floor)) == {curve.floor}
    (gap,) = below.get_lines()
    assert ys(gap) == [point.loss - curve.floor for point in curve.points]
    for line in (batches, whole, gap):
        assert np.asarray(line.get_xdata()).tolist() == [point.step for point in curve.points]


def test_a_loss_at_the_floor_can_be_drawn(tmp_path: Path) -> None:
    corpus = Corpus.from_text("\U0001f600" * 100)  # one token: nothing to learn, and no such glyph
    model = BigramLanguageModel(1)
    curve = LossCurve(model, corpus, steps=2)
    for step in train(model, corpus, TrainConfig(steps=2)):
        curve.add(step)
    assert str(curve.floor) == str(curve.loss()) == "0.0"
    plots.save(plots.loss_figure(curve), tmp_path / "loss.png")
    plots.save(plots.tables_figure(model, curve, corpus.vocabulary), tmp_path / "tables.png")


def test_the_words_stand_where_the_notes_put_them() -> None:
    figures = Figures()
    (axis,) = plots.words_figure(figures).axes
    points = [tuple(np.ravel(line.get_xydata())) for line in axis.get_lines()]
    assert {*figures.word_vectors, figures.king_in_prose} < {*points}
    result = next(point for point in points if point == pytest.approx(figures.analogy_point))
    arrows = [text for text in axis.texts if isinstance(text, Annotation) and text.arrow_patch]
    ends = [(arrow.xyann, arrow.xy) for arrow in arrows]
    assert ends == [((1.0, 0.7), (1.0, pytest.approx(0.2))), (ends[0][1], result)]


def test_without_matplotlib_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots.check_can_plot(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bigram-reference\[plots\]'"):
        plots.check_can_plot(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(OutputError, match="a file"):
        plots.check_can_plot(tmp_path / "a file" / "below")
