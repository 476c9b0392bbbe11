import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from reference.corpus import Corpus
from reference.errors import TwinError
from reference.oracle.counts import bigram_counts
from reference.tinyshakespeare import make_twin, twin as twin_module
from reference.tinyshakespeare.twin import TABLES, Tables, build_twin, euler_trail, load_twin
from reference.tokens.load import load_corpus
from reference.tokens.prepare import prepare

# Of the real text's count tables, train then val, as int64 in C order.
COUNTS_SHA256 = "c31a964fdcf37a261723b7c43ba577e94e8d59a656e0d986d9c9c3faeb0b42f0"

OFFSETS = (77170, 236647, 561895, 935582)
WINDOWS = (
    (53, 59, 6, 1, 58, 56, 47, 40, 59),
    (49, 43, 43, 54, 1, 47, 58, 1, 58),
    (1, 39, 1, 46, 53, 59, 57, 43, 0),
    (13, 52, 45, 43, 50, 53, 8, 0, 26),
)

texts = st.lists(st.integers(0, 5), min_size=2, max_size=60)


def counts_sha256(train: np.ndarray, val: np.ndarray) -> str:
    counts = np.stack([bigram_counts(train, 65), bigram_counts(val, 65)])
    return hashlib.sha256(counts.astype("<i8").tobytes()).hexdigest()


def test_the_twin_has_the_recorded_counts(twin: Corpus) -> None:
    assert (len(twin.train), len(twin.val)) == (1_003_854, 111_540)
    assert counts_sha256(twin.train.numpy(), twin.val.numpy()) == COUNTS_SHA256


def test_the_real_text_has_the_recorded_counts(real: Corpus) -> None:
    assert counts_sha256(real.train.numpy(), real.val.numpy()) == COUNTS_SHA256


def test_the_twin_is_the_real_text_pair_for_pair(twin: Corpus, real: Corpus) -> None:
    assert twin.vocabulary == real.vocabulary
    for split in ("train", "val"):
        ours, theirs = (bigram_counts(c.split(split).numpy(), 65) for c in (twin, real))
        assert np.array_equal(ours, theirs)


def test_the_documented_windows_stand_at_the_documented_offsets(twin: Corpus) -> None:
    for offset, window in zip(OFFSETS, WINDOWS, strict=True):
        assert tuple(twin.train[offset : offset + 9].tolist()) == window


def test_the_twin_is_mixed_as_a_text_is(twin: Corpus) -> None:
    # An Euler trail laid pair by pair would have all of one pair in one place.
    data = twin.train.numpy()
    is_pair = (data[:-1] == 1) & (data[1:] == 58)  # " t", once in 46 characters
    per_thousand = is_pair[:1_003_000].reshape(-1, 1000).sum(axis=1)
    assert per_thousand.min() > 0
    assert per_thousand.max() < 60


def test_the_script_makes_the_packaged_tables_from_the_real_text(
    real: Corpus, tmp_path: Path, real_text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, kept = make_twin.count_tables(real), Tables.load(TABLES)
    assert made.characters == kept.characters
    for name in ("train", "val", "offsets", "windows"):
        assert np.array_equal(getattr(made, name), getattr(kept, name)), name
    out = tmp_path / "tables.npz"
    make_twin.main([str(real_text), str(out)])
    assert out.read_bytes() == TABLES.read_bytes()
    assert capsys.readouterr().out.strip() == twin_module.SHA256


def test_the_script_makes_the_same_tables_from_a_prepared_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("the cat sat on the mat. " * 40)
    prepare([tmp_path / "text"], tmp_path / "tokens")
    text, tokens = (
        make_twin.count_tables(load_corpus(tmp_path / name)) for name in ("text", "tokens")
    )
    for name in ("characters", "train", "val", "offsets", "windows"):
        assert np.array_equal(getattr(text, name), getattr(tokens, name)), name


def test_the_script_does_not_write_over_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("the cat sat on the mat. " * 9)
    (tmp_path / "link").symlink_to("text")
    for name in ("text", "link"):
        with pytest.raises(SystemExit, match="2"):
            make_twin.main([str(tmp_path / "text"), str(tmp_path / name)])
        assert "which is an input" in capsys.readouterr().err
    assert (tmp_path / "text").read_text() == "the cat sat on the mat. " * 9


def test_the_tables_are_a_few_kilobytes() -> None:
    assert TABLES.stat().st_size < 10_000


def test_a_twin_that_is_not_the_recorded_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Tables.load(TABLES)
    other = dataclasses.replace(kept, windows=kept.windows[:0], offsets=kept.offsets[:0])
    monkeypatch.setattr(Tables, "load", lambda _path: other)
    with pytest.raises(TwinError, match=twin_module.SHA256):
        load_twin()


@given(texts)
def test_a_trail_takes_every_pair_as_often_as_the_text(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, 6)
    trail = euler_trail(counts)
    assert np.array_equal(bigram_counts(trail, 6), counts)
    if tokens[0] != tokens[-1]:  # else the counts do not say where the text began
        assert (trail[0], trail[-1]) == (tokens[0], tokens[-1])


@given(texts)
def test_a_trail_depends_on_the_counts_alone(tokens: list[int]) -> None:
    counts = bigram_counts(tokens, 6)
    assert euler_trail(counts) == euler_trail(counts.copy())


def test_no_counts_are_refused() -> None:
    with pytest.raises(TwinError, match="there is none"):
        euler_trail(np.zeros((4, 4), dtype=np.int64))


def test_a_text_of_too_many_characters_is_not_saved(tmp_path: Path) -> None:
    tables = tables_of(np.array([0, 1, 2] * 20), [0])
    tables.save(tmp_path / "tables")
    assert Tables.load(tmp_path / "tables").windows.tolist() == [[0, 1, 2, 0]]
    many = dataclasses.replace(tables, characters="".join(map(chr, range(257))))
    with pytest.raises(TwinError, match="257 distinct characters.*256"):
        many.save(tmp_path / "many")
    assert not (tmp_path / "many").exists()


@pytest.mark.parametrize("arguments", [[], ["MISSING"], ["SHORT"], ["a", "b", "c"]])
def test_the_script_says_what_is_wrong(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "SHORT").write_text("abc")
    with pytest.raises(SystemExit, match="2"):
        make_twin.main([str(tmp_path / argument) for argument in arguments])
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 1), (0, 2)],  # two ways out of 0, none back
        [(0, 0), (1, 1)],  # two circles that never meet
        [(0, 1), (2, 3), (3, 2)],  # a way and a circle apart
    ],
)
def test_counts_of_no_text_are_refused(pairs: list[tuple[int, int]]) -> None:
    counts = np.zeros((4, 4), dtype=np.int64)
    for pair in pairs:
        counts[pair] += 1
    with pytest.raises(TwinError, match="no walk takes every pair"):
        euler_trail(counts)


def tables_of(tokens: np.ndarray, offsets: list[int]) -> Tables:
    counts = bigram_counts(tokens, 6)
    return Tables(
        characters="abcdef",
        train=counts,
        val=counts,
        offsets=np.array(offsets, dtype=np.int64),
        windows=np.stack([tokens[i : i + 4] for i in offsets]),
    )


@given(st.integers(0, 2**32))
def test_windows_of_any_text_come_back_at_their_offsets(seed: int) -> None:
    tokens = np.random.default_rng(seed).integers(0, 6, size=3000)
    twin = build_twin(tables_of(tokens, [400, 600, 1500]))
    for i in (400, 600, 1500):
        assert twin.train[i : i + 4].tolist() == tokens[i : i + 4].tolist()
    assert np.array_equal(bigram_counts(twin.train, 6), bigram_counts(tokens, 6))


def test_a_window_that_the_counts_do_not_hold_is_refused() -> None:
    tables = tables_of(np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 3]), [0])
    for window in ([5, 4, 3, 2], [3, 3, 3, 3], [0, 1, 2, 3], [1, 2, 1, 2]):
        impossible = dataclasses.replace(tables, windows=np.array([window]))
        with pytest.raises(TwinError, match="do not hold the window"):
            build_twin(impossible)


def test_a_window_that_leads_back_by_itself_is_a_cycle_as_it_is() -> None:
    tokens = np.array([0, 1, 2] * 20)
    assert build_twin(tables_of(tokens, [3])).train.tolist() == tokens.tolist()


def test_a_window_past_the_end_is_refused() -> None:
    tables = tables_of(np.array([0, 1, 2] * 20), [0])
    with pytest.raises(TwinError, match="does not fit at offset"):
        build_twin(dataclasses.replace(tables, offsets=np.array([1000])))
