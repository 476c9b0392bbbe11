import hashlib
import json
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from reference import corpus as corpora, fast
from reference.corpus import Corpus
from reference.errors import (
    BigramError,
    NotAnIntegerError,
    OutOfRangeError,
    TokenFileError,
    TooShortError,
    UnknownSplitError,
)
from reference.files import sealed
from reference.model import BigramLanguageModel
from reference.oracle.counts import bigram_counts
from reference.runs.checkpoint import fingerprint
from reference.tokens import folder as token_files, format as manifests
from reference.tokens.format import Manifest, PieceDigests, smallest_dtype
from reference.tokens.load import FiledCorpus, load_corpus, open_corpus
from reference.tokens.prepare import prepare
from reference.tokens.stream import FileTokens
from reference.training import TrainConfig, train

TEXT = "the cat sat on the mat, und die Katze saß dabei. " * 40
MANY = "".join(map(chr, range(0x4E00, 0x4E00 + 400))) * 3
"""Of more characters than uint8 holds."""

LOTS = "".join(chr(code) for code in range(1, 70_000) if not 0xD800 <= code < 0xE000)
"""And than uint16 holds."""


def folder_of(text: str, at: Path) -> Path:
    at.mkdir(exist_ok=True)
    (at / "text.txt").write_text(text, encoding="utf-8", newline="")
    prepare([at / "text.txt"], at / "out")
    return at / "out"


def nanogpt(at: Path, train: list[int], val: list[int], *, characters: str | None = "abc") -> Path:
    at.mkdir(exist_ok=True)
    for name, tokens in (("train.bin", train), ("val.bin", val)):
        np.array(tokens, np.uint16).tofile(at / name)
    if characters is not None:
        (at / "vocabulary.txt").write_text(characters, newline="")
    return at


@pytest.fixture(params=[TEXT, MANY, LOTS], ids=["uint8", "uint16", "int32"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Corpus, FiledCorpus]:
    """The same text in memory, and in files."""
    text: str = request.param
    return Corpus.from_text(text), open_corpus(folder_of(text, tmp_path))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_folder_holds_the_text_in_the_smallest_type(both: tuple[Corpus, FiledCorpus]) -> None:
    ours, filed = both
    assert filed.vocabulary == ours.vocabulary
    assert str(filed.train.dtype) == f"torch.{smallest_dtype(len(ours.vocabulary))}"
    assert torch.equal(filed.train.long(), ours.train)
    assert torch.equal(filed.val.long(), ours.val)
    assert filed.name == "out"
    assert fingerprint(filed) == fingerprint(ours)


@pytest.mark.parametrize(("C", "name"), [(256, "uint8"), (257, "uint16"), (2**16, "uint16")])
def test_the_smallest_type_holds_the_last_token(C: int, name: str) -> None:
    assert smallest_dtype(C) == name
    assert np.iinfo(manifests.DTYPES[name]).max >= C - 1
    assert smallest_dtype(2**16 + 1) == "int32"


def test_another_text_split_or_vocabulary_has_another_fingerprint(tmp_path: Path) -> None:
    ours = Corpus.from_text("abcabcabca")
    others = [
        Corpus.from_text("abcabcabcb"),
        Corpus.from_text("abdabdabda"),
        replace(ours, train=ours.train[:-1], val=torch.cat([ours.train[-1:], ours.val])),
        replace(ours, val=ours.val[:0]),
    ]
    assert len({fingerprint(one) for one in [ours, *others]}) == 5
    theirs = nanogpt(tmp_path / "theirs", ours.train.tolist(), ours.val.tolist())
    assert fingerprint(load_corpus(theirs)) == fingerprint(ours)


def test_the_fingerprint_is_of_pieces_that_are_not_cut_at_the_split(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (manifests, token_files):
        monkeypatch.setattr(module, "PIECE", 100)
    monkeypatch.setattr("reference.tokens.writer.PIECE", 100)
    monkeypatch.setattr(corpora, "AT_ONCE", 37)
    filed = open_corpus(folder_of(TEXT, tmp_path))
    assert len(filed.files.pieces or ()) == -(-len(TEXT) // 100)
    assert fingerprint(filed) == fingerprint(Corpus.from_text(TEXT))


def test_the_processes_of_a_machine_divide_the_verifying(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (manifests, token_files):
        monkeypatch.setattr(module, "PIECE", 100)
    monkeypatch.setattr("reference.tokens.writer.PIECE", 100)
    folder = folder_of(TEXT, tmp_path)
    tokens = folder / "tokens.bin"
    content = bytearray(tokens.read_bytes())
    content[250] ^= 1  # in the third piece
    tokens.write_bytes(content)
    with pytest.raises(TokenFileError, match="damaged somewhere in bytes 200 to 299"):
        load_corpus(folder)
    told: list[tuple[int, int]] = []
    for part in range(3):
        told.clear()
        if part == 2:
            with pytest.raises(TokenFileError, match="damaged"):
                load_corpus(folder, share=(part, 3))
        else:
            load_corpus(folder, share=(part, 3), progress=lambda *done: told.append(done))
            pieces = len(range(part, -(-len(content) // 100), 3))
            assert len(told) == pieces
            assert told[-1][0] == told[-1][1] <= 100 * pieces


def test_digests_are_of_the_pieces_however_the_bytes_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "PIECE", 10)
    content = bytes(range(25))
    wanted = [hashlib.sha256(content[at : at + 10]).hexdigest() for at in (0, 10, 20)]
    for step in (1, 3, 10, 11, 25):
        digests = PieceDigests()
        for at in range(0, 25, step):
            digests.update(memoryview(content[at : at + step]))
        assert list(digests.all()) == wanted
        assert digests.whole == wanted[:2]
    exact = PieceDigests()
    exact.update(memoryview(content[:20]))
    assert list(exact.all()) == wanted[:2]


def test_batches_are_the_same_and_int64(both: tuple[Corpus, FiledCorpus]) -> None:
    ours, filed = both
    for draw in (lambda c, g: c.get_batch("val", 4, 16, generator=g), draw_fast):
        wanted, found = draw(ours, generator(7)), draw(filed, generator(7))
        for ours_drawn, filed_drawn in zip(wanted, found, strict=True):
            assert filed_drawn.dtype == torch.int64
            assert torch.equal(filed_drawn, ours_drawn)


def draw_fast(corpus: Corpus, stream: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return fast.get_batch(corpus.val, 4, 16, generator=stream)


def test_training_gives_the_same_table(tmp_path: Path) -> None:
    for text in (TEXT, MANY):
        ours, filed = Corpus.from_text(text), open_corpus(folder_of(text, tmp_path / text[0]))
        config = TrainConfig(steps=12)
        for learn in (train, fast.train):
            tables = []
            for corpus in (ours, filed):
                torch.manual_seed(1)
                model = BigramLanguageModel(len(corpus.vocabulary))
                for _step in learn(model, corpus, config, generator=generator(2)):
                    pass
                tables.append(model.token_embedding_table.weight.detach())
            assert torch.equal(*tables)


def test_the_engine_trains_on_the_file_itself_without_reading_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = open_corpus(folder_of(TEXT, tmp_path))
    stepper = fast.training.Stepper(BigramLanguageModel(len(filed.vocabulary)), learning_rate=0.1)
    monkeypatch.setattr("reference.fast.training.check_tokens", None)  # would raise if called
    data = stepper.prepared(filed.train, verified=filed.verified)
    assert data.data_ptr() == filed.train.data_ptr()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_the_cuda_engine_sorts_the_small_types_as_it_does_int64(dtype: torch.dtype) -> None:
    data = torch.randint(200, (500,), generator=generator(1))
    offsets = torch.randint(490, (30, 4), generator=generator(2))
    wanted = fast.cuda._targets_by_token(data, offsets, C=200, T=8)
    found = fast.cuda._targets_by_token(data.to(dtype), offsets, C=200, T=8)
    for ours, theirs in zip(wanted, found, strict=True):
        assert torch.equal(ours, theirs)


def test_the_engine_checks_what_was_not_verified_or_is_of_more_characters(tmp_path: Path) -> None:
    for corpus, C in (
        (open_corpus(nanogpt(tmp_path, [0, 1, 2, 9] * 9, [0] * 9), verify=False), 3),
        (open_corpus(folder_of(TEXT, tmp_path / "ours")), 3),
    ):
        with pytest.raises(BigramError, match=r"data\[\d+\] is \d+; a token must lie in 0 to 2"):
            next(fast.train(BigramLanguageModel(C), corpus, TrainConfig(steps=1)))


def test_pair_counts_are_the_oracles(
    both: tuple[Corpus, FiledCorpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, filed = both
    if len(ours.vocabulary) > 1000:
        pytest.skip("a table of that many characters takes all memory")
    monkeypatch.setattr(corpora, "AT_ONCE", 97)
    for split in ("train", "val"):
        wanted = bigram_counts(ours.split(split).numpy(), len(ours.vocabulary))
        for corpus in both:
            assert np.array_equal(corpus.pair_counts(split), wanted)
        for stream in (ours.split(split), filed.stream(split)):
            assert np.array_equal(fast.count(stream, len(ours.vocabulary)), wanted)


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> FiledCorpus:
    return open_corpus(folder_of(TEXT, tmp_path_factory.mktemp("filed")))


@given(st.lists(st.integers(0, len(TEXT) * 9 // 10), max_size=5))
def test_the_counts_of_parts_add_up_to_the_whole(filed: FiledCorpus, cuts: list[int]) -> None:
    N, C = len(filed.train), len(filed.vocabulary)
    parts = list(pairwise([0, *sorted(cuts), N]))
    whole = filed.pair_counts("train")
    assert whole.sum() == N - 1
    counted = [filed.pair_counts("train", begin=begin, end=end) for begin, end in parts]
    assert np.array_equal(sum(counted), whole)
    for stream in (filed.train, filed.stream("train"), filed.train.numpy()):
        counted = [fast.count(stream, C, begin=begin, end=end) for begin, end in parts]
        assert np.array_equal(sum(counted), whole)


def test_a_part_is_of_pairs_by_their_first_token() -> None:
    corpus = Corpus.from_text("abcabcabcabc" + "a" * 8)
    for count in (corpus.pair_counts, lambda _, **part: fast.count(corpus.train, 3, **part)):
        assert count("train", begin=2, end=3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
        assert not count("train", begin=17).any()
        assert not count("train", begin=4, end=4).any()
        for begin, end in ((0, 19), (5, 4), (-1, 3), (19, None)):
            with pytest.raises(OutOfRangeError, match="begin|end"):
                count("train", begin=begin, end=end)


@pytest.mark.usefixtures("own_checks_only")
def test_a_part_that_is_no_part_is_named() -> None:
    corpus = Corpus.from_text("abcabcabcabc")
    with pytest.raises(NotAnIntegerError, match="begin"):
        corpus.pair_counts("train", begin="1")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UnknownSplitError, match="valid"):
        corpus.pair_counts("valid")


def test_fit_takes_a_file_and_a_part(tmp_path: Path) -> None:
    ours, filed = Corpus.from_text(TEXT), open_corpus(folder_of(TEXT, tmp_path))
    C, smoothing = len(ours.vocabulary), fast.Additive(k=1.0)
    wanted = fast.fit(ours.train[100:202], C, smoothing=smoothing)
    table = fast.fit(filed.stream("train"), C, smoothing=smoothing, begin=100, end=201)
    assert torch.equal(table, wanted)


def test_progress_of_a_count_ends_at_all_of_it() -> None:
    corpus = Corpus.from_text(TEXT)
    told: list[tuple[int, int]] = []
    corpus.pair_counts("train", begin=10, end=50, progress=lambda *now: told.append(now))
    assert told == [(40, 40)]


def test_a_stream_is_the_tensor_or_its_file(tmp_path: Path) -> None:
    ours, filed = Corpus.from_text(TEXT), open_corpus(folder_of(TEXT, tmp_path))
    stream = filed.stream("val")
    assert isinstance(stream, FileTokens)
    assert len(stream) == len(ours.val)
    assert stream.read(3, 9).tolist() == ours.val[3:9].tolist()
    n = len(ours.val)
    assert stream.read(n - 2, n + 5).tolist() == ours.val[-2:].tolist()  # no further
    assert stream.read(n, n + 5).tolist() == []
    with pytest.raises(UnknownSplitError):
        filed.stream("test")
    moved = filed.to(torch.device("meta"))
    assert moved.train.is_meta
    assert isinstance(moved, FiledCorpus)
    assert moved.stream("train") == filed.stream("train")


def test_writing_into_a_batch_or_the_tokens_never_reaches_the_file(tmp_path: Path) -> None:
    out = folder_of(TEXT, tmp_path)
    before = (out / "tokens.bin").read_bytes()
    filed = open_corpus(out)
    x, _y = filed.get_batch("train", 4, 4)
    x.fill_(1)
    filed.train[:] = 1
    del filed
    assert (out / "tokens.bin").read_bytes() == before


def test_a_file_that_is_cut_or_gone_while_it_is_read_is_named(tmp_path: Path) -> None:
    out = folder_of(TEXT, tmp_path)
    stream = open_corpus(out).stream("train")
    assert isinstance(stream, FileTokens)
    with (out / "tokens.bin").open("r+b") as file:
        file.truncate(100)
    calls: list[Callable[[], object]] = [
        lambda: stream.read(90, 110),
        lambda: fast.count(stream, 99),
    ]
    for read in calls:
        with pytest.raises(TokenFileError, match=r"tokens\.bin has become shorter"):
            read()
    (out / "tokens.bin").unlink()
    calls[1] = stream.mapped
    for read in calls:
        with pytest.raises(TokenFileError, match=r"tokens\.bin cannot be read: No such file"):
            read()


SMALL = "ab\u00fcab\u00fcaab"


@pytest.mark.parametrize("name", ["tokens.bin", "vocabulary.json", "manifest.json"])
def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path: Path, name: str) -> None:
    out = folder_of(SMALL, tmp_path)
    load_corpus(out)
    file = out / name
    content = file.read_bytes()
    damaged = [content[:length] for length in range(len(content))]
    damaged += [content + more for more in (b"\0", b"\n", b" ", content)]
    damaged += [
        content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]
    for bad in damaged:
        file.write_bytes(bad)
        with pytest.raises(TokenFileError, match=f"{out}.*(again|install|sorted)"):
            load_corpus(out)
    file.unlink()
    with pytest.raises(TokenFileError):
        load_corpus(out)


def test_damage_is_named_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (manifests, token_files):
        monkeypatch.setattr(module, "PIECE", 128)
    monkeypatch.setattr("reference.tokens.writer.PIECE", 128)
    out = folder_of(TEXT, tmp_path)
    content = bytearray((out / "tokens.bin").read_bytes())
    content[300] ^= 1
    (out / "tokens.bin").write_bytes(content)
    with pytest.raises(
        TokenFileError, match=r"tokens\.bin is damaged somewhere in bytes 256 to 383"
    ):
        load_corpus(out)
    open_corpus(out, verify=False)


def test_progress_is_told_of_every_byte(tmp_path: Path) -> None:
    out = folder_of(TEXT, tmp_path)
    told: list[tuple[int, int]] = []
    load_corpus(out, progress=lambda *now: told.append(now))
    assert told == [(len(TEXT), len(TEXT))]


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": -1},
        {"tokens": True},
        {"train_tokens": 10**9},
        {"dtype": "int64"},
        {"dtype": "uint16"},
        {"dtype": []},
        {"vocab_size": 4},
        {"pieces": ()},
        {"pieces": ("0" * 64, "1" * 64)},
        {"pieces": "x"},
        {"version": 1},
        {"sources": ({"name": 1, "bytes": 9, "characters": 9},)},
        {"sources": ({"name": "a", "bytes": -9, "characters": 9},)},
        {"sources": ({"name": "a", "bytes": 9, "characters": 9.5},)},
        {"sources": {}},
    ],
)
def test_a_manifest_that_is_sealed_and_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    out = folder_of(SMALL, tmp_path)
    made = replace(manifests.read_manifest(out / "manifest.json"))
    for field, value in change.items():
        object.__setattr__(made, field, value)  # past the checks of types
    (out / "manifest.json").write_bytes(Manifest.to_bytes(made))
    with pytest.raises(TokenFileError):
        load_corpus(out, verify=False)  # so that no digest of the tokens refuses it


def test_a_token_outside_the_vocabulary_is_refused_even_with_its_digest(tmp_path: Path) -> None:
    out = folder_of(SMALL, tmp_path)
    (out / "tokens.bin").write_bytes(bytes([0, 1, 2, 0, 1, 2, 0, 3, 1]))
    digest = hashlib.sha256((out / "tokens.bin").read_bytes()).hexdigest()
    made = replace(manifests.read_manifest(out / "manifest.json"), pieces=(digest,))
    (out / "manifest.json").write_bytes(made.to_bytes())
    with pytest.raises(TokenFileError, match="token 7 is 3, and must lie in 0 to 2"):
        load_corpus(out)


def test_another_format_is_named(tmp_path: Path) -> None:
    out = folder_of(SMALL, tmp_path)
    fields = sealed.unseal((out / "manifest.json").read_bytes())
    for other in (99, True, 1.0):
        (out / "manifest.json").write_bytes(sealed.seal({**fields, "format": other}))
        with pytest.raises(TokenFileError, match=f"format {other}; this version .* reads 1"):
            load_corpus(out)


@pytest.mark.usefixtures("own_checks_only")
def test_a_manifest_of_no_characters_is_refused(tmp_path: Path) -> None:
    out = folder_of(SMALL, tmp_path)
    fields = sealed.unseal((out / "manifest.json").read_bytes())
    (out / "manifest.json").write_bytes(sealed.seal({**fields, "vocab_size": -9}))
    with pytest.raises(TokenFileError, match=r"manifest\.json is damaged"):
        manifests.read_manifest(out / "manifest.json")


def test_nanogpts_files_are_read_with_a_vocabulary_beside_them(tmp_path: Path) -> None:
    folder = nanogpt(tmp_path / "shakespeare_char", [0, 1, 2] * 9, [2, 1])
    for name, content in (("vocabulary.txt", "abc"), ("vocabulary.json", '"abc"')):
        (folder / name).write_text(content)
        corpus = open_corpus(folder)
        assert corpus.vocabulary.characters == "abc"
        assert corpus.train.dtype == torch.uint16
        assert corpus.train.tolist() == [0, 1, 2] * 9
        assert corpus.val.tolist() == [2, 1]
        assert np.array_equal(corpus.pair_counts("train"), fast.count(corpus.stream("train"), 3))
        (folder / name).unlink()


class Bomb:
    """What runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path("exploded"),))  # type: ignore[return-value]


def test_nanogpts_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = nanogpt(tmp_path / "theirs", [0] * 9, [0] * 9, characters=None)
    (folder / "meta.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(
        TokenFileError, match=r"meta\.pkl is not read.*vocabulary\.json.*vocabulary\.txt.*sorted"
    ):
        load_corpus(folder)
    assert not (tmp_path / "exploded").exists()


def test_nanogpts_files_are_checked_as_far_as_can_be(tmp_path: Path) -> None:
    folder = nanogpt(tmp_path / "theirs", [0, 1, 2] * 9, [0, 1, 3, 70])
    with pytest.raises(TokenFileError, match=r"val\.bin.*token 2 is 3, and must lie in 0 to 2"):
        load_corpus(folder)
    with (folder / "val.bin").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(TokenFileError, match=r"val\.bin holds 9 bytes.*2 bytes each"):
        load_corpus(folder)
    (folder / "val.bin").unlink()
    with pytest.raises(TokenFileError, match=r"has train\.bin, and no val\.bin"):
        load_corpus(folder)


def test_an_empty_split_is_empty(tmp_path: Path) -> None:
    corpus = open_corpus(nanogpt(tmp_path / "theirs", [0, 1, 2] * 9, []))
    assert corpus.val.shape == (0,)
    assert not corpus.pair_counts("val").any()
    with pytest.raises(TooShortError, match="val split of theirs"):
        corpus.check_length("val", 2)


@pytest.mark.parametrize("characters", ["", "acb", "abb", "abc\n"])
def test_a_vocabulary_that_is_not_sorted_single_characters_is_refused(
    tmp_path: Path, characters: str
) -> None:
    folder = nanogpt(tmp_path / "theirs", [0], [0], characters=characters)
    with pytest.raises(TokenFileError, match=r"vocabulary\.txt holds no vocabulary.*sorted"):
        load_corpus(folder)
    for content in (json.dumps(characters), "[1]", "5", '"\\ud800"', "{", "[" * 10_000, '"a'):
        (folder / "vocabulary.json").write_text(content)
        with pytest.raises(TokenFileError, match=r"vocabulary\.json holds no vocabulary"):
            load_corpus(folder)


@given(
    st.binary(max_size=40) | st.just(b'{"sha256": 1}') | st.just(b"[]") | st.just(b"1" * 5000),
    st.sampled_from(["tokens.bin", "vocabulary.json", "manifest.json"]),
    st.booleans(),
)
def test_whatever_a_file_holds_only_our_errors_are_raised(
    content: bytes, name: str, theirs: bool
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if theirs:
            nanogpt(folder, [0, 1, 2], [0], characters=None)
            name = {"tokens.bin": "train.bin", "manifest.json": "vocabulary.txt"}.get(name, name)
        else:
            folder = folder_of(SMALL, folder)
        (folder / name).write_bytes(content)
        with suppress(BigramError):  # and nothing else
            load_corpus(folder)
