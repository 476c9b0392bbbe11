import pytest

from reference.corpus import Corpus
from reference.curve import LossCurve
from reference.model import BigramLanguageModel
from reference.oracle.counts import bigram_counts, cross_entropy, entropy_floor
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
