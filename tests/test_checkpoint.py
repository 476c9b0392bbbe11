import hashlib
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, strategies as st
from safetensors import safe_open

from reference.checkpoint import FILE, check_can_save, load_model, save_model
from reference.errors import ModelFileError, VocabularyError
from reference.model import BigramLanguageModel
from reference.vocabulary import Vocabulary

TABLE = "token_embedding_table.weight"


def made(characters: str, seed: int = 0) -> tuple[BigramLanguageModel, Vocabulary]:
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_text(characters)
    return BigramLanguageModel(len(vocabulary)), vocabulary


@given(st.text(min_size=1), st.integers(0, 2**32), st.dictionaries(st.text(), st.integers()))
def test_a_model_comes_back_bit_for_bit(text: str, seed: int, about: dict[str, int]) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return  # half a character: no text file holds it
    model, vocabulary = made(text, seed)
    with torch.no_grad():
        model.token_embedding_table.weight[0, 0] = -0.0
    with tempfile.TemporaryDirectory() as name:
        save_model(model, vocabulary, Path(name), about=about)
        back = load_model(Path(name))
    weight, was = back.model.token_embedding_table.weight, model.token_embedding_table.weight
    assert torch.equal(weight.view(torch.int32), was.view(torch.int32))
    assert isinstance(weight, torch.nn.Parameter)
    assert weight.requires_grad
    assert back.vocabulary == vocabulary
    assert back.about == about


def test_the_file_needs_nothing_of_ours_to_be_read(tmp_path: Path) -> None:
    model, vocabulary = made("hello")
    file = save_model(model, vocabulary, tmp_path, about={"steps": 3})
    assert file == tmp_path / FILE
    with safe_open(file, framework="pt") as kept:
        assert torch.equal(kept.get_tensor(TABLE), model.token_embedding_table.weight)
        header = json.loads(kept.metadata()["bigram-reference"])
    assert header == {"format": 1, "characters": "ehlo", "about": {"steps": 3}}


def test_loading_draws_nothing_from_the_random_stream(tmp_path: Path) -> None:
    save_model(*made("hello"), tmp_path)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_a_double_precision_table_stays_one(tmp_path: Path) -> None:
    model, vocabulary = made("hello")
    save_model(model.double(), vocabulary, tmp_path)
    assert load_model(tmp_path).model.token_embedding_table.weight.dtype == torch.float64


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    first, vocabulary = made("hello", 1)
    second, _vocabulary = made("hello", 2)
    save_model(first, vocabulary, tmp_path)
    with pytest.raises(ModelFileError, match="exists already.*overwrite"):
        save_model(second, vocabulary, tmp_path)
    weight = load_model(tmp_path).model.token_embedding_table.weight
    assert torch.equal(weight, first.token_embedding_table.weight)
    save_model(second, vocabulary, tmp_path, overwrite=True)
    weight = load_model(tmp_path).model.token_embedding_table.weight
    assert torch.equal(weight, second.token_embedding_table.weight)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_write_that_fails_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, vocabulary = made("hello", 1)
    save_model(first, vocabulary, tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match="cannot be written: No space left on device"):
        save_model(made("hello", 2)[0], vocabulary, tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    weight = load_model(tmp_path).model.token_embedding_table.weight
    assert torch.equal(weight, first.token_embedding_table.weight)


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="2 characters; the model's has 4"):
        save_model(made("hello")[0], Vocabulary("ab"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    for directory in (blocked, blocked / "below"):
        with pytest.raises(ModelFileError, match="a file"):
            check_can_save(directory)
    check_can_save(tmp_path / "new" / "deep")
    assert not list((tmp_path / "new" / "deep").iterdir())


def test_nothing_there_is_named_with_what_to_give(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelFileError, match="bigram train --out") as caught:
            load_model(directory)
        assert str(directory / FILE) in str(caught.value)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    file = save_model(*made("hello"), tmp_path)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="damaged"):
            load_model(tmp_path)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    file = save_model(*made("hello"), tmp_path, about={"loss": 2.5})
    whole = file.read_bytes()
    for position in range(len(whole)):
        for bit in (0x01, 0x20):
            flipped = bytearray(whole)
            flipped[position] ^= bit
            file.write_bytes(flipped)
            with pytest.raises(ModelFileError):
                load_model(tmp_path)


def rewrite(file: Path, **changes: object) -> None:
    """Write a file that is whole by its digest, and yet not what `save_model` writes."""
    table = torch.zeros((4, 4))
    fields = {"format": 1, "characters": "ehlo", "about": {}} | changes
    header = json.dumps({key: value for key, value in fields.items() if value is not None})
    digest = hashlib.sha256(header.encode() + table.numpy().tobytes()).hexdigest()
    safetensors.torch.save_file(
        {TABLE: table}, file, metadata={"bigram-reference": header, "sha256": digest}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this version .* reads 1"),
        ({"format": None}, "was not written by"),
        ({"characters": "elho"}, "was not written by.*sorted"),
        ({"characters": "ehl"}, r"table of \(4, 4\) for 3 characters"),
        ({"characters": 5}, "was not written by"),
        ({"about": None}, "was not written by"),
    ],
)
@pytest.mark.usefixtures("own_checks_only")
def test_a_strange_header_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    rewrite(tmp_path / FILE)
    assert load_model(tmp_path).model.vocab_size == 4
    rewrite(tmp_path / FILE, **changes)
    with pytest.raises(ModelFileError, match=message):
        load_model(tmp_path)


def test_somebody_elses_safetensors_is_told_apart(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(ModelFileError, match="no model of bigram-reference"):
        load_model(tmp_path)


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_model(*made("hello"), tmp_path, about={"loss": math.nan})
    assert not list(tmp_path.iterdir())
