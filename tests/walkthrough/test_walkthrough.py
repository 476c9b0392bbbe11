import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from reference import data, model
from reference.corpus import Corpus
from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.runs.curve import LossCurve
from reference.training import TrainConfig, estimate_loss
from reference.walkthrough.data import documented_model
from reference.walkthrough.examples import aligned
from reference.walkthrough.order import before_training
from reference.walkthrough.rows import Mark, Row, Section, Setting
from reference.walkthrough.training import after_training

NOTES = Path(__file__).parents[2] / "docs/notes/nn-module.markmap.md"

# One wrong value for each figure; each is the smallest slip that a reader might not notice.
PERTURBED: dict[str, object] = {
    "seed": 1338,
    "vocab_size": 64,
    "batch": (*Figures.batch[:3], (*Figures.batch[3][:7], 44)),
    "logits_shape": (32, 64),
    "loss": "4.8949",
    "loss_grad_fn": "NllLossBackward1",
    "sample": Figures.sample[:-1] + "K",
    "start_shape": (1, 2),
    "words": ("Queen", "King", "Man", "Woman"),
    "word_vectors": ((1.0, 0.8), *Figures.word_vectors[1:]),
    "king_in_prose": (1.0, 0.7),
    "analogy": "King",
    "sentence": ("the", "cat", "sat", "on", "rug"),
    "prompt": (0, 2),
    "continued": (0, 1, 2, 3, 3),
    "sentence_in_prose": "the cat sat on mat",
    "raw_logits": ((0.3134, -0.1676, 0.3773, -0.0824, -0.2983), *Figures.raw_logits[1:]),
    "probabilities": ((0.2175, 0.1338, 0.2301, 0.1450, 0.2735), *Figures.probabilities[1:]),
    "steps": 99_999,
    "batch_size": 31,
    "block_size": 9,
    "learning_rate": 1.1e-3,
    "entropy_floor": "2.4520",
    "loss_seeded_once": "4.9457",
    "loss_lecture_bound": "4.8787",
    "probabilities_gap": "0.1345",
    "probabilities_gap_place": (1, 4),
    "analogy_point": (1.0, -0.2),
    "analogy_distance": "0.1",
    "weight_decay": 0.02,
}
# Judged after training, by tests of their own.
AFTER_TRAINING = {"gap_after_training"}


def differing(rows: Iterator[Row]) -> list[str]:
    return [row.name for row in rows if row.mark is Mark.DIFFERS]


def test_every_documented_figure_comes_back_on_the_twin(twin: Corpus) -> None:
    rows = list(before_training(Setting(corpus=twin)))
    assert differing(iter(rows)) == []
    assert Counter(row.mark for row in rows)[Mark.MATCH] >= 30


def test_every_documented_figure_comes_back_on_the_real_text(real: Corpus) -> None:
    assert differing(before_training(Setting(corpus=real))) == []


def test_both_texts_give_the_same_rows(twin: Corpus, real: Corpus) -> None:
    assert list(before_training(Setting(corpus=twin))) == list(
        before_training(Setting(corpus=real))
    )


def test_every_figure_has_a_wrong_twin() -> None:
    names = {field.name for field in dataclasses.fields(Figures)}
    assert names == PERTURBED.keys() | AFTER_TRAINING


@pytest.mark.parametrize("name", PERTURBED)
def test_one_wrong_figure_is_noticed(name: str, twin: Corpus) -> None:
    figures = dataclasses.replace(Figures(), **{name: PERTURBED[name]})  # type: ignore[arg-type]  # fields differ
    assert differing(before_training(Setting(corpus=twin, figures=figures)))


def test_another_seed_is_noticed(twin: Corpus) -> None:
    names = differing(before_training(Setting(corpus=twin, seed=1)))
    assert {"torch.manual_seed", "xb, the inputs", "loss", "100 characters"} <= set(names)


def test_another_text_is_noticed(twin: Corpus) -> None:
    text = twin.vocabulary.decode(twin.train[:5000].flip(0).tolist())
    names = differing(before_training(Setting(corpus=Corpus.from_text(text))))
    assert {"vocab_size", "xb, the inputs", "loss", "entropy floor, nats"} <= set(names)


def test_the_global_stream_is_left_as_it_was(twin: Corpus) -> None:
    before = torch.get_rng_state()
    list(before_training(Setting(corpus=twin)))
    assert torch.equal(before, torch.get_rng_state())


def test_the_errata_are_shown_with_what_is_so(twin: Corpus) -> None:
    rows = {row.name: row for row in before_training(Setting(corpus=twin))}
    errata = {name for name, row in rows.items() if row.mark is Mark.ERRATUM}
    assert len(errata) == 14
    assert "0.1344, at row 1, column 5" in rows["F.softmax(logits, dim=1)"].remark
    assert rows["King - Man + Woman"].computed == "(1.0, -0.3); nearest is Queen, 0.2 away"
    assert rows["loss, seeded once"].computed == "4.9456"
    assert rows["loss, all offsets"].computed == "4.8786"


def test_what_is_only_shown_is_shown_right(twin: Corpus) -> None:
    rows = {row.name: row for row in before_training(Setting(corpus=twin))}
    assert rows["train_data, val_data"].computed == "1,003,854 and 111,540 tokens"
    assert rows["yb, the targets"].computed.splitlines()[0] == "59  6  1 58 56 47 40 59"
    assert rows["distances"].computed == (
        "King-Man 1.02, Queen-Woman 1; King-Queen 1.2, Man-Woman 1"
    )
    assert rows["xb, the inputs"].remark.splitlines()[0] == "'ou, trib'"


def test_the_words_are_aligned_as_far_as_they_are() -> None:
    origin = torch.zeros(2)
    for gap, said in ((0.0, "exactly"), (0.2, "approximately"), (0.3, "not")):
        assert aligned(origin, torch.tensor([9.0, -gap]), 1) == said


def test_every_section_is_a_place_in_the_notes(twin: Corpus) -> None:
    notes = NOTES.read_text(encoding="utf-8")
    for row in before_training(Setting(corpus=twin)):
        for place in row.section.split(" > "):
            assert place in notes, row.section


@pytest.mark.parametrize(
    ("documented", "computed", "recorded", "mark"),
    [
        ("1", "2", True, Mark.ERRATUM),
        ("1", "2", False, Mark.DIFFERS),  # the truth is not what was recorded
        ("1", "1", True, Mark.DIFFERS),  # the notes are right after all
    ],
)
def test_an_erratum_must_be_the_recorded_one(
    documented: str, computed: str, recorded: bool, mark: Mark
) -> None:
    row = Section("x").erratum("name", documented, computed, "", recorded=recorded)
    assert row.mark is mark


def other_call(model: BigramLanguageModel, *arguments: torch.Tensor) -> object:
    logits, loss = model.forward(*arguments)
    return logits + 1, loss


def tracking(
    model: BigramLanguageModel, idx: torch.Tensor, max_new_tokens: int, **_options: object
) -> torch.Tensor:
    for _ in range(max_new_tokens):
        logits, _loss = model(idx)
        probs = F.softmax(logits[:, -1, :], dim=1)
        idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
    return idx


# What the package might do wrong, by the row that then must say so.
WRONG: dict[str, tuple[object, str, object]] = {
    "seeded twice": (torch, "manual_seed", lambda _seed: None),
    "the offsets": (data, "check_length", lambda _length, _block_size: None),
    "the split": (Corpus, "split", lambda corpus, _name: corpus.val),
    "F.cross_entropy, target -100": (model, "check_tokens", lambda *_all, **_options: None),
    "m(xb, yb)": (BigramLanguageModel, "__call__", other_call),
    "gradients": (BigramLanguageModel, "generate", tracking),
    "T": (BigramLanguageModel, "generate", lambda _model, idx, max_new_tokens: idx),
    "methods": (BigramLanguageModel, "extra", print),
    "dim=1": (F, "softmax", lambda logits, dim: torch.softmax(logits, dim=-1)),
}


@pytest.mark.parametrize("row", WRONG)
@pytest.mark.usefixtures("own_checks_only")
def test_what_the_package_does_wrong_is_noticed(
    row: str, twin: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name, wrong = WRONG[row]
    monkeypatch.setattr(place, name, wrong, raising=False)
    seen = set()
    with contextlib.suppress(Exception):  # a later row may well end it, for the same reason
        for made in before_training(Setting(corpus=twin)):
            seen.add((made.name, made.mark))
    assert (row, Mark.DIFFERS) in seen


@pytest.fixture
def optimum(twin: Corpus) -> BigramLanguageModel:
    """The table that reaches the floor, up to the tokens that never follow."""
    model = BigramLanguageModel(65)
    counts = torch.from_numpy(LossCurve(model, twin, steps=1).counts)
    with torch.no_grad():
        model.token_embedding_table.weight.copy_(
            (counts / counts.sum(1, keepdim=True) + 1e-9).log()
        )
    return model


def trained_rows(setting: Setting, model: BigramLanguageModel) -> dict[str, Row]:
    curve = LossCurve(model, setting.corpus, steps=setting.config.steps)
    return {row.name: row for row in after_training(setting, model, curve, torch.Generator())}


def test_the_loop_is_judged_by_its_gap_to_the_floor(
    twin: Corpus, optimum: BigramLanguageModel
) -> None:
    row = trained_rows(Setting(corpus=twin), optimum)["loss after 100,000 steps"]
    assert row.mark is Mark.MATCH
    assert row.computed == "2.4519, 0.0000 above the floor 2.4519"
    with torch.no_grad():  # one logit of the commonest token, and the loss is 0.017 higher
        optimum.token_embedding_table.weight[1, 58] += 1.2
    row = trained_rows(Setting(corpus=twin), optimum)["loss after 100,000 steps"]
    assert row.mark is Mark.DIFFERS


def test_a_strict_gap_is_not_met(twin: Corpus, optimum: BigramLanguageModel) -> None:
    figures = Figures(gap_after_training=1e-12)
    rows = trained_rows(Setting(corpus=twin, figures=figures), optimum)
    assert rows["loss after 100,000 steps"].mark is Mark.DIFFERS


def test_another_number_of_steps_is_shown_and_not_judged(twin: Corpus) -> None:
    setting = Setting(corpus=twin, config=TrainConfig(steps=10))
    rows = trained_rows(setting, documented_model(setting))
    assert rows["loss after 10 steps"].mark is Mark.SHOWN
    assert len(rows["300 characters"].computed) == 301


def test_the_estimate_shows_each_splits_own_loss(twin: Corpus) -> None:
    setting = Setting(corpus=twin, config=TrainConfig(steps=10))
    model = documented_model(setting)
    generator = torch.Generator().manual_seed(setting.seed)
    estimate = estimate_loss(model, twin, generator=generator)
    shown = trained_rows(setting, model)["loss on 200 batches"].computed
    assert shown == f"train {estimate['train']:.4f}, val {estimate['val']:.4f}"


def test_a_loss_below_the_floor_cannot_be(twin: Corpus, optimum: BigramLanguageModel) -> None:
    curve = LossCurve(optimum, twin, steps=1)
    curve.floor += 0.001
    rows = after_training(Setting(corpus=twin), optimum, curve, torch.Generator())
    assert next(rows).mark is Mark.DIFFERS
