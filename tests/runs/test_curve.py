import json
import random

import pytest

from reference.corpus import Corpus
from reference.model import BigramLanguageModel
from reference.oracle.counts import bigram_counts, cross_entropy, entropy_floor
from reference.runs.curve import LossCurve
from reference.training import TrainStep


@pytest.fixture
def model() -> BigramLanguageModel:
    return BigramLanguageModel(65)


def test_the_loss_is_exact_and_the_floor_the_texts(
    model: BigramLanguageModel, twin: Corpus
) -> None:
    curve = LossCurve(model, twin, steps=10)
    counts = bigram_counts(twin.train.numpy(), 65)
    assert curve.floor == entropy_floor(counts)
    table = model.token_embedding_table.weight.detach().double().numpy()
    assert curve.loss() == cross_entropy(table, counts)
    # It is the mean over the whole split, which torch finds too, in float32.
    _logits, whole = model(twin.train[None, :-1], twin.train[None, 1:])
    assert curve.loss() == pytest.approx(whole.item(), abs=1e-3)


@pytest.mark.parametrize(("steps", "points"), [(3, 3), (500, 500), (999, 500), (100_000, 500)])
def test_a_curve_has_at_most_500_points_and_ends_with_the_last_step(
    steps: int, points: int, model: BigramLanguageModel, twin: Corpus
) -> None:
    curve = LossCurve(model, twin, steps=steps)
    made = [step for step in range(1, steps + 1) if curve.add(TrainStep(step, float(step)))]
    assert [point.step for point in curve.points] == made
    assert len(made) == points
    assert made[-1] == curve.taken == steps


def test_a_point_is_the_mean_of_the_batches_since_the_last(
    model: BigramLanguageModel, twin: Corpus
) -> None:
    curve = LossCurve(model, twin, steps=1500)
    exact = curve.loss()
    assert [curve.add(TrainStep(step, float(step))) for step in (1, 2, 3)] == [False, False, True]
    assert curve.points[0].batch_loss == 2.0
    assert curve.points[0].loss == exact
    for step in (4, 5, 6):
        curve.add(TrainStep(step, 7.0))
    assert curve.points[1].batch_loss == 7.0


def test_a_large_vocabulary_has_fewer_points() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 2048))) * 2
    corpus = Corpus.from_text(text)
    curve = LossCurve(BigramLanguageModel(2048), corpus, steps=1000)
    assert curve.every == 125


def test_what_is_kept_of_a_curve_does_not_grow_between_its_points(
    model: BigramLanguageModel, twin: Corpus
) -> None:
    curve = LossCurve(model, twin, steps=10**9)
    sizes = []
    for step in range(1, 3001):
        curve.add(TrainStep(step, 0.1 * step))
        sizes.append(len(json.dumps(curve.state())))
    assert curve.points == []
    assert max(sizes) < 60


def test_a_restored_curve_is_the_one_that_was_kept_bit_for_bit(
    model: BigramLanguageModel, twin: Corpus
) -> None:
    draw = random.Random(1).random
    steps = [TrainStep(step, draw()) for step in range(1, 20)]
    whole = LossCurve(model, twin, steps=3500)  # a point every 7 steps
    kept = []
    for step in steps:
        whole.add(step)
        kept.append(json.dumps(whole.state()))
    for taken, state in enumerate(kept, 1):
        curve = LossCurve(model, twin, steps=3500)
        curve.restore(taken, json.loads(state))
        for step in steps[taken:]:
            curve.add(step)
        assert (curve.points, curve.state()) == (whole.points, whole.state())


@pytest.mark.parametrize(
    "state",
    [
        {"points": [[float("inf"), 1.0, 1.0]], "since": [0.0, 0]},
        {"points": [[1, float("nan"), 1.0]], "since": [0.0, 0]},
        {"points": [], "since": [float("inf"), 1]},
        {"points": [], "since": [1.0, float("inf")]},
        {"points": [], "since": [1.0, -1]},
        {"points": [], "since": [1.0, 2.0, 3.0]},
    ],
)
def test_a_state_that_no_curve_has_is_rejected(
    state: dict[str, list[object]], model: BigramLanguageModel, twin: Corpus
) -> None:
    with pytest.raises((ValueError, OverflowError)):
        LossCurve(model, twin, steps=10).restore(1, state)
