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

from reference.errors import ModelFileError, OutputError
from reference.files import tensors
from reference.model import BigramLanguageModel
from reference.runs.saved_model import FILE, check_can_save, load_model, save_model
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
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        save_model(made("hello", 2)[0], vocabulary, tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    weight = load_model(tmp_path).model.token_embedding_table.weight
    assert torch.equal(weight, first.token_embedding_table.weight)


def test_an_interrupted_write_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(*made("hello", 1), tmp_path)
    before = (tmp_path / FILE).read_bytes()

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(*made("hello", 2), tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_bytes() == before


def spoiled(value: float) -> BigramLanguageModel:
    model = made("hello")[0]
    with torch.no_grad():
        model.token_embedding_table.weight[2, 1] = value
    return model


@pytest.mark.parametrize(
    ("model", "characters", "message"),
    [
        (made("hello")[0], "ab", r"table of \(4, 4\) for 2 characters"),
        (spoiled(math.nan), "ehlo", "not finite"),
        (spoiled(math.inf), "ehlo", "not finite"),
        (made("hello")[0].bfloat16(), "ehlo", "torch.bfloat16; it must be float32 or float64"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, model: BigramLanguageModel, characters: str, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        save_model(model, Vocabulary(characters), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_table_laid_out_by_columns_is_the_same_table(tmp_path: Path) -> None:
    model, vocabulary = made("hello")
    weight = model.token_embedding_table.weight
    weight.data = weight.data.t().contiguous().t()
    save_model(model, vocabulary, tmp_path)
    assert torch.equal(load_model(tmp_path).model.token_embedding_table.weight, weight)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    for directory in (blocked, blocked / "below"):
        with pytest.raises(OutputError, match="a file"):
            check_can_save(directory)
    with pytest.raises(OutputError, match="too long"):
        check_can_save(tmp_path / ("x" * 300))
    check_can_save(tmp_path / "new" / "deep")
    assert not list((tmp_path / "new" / "deep").iterdir())


def test_a_folder_that_cannot_be_written_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="cannot be written: Read-only file system"):
        check_can_save(tmp_path)


def test_a_folder_in_the_models_place_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    for overwrite in (False, True):
        with pytest.raises(ModelFileError, match="exists already"):
            check_can_save(tmp_path, overwrite=overwrite)


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


def rewrite(file: Path, *, table: torch.Tensor | None = None, **changes: object) -> None:
    """Write a file that is whole by its digest, and yet not what `save_model` writes."""
    table = torch.zeros((4, 4)) if table is None else table
    fields = {"format": 1, "characters": "ehlo", "about": {}} | changes
    header = json.dumps({key: value for key, value in fields.items() if value is not None})
    content = table.reshape(-1).view(torch.uint8).numpy().tobytes()
    digest = hashlib.sha256(header.encode() + content).hexdigest()
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
        ({"characters": ["e", "h", "l", "o"]}, "was not written by"),
        ({"about": None}, "was not written by"),
        ({"about": ["loss"]}, r"`array` - at `\$\.about`"),
        ({"format": True}, "has format True"),
        ({"table": torch.zeros((4, 3))}, r"table of \(4, 3\) for 4 characters"),
        ({"table": torch.zeros(4)}, r"table of \(4,\) for 4 characters"),
        ({"table": torch.zeros(())}, r"table of \(\) for 4 characters"),
        ({"table": torch.zeros((4, 4), dtype=torch.int64)}, "torch.int64; it must be float32"),
        ({"table": torch.zeros((4, 4)).bfloat16()}, "torch.bfloat16; it must be float32"),
        ({"table": torch.full((4, 4), math.nan)}, "not finite"),
    ],
)
@pytest.mark.usefixtures("own_checks_only")
def test_a_strange_header_or_table_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    rewrite(tmp_path / FILE)
    assert load_model(tmp_path).model.vocab_size == 4
    rewrite(tmp_path / FILE, **changes)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_a_file_says_does_not_command_the_terminal(tmp_path: Path) -> None:
    rewrite(tmp_path / FILE)
    content = (tmp_path / FILE).read_bytes()
    for strange in (b'"\\u001b[2J"', b'"\\n\\u001b"'):
        place = content.index(b'"F32"')
        (tmp_path / FILE).write_bytes(
            (len(content[8:]) - 64 - 5 + len(strange)).to_bytes(8, "little")
            + content[8:place]
            + strange
            + content[place + 5 :]
        )
        with pytest.raises(ModelFileError, match=r"\\x1b") as caught:
            load_model(tmp_path)
        assert str(caught.value).isprintable()


def test_somebody_elses_safetensors_is_told_apart(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(ModelFileError, match="no model of bigram-reference"):
        load_model(tmp_path)


def test_what_is_too_long_for_a_header_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> bytes:
        raise safetensors.SafetensorError("Error while serializing: header too large")

    monkeypatch.setattr(tensors, "save", refuse)
    with pytest.raises(ModelFileError, match=r"`about` cannot be written: .* header too large"):
        save_model(*made("hello"), tmp_path / "new")
    assert not (tmp_path / "new" / FILE).exists()


def test_what_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for value in (math.nan, {1, 2}, tmp_path):
        with pytest.raises(ModelFileError, match="JSON"):
            save_model(*made("hello"), tmp_path / "new", about={"loss": value})
    assert not (tmp_path / "new").exists()


def test_a_folder_may_be_named_by_a_string(tmp_path: Path) -> None:
    save_model(*made("hello"), str(tmp_path))
    assert load_model(str(tmp_path)).vocabulary.characters == "ehlo"
