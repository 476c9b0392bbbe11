import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from reference import cli, plots
from reference.corpus import Corpus
from reference.curve import LossCurve
from reference.errors import MissingExtraError, ModelFileError
from reference.model import BigramLanguageModel
from reference.notes import Figures
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


def test_the_tables_show_what_was_learned(twin: Corpus, tmp_path: Path) -> None:
    model = BigramLanguageModel(65)
    curve = LossCurve(model, twin, steps=1)
    plots.plot_tables(model, curve, twin.vocabulary, tmp_path / "untrained.png")
    for _step in train(model, twin, TrainConfig(steps=300, learning_rate=0.1)):
        pass
    plots.plot_tables(model, curve, twin.vocabulary, tmp_path / "trained.png")
    untrained, trained = (picture(tmp_path / f"{name}trained.png") for name in ("un", ""))
    height, width = untrained.shape[:2]
    left = np.s_[height // 4 : 3 * height // 4, width // 10 : width // 3]
    right = np.s_[height // 4 : 3 * height // 4, width // 2 : 3 * width // 4]
    assert np.array_equal(untrained[right], trained[right])  # the counts
    assert not np.array_equal(untrained[left], trained[left])
    # An untrained table prefers nothing: hardly any cell is as pale as most counted ones are.
    assert inked(untrained[left]) > inked(trained[left]) > inked(untrained[right]) / 2


def test_the_loss_curve_is_drawn_from_its_points(twin: Corpus, tmp_path: Path) -> None:
    model = BigramLanguageModel(65)
    curve = LossCurve(model, twin, steps=60)
    for step in train(model, twin, TrainConfig(steps=60, learning_rate=0.1)):
        curve.add(step)
    plots.plot_loss(curve, tmp_path / "whole.png")
    del curve.points[30:]
    plots.plot_loss(curve, tmp_path / "half.png")
    assert not np.array_equal(picture(tmp_path / "whole.png"), picture(tmp_path / "half.png"))


def test_the_words_stand_where_the_notes_put_them(tmp_path: Path) -> None:
    plots.plot_words(Figures(), tmp_path / "notes.png")
    plots.plot_words(Figures(king_in_prose=(1.0, 0.6)), tmp_path / "other.png")
    assert not np.array_equal(picture(tmp_path / "notes.png"), picture(tmp_path / "other.png"))


def test_without_matplotlib_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plots.check_can_plot(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bigram-reference\[plots\]'"):
        plots.check_can_plot(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(ModelFileError, match="a file"):
        plots.check_can_plot(tmp_path / "a file" / "below")
