import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, strategies as st

from reference.corpus import Corpus
from reference.errors import (
    EmptyError,
    NotAnIntegerError,
    NotTextError,
    TextFileError,
    TokenFileError,
    TooShortError,
    UnknownSplitError,
)
from reference.files import text as text_input
from reference.tinyshakespeare import download
from reference.tokens.load import load_corpus


@given(st.text(min_size=1))
def test_the_first_nine_tenths_are_for_training(text: str) -> None:
    corpus = Corpus.from_text(text)
    assert len(corpus.train) == int(0.9 * len(text))
    decode = corpus.vocabulary.decode
    assert decode(corpus.train.tolist()) + decode(corpus.val.tolist()) == text


def test_each_split_draws_from_its_own_tokens() -> None:
    corpus = Corpus.from_text("a" * 90 + "b" * 10)
    for split, token in (("train", 0), ("val", 1)):
        x, y = corpus.get_batch(split, 5, 50)
        assert x.eq(token).all()
        assert y.eq(token).all()


@pytest.mark.parametrize("split", ["trian", "valid", "", "Train"])
def test_a_misspelt_split_is_refused_not_taken_for_val(split: str, twin: Corpus) -> None:
    with pytest.raises(UnknownSplitError, match=f"{split!r}.*train.*val"):
        twin.get_batch(split, 8, 4)


def test_a_split_that_is_too_short_is_named() -> None:
    corpus = Corpus.from_text("abcdefghij" * 5, name="short")
    corpus.get_batch("train", 8, 4)
    with pytest.raises(TooShortError, match="val split of short.*5 tokens"):
        corpus.get_batch("val", 8, 4)


def test_moving_a_corpus_keeps_its_tokens(twin: Corpus) -> None:
    moved = twin.to(torch.device("cpu"))
    assert torch.equal(moved.train, twin.train)
    assert torch.equal(moved.val, twin.val)
    assert (moved.vocabulary, moved.name) == (twin.vocabulary, twin.name)
    away = twin.to(torch.device("meta"))
    assert away.train.is_meta
    assert away.val.is_meta


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    text = "één\r\ntwo\r \U0001f600\n" * 20
    file.write_bytes(text.encode())
    corpus = load_corpus(file)
    assert corpus.name == "text.txt"
    tokens = torch.cat([corpus.train, corpus.val])
    assert corpus.vocabulary.decode(tokens.tolist()) == text
    assert load_corpus(str(file)).vocabulary == corpus.vocabulary


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbfabc")
    assert load_corpus(file).vocabulary.characters == "abc"
    file.write_bytes(b"\xef\xbb\xbfabc\xef\xbb\xbf")  # what stands anywhere else is text
    assert load_corpus(file).vocabulary.characters == "abc\ufeff"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc\xff\xfeabc", "byte 0xff at offset 3"),
        (b"abc\xc3", "byte 0xc3 at offset 3"),
        ("abc".encode("utf-16"), "byte 0xff at offset 0"),
        ("abc".encode("utf-16-le"), "byte 0x00 at offset 1.*UTF-16"),
    ],
)
def test_a_file_that_is_not_utf_8_is_named_with_the_byte(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    with pytest.raises(TextFileError, match=message) as caught:
        load_corpus(file)
    assert str(file) in str(caught.value)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "nothing.txt"
    file.touch()
    with pytest.raises(EmptyError, match=r"nothing\.txt is empty"):
        load_corpus(file)


def test_a_missing_file_or_a_directory_is_named_with_what_else_there_is(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    with pytest.raises(TextFileError, match='"twin".*"tinyshakespeare"') as caught:
        load_corpus(path)
    assert str(path) in str(caught.value)
    with pytest.raises(
        TokenFileError, match=r"manifest\.json.*train\.bin.*bigram prepare"
    ) as empty:
        load_corpus(tmp_path)
    assert str(tmp_path) in str(empty.value)


def test_tinyshakespeare_by_name_is_the_fetched_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fetched.txt"
    file.write_text("to be or not to be")
    told: list[tuple[int, int]] = []

    def fetch(*, progress: Callable[[int, int], None]) -> Path:
        progress(3, 18)
        return file

    monkeypatch.setattr(download, "fetch_tinyshakespeare", fetch)
    corpus = load_corpus(
        "tinyshakespeare", progress=lambda arrived, total: told.append((arrived, total))
    )
    assert told == [(3, 18)]
    assert corpus.name == "Tiny Shakespeare"
    assert corpus.vocabulary.characters == " benort"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_without_end_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (Path("/dev/zero"), tmp_path / "link"):
        with pytest.raises(TextFileError, match=f"{path} is a device, which may have no end"):
            load_corpus(path)
    with pytest.raises(EmptyError, match="null is empty"):
        load_corpus("/dev/null")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no /dev/fd")
@pytest.mark.parametrize(
    ("start", "words"),
    [(b"\0", "byte 0x00 at offset 0"), (b"\xff", "byte 0xff"), (b"\x1f\x8b", "with gzip")],
)
def test_what_is_not_text_is_rejected_by_its_start(
    start: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_input, "CHUNK", 8)
    reading, writing = os.pipe()  # which stays open, so that its end never comes
    try:
        os.write(writing, start + b"a" * 8)
        with pytest.raises(TextFileError, match=words):
            load_corpus(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_text_is_the_same_wherever_its_start_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text("\ufeffö\u732b\U0001f600abc", "utf-8")
    for size in range(1, 9):
        monkeypatch.setattr(text_input, "CHUNK", size)
        assert load_corpus(tmp_path / "text.txt").vocabulary.characters == "abcö\u732b\U0001f600"


@pytest.mark.usefixtures("own_checks_only")
def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(TextFileError, match="source is empty"):
        load_corpus("")
    with pytest.raises(TextFileError, match="source is -, standard input.*bigram prepare - --out"):
        load_corpus("-")
    for value in (None, b"text.txt", 5):
        with pytest.raises(NotTextError, match="a name or a path"):
            load_corpus(value)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TextFileError, match="embedded null"):
        load_corpus("a\0b")


@pytest.mark.usefixtures("own_checks_only")
def test_a_size_that_is_no_integer_is_named_by_a_corpus_too(twin: Corpus) -> None:
    for value in ("8", None, [8]):
        with pytest.raises(NotAnIntegerError, match="block_size"):
            twin.get_batch("train", value, 4)  # type: ignore[arg-type]  # wrong on purpose


def test_the_real_text_splits_as_recorded(real: Corpus) -> None:
    assert (len(real.train), len(real.val)) == (1_003_854, 111_540)
