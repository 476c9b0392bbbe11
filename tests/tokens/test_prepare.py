import gzip
import io
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import zstandard
from hypothesis import given, settings, strategies as st

from reference.corpus import Corpus
from reference.errors import (
    BigramError,
    EmptyError,
    InUseError,
    MissingExtraError,
    NotTextError,
    OutputError,
    TextFileError,
    TokenFileError,
    TooShortError,
)
from reference.files import sealed, text as text_input
from reference.files.atomic import only_writer
from reference.runs.checkpoint import fingerprint
from reference.tokens import folder as token_files, format as manifest, prepare as preparing, writer
from reference.tokens.encoder import Characters, Encoder
from reference.tokens.format import read_manifest
from reference.tokens.load import load_corpus
from reference.tokens.prepare import prepare
from tests.commands import run

TEXT = ("the cat sat on the mat.\r\n" * 9 + "die Katze saß dabei, \u732b\U0001f600\n") * 12
FILES = ("manifest.json", "tokens.bin", "vocabulary.json")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=3)


@contextmanager
def in_small_steps(
    chunk: int = 64, save_every: int = 200, piece: int = 2**26, beginning: int = 1
) -> Iterator[None]:
    """Let a short text take as many steps as a long one does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_input, "CHUNK", chunk)
        patch.setattr(preparing, "SAVE_EVERY", save_every)
        patch.setattr(preparing, "BEGINNING", beginning)
        for module in (manifest, token_files, writer):
            patch.setattr(module, "PIECE", piece)
        yield


def written(out: Path) -> dict[str, bytes]:
    """All that a finished folder holds."""
    found = {file.name: file.read_bytes() for file in out.iterdir() if file.name != ".lock"}
    assert set(found) == set(FILES)
    return found


def holds(out: Path, text: str) -> bool:
    """Whether a folder is what the text in memory is."""
    ours, filed = Corpus.from_text(text), load_corpus(out)
    return (
        ours.vocabulary == filed.vocabulary
        and torch.equal(ours.train, filed.train.long())
        and torch.equal(ours.val, filed.val.long())
        and fingerprint(ours) == fingerprint(filed)
    )


def in_child(work: Callable[[], object]) -> tuple[int, str]:
    """Run something in a fork, and give how that ended, and what it raised of ours."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        pid = os.fork()
    if not pid:
        code = 70
        try:
            work()
            code = 0
        except BigramError as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
            code = 2
        finally:
            os._exit(code)
    os.close(writing)
    _pid, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as said:
        return os.waitstatus_to_exitcode(status), said.read()


@settings(max_examples=50)
@given(texts, st.integers(1, 9), st.integers(0, 100), st.integers(0, 5))
def test_files_in_a_row_are_one_text_wherever_they_and_the_reads_are_cut(
    text: str, chunk: int, cut: int, beginning: int
) -> None:
    small = in_small_steps(chunk, 5, 4, beginning)
    with tempfile.TemporaryDirectory() as temporary, small:
        folder = Path(temporary)
        parts = [text[:cut], text[cut:]]
        for name, part in zip("ab", parts, strict=True):
            (folder / name).write_bytes(part.encode())
        made = prepare([folder / "a", str(folder / "b")], folder / "out")
        assert holds(folder / "out", text)
        assert [source.characters for source in made.sources] == [len(part) for part in parts]
        assert [source.bytes for source in made.sources] == [len(part.encode()) for part in parts]
        assert read_manifest(folder / "out" / "manifest.json") == made


@pytest.mark.parametrize("count", [100, 127, 128, 255, 256, 257, 2**16, 2**16 + 1])
def test_vocabularies_of_every_size_are_encoded(tmp_path: Path, count: int) -> None:
    text = "".join(chr(code) for code in range(1, 0x20000) if not 0xD800 <= code < 0xE000)
    text = (text[:count] + "abc" * 50)[::-1]
    (tmp_path / "text").write_bytes(text.encode())
    prepare([tmp_path / "text"], tmp_path / "out")
    assert holds(tmp_path / "out", text)


def test_a_byte_order_mark_is_left_out_of_each_file_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffab\ufeff\r\n".encode())
    (tmp_path / "b").write_bytes("\ufeffcd\r".encode())
    for chunk in (1, 2, 3, 4, 100):
        with in_small_steps(chunk):
            prepare([tmp_path / "a", tmp_path / "b"], tmp_path / f"out{chunk}")
        assert holds(tmp_path / f"out{chunk}", "ab\ufeff\r\ncd\r")


def frames(data: bytes) -> bytes:
    """Several frames of Zstandard, one of which holds nothing, and one to be skipped."""
    make = zstandard.ZstdCompressor(write_checksum=True)
    skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    return make.compress(data[:501]) + make.compress(b"") + skipped + make.compress(data[501:])


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, lambda data: gzip.compress(data[:501]) + gzip.compress(data[501:]), frames],
    ids=["gzip", "gzip-members", "zstd-frames"],
)
def test_what_is_compressed_is_known_by_its_bytes(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "text.txt").write_bytes(compress(TEXT.encode()))
    with in_small_steps():
        made = prepare([tmp_path / "text.txt"], tmp_path / "out")
    assert holds(tmp_path / "out", TEXT)
    assert made.sources[0].bytes == len(TEXT.encode())


def test_a_zst_that_starts_with_a_skipped_frame_or_has_a_large_window_is_decompressed(
    tmp_path: Path,
) -> None:
    frame = zstandard.compress(TEXT.encode())
    size = len(frame).to_bytes(4, "little")
    settings = zstandard.ZstdCompressionParameters(compression_level=1, window_log=28)
    wide = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    for name, content in [
        ("pzstd", b"\x50\x2a\x4d\x18\4\0\0\0" + size + frame),
        ("last", b"\x5f\x2a\x4d\x18\4\0\0\0" + size + frame),
        ("wide", wide.compress(TEXT.encode()) + wide.flush()),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TextFileError, match=f"{name} is compressed with Zstandard"):
            load_corpus(tmp_path / name)
        prepare([tmp_path / name], tmp_path / f"{name}-out")
        assert holds(tmp_path / f"{name}-out", TEXT)
    (tmp_path / "text").write_bytes(b"\x60\x2a\x4d\x18" + TEXT.encode())  # none of these
    prepare([tmp_path / "text"], tmp_path / "text-out")


@pytest.mark.parametrize("compress", [gzip.compress, frames], ids=["gzip", "zstd"])
def test_every_cut_of_what_is_compressed_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(TEXT.encode()[:600])
    accepted = set()
    for length in range(4, len(whole)):
        (tmp_path / "text.x").write_bytes(whole[:length])
        try:
            prepare([tmp_path / "text.x"], tmp_path / f"out{length}")
        except TextFileError as error:
            assert "text.x is compressed, and " in str(error)  # noqa: PT017  most of them
            assert not load_fails_not(tmp_path / f"out{length}")
        else:
            accepted.add(length)
    # A file that ends between two frames is whole.
    if compress is gzip.compress:
        assert not accepted
    else:
        assert len(accepted) == 3


def load_fails_not(out: Path) -> bool:
    """Whether a folder could be taken for a corpus."""
    try:
        load_corpus(out)
    except (TextFileError, TokenFileError):  # TextFileError: it does not exist
        return False
    return True


@pytest.mark.parametrize("compress", [gzip.compress, frames], ids=["gzip", "zstd"])
def test_damage_in_what_is_compressed_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(TEXT.encode())
    (tmp_path / "text.x").write_bytes(whole[:60] + bytes([whole[60] ^ 0x10]) + whole[61:])
    with pytest.raises(TextFileError, match=r"text\.x"):
        prepare([tmp_path / "text.x"], tmp_path / "out")


def test_without_zstandard_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_input, "find_spec", lambda name: None)
    (tmp_path / "text.zst").write_bytes(frames(TEXT.encode()))
    with pytest.raises(MissingExtraError, match=r"text\.zst.*bigram-reference\[zstd\]"):
        prepare([tmp_path / "text.zst"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input_is_an_input_among_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes]
) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO(compress(TEXT.encode())))
    monkeypatch.setattr(sys, "stdin", stdin)
    (tmp_path / "a").write_text("aaa")
    prepare([tmp_path / "a", "-"], tmp_path / "out")
    assert holds(tmp_path / "out", "aaa" + TEXT)
    written(tmp_path / "out")  # and no copy of it is left
    with pytest.raises(TextFileError, match="name it once"):
        prepare(["-", "-"], tmp_path / "other")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(TextFileError, match="standard input is closed"):
        prepare(["-"], tmp_path / "other")


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"abc\xff\xfeabc", TextFileError, "is not UTF-8: byte 0xff at offset 3 .*Convert"),
        (b"a" * 70 + b"\xc3(", TextFileError, "byte 0xc3 at offset 70"),
        (b"abc\xe2\x82", TextFileError, r"byte 0xe2 at offset 3 \(unexpected end"),
        (b"ab\xed\xa0\x80", TextFileError, "byte 0xed at offset 2"),  # a surrogate
        (b"\xef\xbb\xbfabc\xff", TextFileError, "byte 0xff at offset 6"),
        (b"abc" * 30 + b"\0abc", TextFileError, "is no text: byte 0x00 at offset 90.*UTF-16"),
        ("\u00fc".encode() * 40 + b"\0", TextFileError, "byte 0x00 at offset 80"),
        ("abc".encode("utf-16-le"), TextFileError, "byte 0x00 at offset 1"),
        (gzip.compress(b"abc" * 30 + b"\xff"), TextFileError, "byte 0xff at offset 90"),
        (b"", EmptyError, "empty"),
        (b"\xef\xbb\xbf", EmptyError, "empty"),
        (gzip.compress(b""), EmptyError, "empty"),
        (b"ab", TooShortError, "2 characters, of which 1 for training"),
    ],
    ids=range(13),  # those of the compressed ones would change with the time
)
def test_text_that_is_refused_is_named_and_leaves_nothing_behind(
    tmp_path: Path, content: bytes, error: type[Exception], words: str
) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    for chunk in (5, 64, 2**20):
        with in_small_steps(chunk), pytest.raises(error, match=r"text\.txt.*" + words):
            prepare([tmp_path / "text.txt"], tmp_path / "out")
        assert [file.name for file in tmp_path.iterdir()] == ["text.txt"]
    (tmp_path / "text.txt").write_text(TEXT)  # so it can be mended, and the command run again
    prepare([tmp_path / "text.txt"], tmp_path / "out")


def test_rejected_text_leaves_no_folder_that_was_made_and_every_other_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "there").mkdir()
    for out in ("new", "new/deep/er", "there/new", "there"):
        with pytest.raises(EmptyError):
            prepare([tmp_path / "empty"], tmp_path / out)
        found = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))
        assert found == ["empty", "there", *(["there/.lock"] if out == "there" else [])]


def test_a_link_in_place_of_the_tokens_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    (tmp_path / "mine").write_text("mine")
    with in_small_steps():
        interrupted([tmp_path / "text"], tmp_path / "out")
    (tmp_path / "out/tokens.unfinished").unlink()
    (tmp_path / "out/tokens.unfinished").symlink_to("../mine")
    with pytest.raises(OutputError, match=r"tokens\.unfinished cannot be written: it is a link"):
        prepare([tmp_path / "text"], tmp_path / "out")
    assert (tmp_path / "mine").read_text() == "mine"
    (tmp_path / "out/tokens.unfinished").unlink()
    prepare([tmp_path / "text"], tmp_path / "out")


def test_rejected_standard_input_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content, error in ((frames(b"abc" * 500), MissingExtraError), (b"\xff", TextFileError)):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        monkeypatch.setattr(text_input, "find_spec", lambda _name: None)
        with pytest.raises(error):
            prepare(["-"], tmp_path / "new/out")
        assert not list(tmp_path.iterdir())
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(TextFileError, match="standard input is closed"):
        prepare(["-"], tmp_path / "new/out")
    assert not list(tmp_path.iterdir())


def test_three_characters_are_enough(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("abc")
    prepare([tmp_path / "text"], tmp_path / "out")
    assert load_corpus(tmp_path / "out").pair_counts("train").sum() == 1


def test_an_empty_file_among_others_is_no_harm(tmp_path: Path) -> None:
    for name, text in (("a", ""), ("b", TEXT), ("c", "")):
        (tmp_path / name).write_bytes(text.encode())
    prepare([tmp_path / name for name in "abc"], tmp_path / "out")
    assert holds(tmp_path / "out", TEXT)


@pytest.mark.usefixtures("own_checks_only")
def test_what_is_no_input_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for inputs, error, words in [
        ([tmp_path / "missing"], TextFileError, "missing cannot be read: No such file"),
        ([tmp_path], TextFileError, "is a directory"),
        ([tmp_path / "pipe"], TextFileError, "no regular file.*standard input"),
        (["a\0b"], TextFileError, "embedded null"),
        ([], EmptyError, "no input"),
        ("text.txt", NotTextError, "list of paths"),
        ([5], NotTextError, "list of paths"),
    ]:
        with pytest.raises(error, match=words):
            prepare(inputs, tmp_path / "out")  # type: ignore[arg-type]  # some wrong on purpose
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["write", "append", "remove", "swap", "recount"])
def test_a_file_that_changes_between_the_passes_is_refused(tmp_path: Path, change: str) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(TEXT.encode())
    before = file.stat()

    def interfere(doing: str, done: int, total: int) -> None:
        if doing != "reading" or done < total:
            return
        if change == "remove":
            file.unlink()
        elif change == "append":
            file.write_bytes(TEXT.encode() + b"a")
        elif change == "recount":
            file.write_bytes(TEXT.encode().replace("\u00df".encode(), b"ss"))
        else:
            file.write_bytes(TEXT.encode().replace(b"cat", b"CAT"))
        if change in {"swap", "recount"}:  # which size and time do not tell
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    refused = pytest.raises(TextFileError, match=r"text\.txt (has changed|cannot be read)")
    with in_small_steps(), refused:
        prepare([file], tmp_path / "out", progress=interfere)
    assert not load_fails_not(tmp_path / "out")


@pytest.mark.parametrize(
    ("beginning", "steps"),
    [(0, ["reading", "encoding"]), (1, ["encoding", "reading", "encoding"]), (100, ["encoding"])],
)
def test_text_whose_beginning_has_all_its_characters_is_read_once(
    tmp_path: Path, inputs: list[Path], beginning: int, steps: list[str]
) -> None:
    told: list[tuple[str, int]] = []
    with in_small_steps(beginning=beginning):
        prepare(
            inputs,
            tmp_path / "out",
            progress=lambda doing, done, total: told.append((doing, done)),
        )
    assert [doing for doing, _ in itertools.groupby(doing for doing, _done in told)] == steps
    if beginning == 100:
        assert [done for _doing, done in told] == sorted(done for _doing, done in told)
    if beginning == 1:  # what was read already is not read for its characters once more
        assert next(done for doing, done in told if doing == "reading") > told[0][1] > 0
    assert holds(tmp_path / "out", TEXT + TEXT[::-1] + "x")


def test_what_is_prepared_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode())
    prepare([tmp_path / "text"], tmp_path / "out")
    before = written(tmp_path / "out")
    (tmp_path / "other").mkdir()
    for name, text in (("other", TEXT), ("text", TEXT[1:]), ("text", TEXT[:-1]), ("text", "xyz")):
        file = tmp_path / "other" / name
        file.write_bytes(text.encode())
        with pytest.raises(OutputError, match="has a manifest.json already; give another dir"):
            prepare([file], tmp_path / "out")
        with pytest.raises(OutputError, match="has a manifest.json already; give another dir"):
            prepare([tmp_path / "text", file], tmp_path / "out")
        assert written(tmp_path / "out") == before
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(TextFileError):
        prepare([tmp_path / "text"], tmp_path / "out")
    assert written(tmp_path / "out") == before
    for name in ("tokens.bin", "vocabulary.json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        with pytest.raises(OutputError, match=f"has a {name} already"):
            prepare([tmp_path / "text"], tmp_path / name)


def test_the_same_text_that_is_finished_is_told_and_left_alone(
    inputs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["prepare", *map(str, inputs), "--out", str(out)]
    assert run(*options) == 0
    before, told = written(out), capsys.readouterr().out.splitlines()
    os.utime(inputs[0])
    assert run(*options) == 0
    again = capsys.readouterr().out.splitlines()
    assert f"{out} has the tokens of this text already" in again
    assert again[-2:] == told[-2:]
    assert written(out) == before
    for name in ("tokens.bin", "vocabulary.json", "manifest.json"):
        (out / name).write_bytes(before[name][:-1])
        assert run(*options) == 2
        (out / name).write_bytes(before[name])
    assert run(*options[:2], *options[3:]) == 2
    assert run("prepare", "-", "--out", str(out)) == 2
    assert written(out) == before


@pytest.mark.parametrize("name", ["a.txt", "-"])
def test_an_interrupt_at_the_end_advises_nothing_that_fails(
    name: str,
    inputs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(inputs[0].read_bytes())))
    monkeypatch.chdir(tmp_path)
    remove = preparing._remove

    def interrupt(*arguments: Any) -> None:
        remove(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_remove", interrupt)
        assert run("prepare", name, "--out", "out") == 130
    assert capsys.readouterr().out.endswith("interrupted; out is finished\n")
    if name != "-":
        assert run("prepare", name, "--out", "out") == 0


def test_one_prepare_at_a_time_writes_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode())
    (tmp_path / "out").mkdir()
    with only_writer(tmp_path / "out"), pytest.raises(InUseError, match="out is in use"):
        prepare([tmp_path / "text"], tmp_path / "out")


class Dies:
    """Ends this process at the n-th of the calls that change something on disk."""

    def __init__(self, n: int, patch: pytest.MonkeyPatch) -> None:
        self.left = n
        for owner, name in (
            (os, "fsync"),
            (Path, "replace"),
            (Path, "unlink"),
            (writer.TokenWriter, "_write"),
        ):
            patch.setattr(owner, name, self.counted(getattr(owner, name)))

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **options: object) -> object:
            self.step()
            result = call(*arguments, **options)
            self.step()
            return result

        return wrapped


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "a.txt", tmp_path / "b.gz"]
    files[0].write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    files[1].write_bytes(gzip.compress((TEXT[::-1] + "x").encode()))
    return files


@pytest.mark.parametrize("beginning", [1, 100], ids=["two-passes", "one-pass"])
def test_killed_at_any_step_it_goes_on_to_the_same_bytes(
    tmp_path: Path, inputs: list[Path], beginning: int
) -> None:
    with in_small_steps(512, 2500, 1000, beginning):
        prepare(inputs, tmp_path / "whole")
        wanted = written(tmp_path / "whole")
        assert holds(tmp_path / "whole", TEXT + TEXT[::-1] + "x")
        resumed = 0
        for n in range(1, 10_000):
            out = tmp_path / f"out{n}"

            def work(n: int = n, out: Path = out) -> None:
                with pytest.MonkeyPatch.context() as patch:
                    Dies(n, patch)
                    prepare(inputs, out)

            code, said = in_child(work)
            if code == 0:
                break
            assert (code, said) == (-signal.SIGKILL, "")
            finished = (out / "manifest.json").exists()
            assert finished or not load_fails_not(out)
            if finished and not (out / "prepare.json").exists():
                assert written(out) == wanted
                continue
            lines: list[str] = []
            prepare(inputs, out, say=lines.append)
            resumed += "going on in" in "".join(lines)
            assert written(out) == wanted
        assert n > 60
        assert resumed > n * 0.8


def test_killed_at_any_step_standard_input_goes_on_to_the_same_bytes_and_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 10_000):
        out = tmp_path / f"out{n}"

        def work(n: int = n, out: Path = out) -> None:
            with pytest.MonkeyPatch.context() as patch:
                give(TEXT, patch)
                Dies(n, patch)
                prepare(["-"], out)

        code, said = in_child(work)
        if code == 0:
            break
        assert (code, said) == (-signal.SIGKILL, "")
        give(TEXT, monkeypatch)
        prepare(["-"], out)
        assert written(out) == written(tmp_path / "out1")
    assert n > 30


def test_killed_at_random_times_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode() * 300)
    dice = random.Random(1337)
    with in_small_steps(2**12, 2**15, 2**16):
        prepare([tmp_path / "text"], tmp_path / "whole")
        for number in range(3):
            out = tmp_path / f"out{number}"
            for _attempt in range(100):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)
                    pid = os.fork()
                if not pid:
                    try:
                        prepare([tmp_path / "text"], out)
                    finally:
                        os._exit(0)
                time.sleep(dice.uniform(0.05, 0.25))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                if (out / "manifest.json").exists():
                    break
            if (out / "prepare.json").exists():
                prepare([tmp_path / "text"], out)
            assert written(out) == written(tmp_path / "whole")


def interrupted(inputs: list[Path | str], out: Path, *, at: int = 3) -> None:
    """Begin, and stop at a chunk of the second pass."""
    left = at

    def stop(doing: str, *_: int) -> None:
        nonlocal left
        left -= doing == "encoding"
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(inputs, out, progress=stop)


def test_it_goes_on_where_it_stopped_and_says_so(tmp_path: Path, inputs: list[Path]) -> None:
    with in_small_steps():
        interrupted([*inputs], tmp_path / "out", at=12)
        with pytest.raises(TokenFileError, match="unfinished `bigram prepare`.*same command"):
            load_corpus(tmp_path / "out")
        said, told = list[str](), list[tuple[str, int, int]]()
        prepare(inputs, tmp_path / "out", say=said.append, progress=lambda *now: told.append(now))
    assert "encoding" in said[0]
    assert {doing for doing, _done, _total in told} == {"encoding"}
    assert told[0][1] > 400
    total = sum(file.stat().st_size for file in inputs)
    assert told[-1] == ("encoding", total, total)


def test_other_inputs_do_not_go_on_and_the_difference_is_named(
    tmp_path: Path, inputs: list[Path]
) -> None:
    out = tmp_path / "out"
    with in_small_steps():
        interrupted([*inputs], out)
        for others, words in [
            (inputs[:1], "2 inputs then, and 1 now"),
            (inputs[::-1], "a.txt then, and .*b.gz now"),
        ]:
            with pytest.raises(OutputError, match=words + ".*same files in the same order"):
                prepare(others, out)
        inputs[0].write_bytes(b"abc")
        start_over = "remove prepare.json, tokens.unfinished in"
        with pytest.raises(OutputError, match=f"a.txt has changed since.*{start_over}"):
            prepare(inputs, out)
        (out / "prepare.json").unlink()
        (out / "tokens.unfinished").unlink()
        prepare(inputs, out)
    assert holds(out, "abc" + TEXT[::-1] + "x")


def test_a_damaged_state_is_named(tmp_path: Path, inputs: list[Path]) -> None:
    out = tmp_path / "out"
    with in_small_steps():
        interrupted([*inputs], out)
        state = (out / "prepare.json").read_bytes()
        for bad in (b"", state[:-9], state.replace(b"8", b"9"), b"[]"):
            (out / "prepare.json").write_bytes(bad)
            with pytest.raises(OutputError, match="prepare.json is damaged.*To start over, remove"):
                prepare(inputs, out)


@pytest.mark.parametrize(
    "change",
    [
        {"doing": "copying"},
        {"format": True},
        {"input": 2},
        {"input": -1},
        {"input": "0"},
        {"offset": "16"},
        {"offset": -1},
        {"offset": 2**64},
        {"tokens": 1.5},
        {"tokens": -1},
        {"doing": "writing"},
        {"doing": 1},
        {"doing": "trying"},
        {"read": []},
        {"characters": ""},
        {"characters": ["a"]},
        {"characters": "ba"},
        {"characters": "\ud800"},
        {"pieces": "ab"},
        {"pieces": [1]},
        {"inputs": {}},
        {"read": [{"name": "a.txt", "bytes": "1", "characters": 1}] * 2},
        {"read": [{"name": "a.txt", "bytes": 1, "characters": 10**400}] * 2},
        {"read": [{"name": "a.txt", "bytes": 1, "characters": 1}] * 3},
    ],
)
@pytest.mark.usefixtures("own_checks_only")
def test_a_state_that_is_sealed_and_that_nothing_left_is_refused(
    tmp_path: Path, inputs: list[Path], change: dict[str, object]
) -> None:
    out = tmp_path / "out"
    with in_small_steps():
        interrupted([*inputs], out, at=12)
        fields = sealed.unseal((out / "prepare.json").read_bytes())
        assert fields["doing"] == "encoding"
        (out / "prepare.json").write_bytes(sealed.seal({**fields, **change}))
        with pytest.raises(OutputError, match="prepare.json is damaged.*To start over, remove"):
            prepare(inputs, out, say=lambda _: None)
        (out / "prepare.json").write_bytes(sealed.seal(fields))
        prepare(inputs, out)
        load_corpus(out)


def test_an_input_is_named_as_it_is_now(tmp_path: Path, inputs: list[Path]) -> None:
    out = tmp_path / "out"
    with in_small_steps():
        interrupted([*inputs], out)
        fields = sealed.unseal((out / "prepare.json").read_bytes())
        fields["inputs"][0]["name"] = "another name"
        fields.update(doing="encoding", input=0, offset=0, tokens=0, pieces=[], characters="x")
        fields["read"] = [{"name": "x", "bytes": 3, "characters": 3}] * 2
        (out / "prepare.json").write_bytes(sealed.seal(fields))
        with pytest.raises(TextFileError, match=f"{inputs[0]} has changed while"):
            prepare(inputs, out)


def test_another_inputs_name_is_told_on_one_line(tmp_path: Path, inputs: list[Path]) -> None:
    out = tmp_path / "out"
    with in_small_steps():
        interrupted([*inputs], out)
        fields = sealed.unseal((out / "prepare.json").read_bytes())
        fields["inputs"][0]["path"] = "a\n\x1b[2J"
        (out / "prepare.json").write_bytes(sealed.seal(fields))
        with pytest.raises(OutputError, match=r"a\\n\\x1b\[2J then, and"):
            prepare(inputs, out)


@pytest.mark.parametrize("piece", [1, 2**26])
def test_tokens_that_were_lost_are_written_again(
    tmp_path: Path, inputs: list[Path], piece: int
) -> None:
    with in_small_steps(piece=piece):
        interrupted([*inputs], tmp_path / "out", at=12)
        with (tmp_path / "out" / "tokens.unfinished").open("r+b") as file:
            file.truncate(5)
        prepare(inputs, tmp_path / "out")
        assert holds(tmp_path / "out", TEXT + TEXT[::-1] + "x")


@pytest.mark.parametrize("piece", [64, 2**26])
def test_tokens_that_are_others_are_written_again(
    tmp_path: Path, inputs: list[Path], piece: int
) -> None:
    file = tmp_path / "out" / "tokens.unfinished"
    with in_small_steps(piece=piece):
        interrupted([*inputs], tmp_path / "out", at=12)
        state = sealed.unseal((tmp_path / "out" / "prepare.json").read_bytes())
        assert state["tokens"] % piece
        raw = bytearray(file.read_bytes())
        raw[state["tokens"] - 1] ^= 1
        file.write_bytes(raw)
        prepare(inputs, tmp_path / "out")
        assert holds(tmp_path / "out", TEXT + TEXT[::-1] + "x")


def give(text: str, patch: pytest.MonkeyPatch) -> None:
    """Let standard input give a text."""
    patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))


def test_standard_input_that_was_copied_need_not_be_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "standard input gives nothing: using what was copied before"
    for number, text in enumerate([TEXT, "", None]):
        out, said = tmp_path / str(number), list[str]()
        give(TEXT, monkeypatch)
        with in_small_steps():
            interrupted(["-"], out)
            if text is None:
                monkeypatch.setattr(sys, "stdin", None)
            else:
                give(text, monkeypatch)
            prepare(["-"], out, say=said.append)
        assert (told in "".join(said)) == (not text)
        assert holds(out, TEXT)
        written(out)


def test_a_terminal_is_not_asked_for_a_text_that_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(TEXT, monkeypatch)
    with in_small_steps():
        interrupted(["-"], tmp_path / "out")
    terminal = SimpleNamespace(isatty=lambda: True)  # which cannot be read
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=terminal))
    prepare(["-"], tmp_path / "out")
    assert holds(tmp_path / "out", TEXT)


@pytest.mark.parametrize(
    "other",
    ["x" + TEXT, TEXT[:70], TEXT + "a", TEXT[:-1] + "x"],
    ids=["other", "start", "longer", "end"],
)
def test_a_different_standard_input_is_not_mixed_with_what_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    out = tmp_path / "out"
    give(TEXT, monkeypatch)
    with in_small_steps():
        interrupted(["-"], out)
        give(other, monkeypatch)
        left = {file.name: file.read_bytes() for file in out.iterdir()}
        words = "of a different standard input.*< /dev/null.*To start over, remove"
        with pytest.raises(OutputError, match=words):
            prepare(["-"], out)
    assert left == {file.name: file.read_bytes() for file in out.iterdir()}
    for name in ("prepare.json", "tokens.unfinished", "stdin.unfinished"):
        (out / name).unlink()
    give(other, monkeypatch)
    prepare(["-"], out)
    assert holds(out, other)


def test_the_command_says_that_it_uses_what_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(TEXT, monkeypatch)
    with in_small_steps():
        interrupted(["-"], tmp_path / "out")
        assert run("prepare", "-", "--out", str(tmp_path / "out"), "--json") == 0
    first, second = json.loads(capsys.readouterr().out)["messages"]
    assert first.startswith("standard input gives nothing: using what was copied before")
    assert second.startswith("going on in")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_without_end_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/zero").open() as zeros:
        monkeypatch.setattr(sys, "stdin", zeros)
        with pytest.raises(TextFileError, match="standard input is a device"):
            prepare(["-"], tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", preparing.NAMES)
@pytest.mark.parametrize("link", [False, True], ids=["there", "link"])
def test_an_input_that_has_a_name_of_the_commands_own_files_is_kept(
    tmp_path: Path, name: str, link: bool
) -> None:
    out = tmp_path / "own"
    out.mkdir()
    (out / name).write_bytes(TEXT.encode())
    file = out / name
    if link:
        file = tmp_path / "text"
        file.hardlink_to(out / name)
    with pytest.raises(TextFileError, match=f"is an input, and.*{name}. Rename it"):
        prepare([file], out)
    (tmp_path / "else").write_text(TEXT)
    with pytest.raises((OutputError, TokenFileError), match=f"{name} (already|is damaged)"):
        prepare([tmp_path / "else"], out)
    assert [one.name for one in out.iterdir() if one.name != ".lock"] == [name]
    assert (out / name).read_bytes() == TEXT.encode()


def test_the_same_inputs_once_more_change_nothing(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(TEXT, monkeypatch)
    with in_small_steps(piece=512):
        made = prepare([*inputs, "-"], tmp_path / "out")
        before = written(tmp_path / "out")
        give(TEXT, monkeypatch)
        said = list[str]()
        assert prepare([*inputs, "-"], tmp_path / "out", say=said.append) == made
        assert "has the tokens of this text already" in said[-1]
        assert written(tmp_path / "out") == before
        for text in ("x" + TEXT, TEXT[:-1], ""):
            give(text, monkeypatch)
            with pytest.raises(OutputError, match="has a manifest.json already"):
                prepare([*inputs, "-"], tmp_path / "out")
            assert written(tmp_path / "out") == before


def test_a_full_disk_is_named_and_there_is_a_way_on(tmp_path: Path, inputs: list[Path]) -> None:
    def work() -> None:
        _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500, hard))
        prepare(inputs, tmp_path / "out")

    with in_small_steps():
        code, said = in_child(work)
        assert code == 2
        assert said.startswith("OutputError")
        assert "tokens.unfinished cannot be written: File too large" in said
        assert "same command again" in said
        prepare(inputs, tmp_path / "out")
    assert holds(tmp_path / "out", TEXT + TEXT[::-1] + "x")


def test_a_disk_that_is_really_full(tmp_path: Path, inputs: list[Path]) -> None:
    disk, mount = tmp_path / "disk", shutil.which("mount")
    disk.mkdir()
    if mount is None or os.geteuid():
        pytest.skip("a disk of its own needs root")
    command = [mount, "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603  as above
        pytest.skip("no disk can be mounted here")
    try:
        with in_small_steps(), pytest.raises(OutputError, match="No space left on device"):
            prepare(inputs, disk / "out")
        assert not load_fails_not(disk / "out")
    finally:
        subprocess.run([str(shutil.which("umount")), str(disk)], check=True)  # noqa: S603  likewise


def test_what_may_not_be_written_or_read_is_named() -> None:
    if os.geteuid():
        pytest.skip("another user can be had by root only")
    with tempfile.TemporaryDirectory() as temporary:  # for another user may not look into ours
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "text").write_text(TEXT)
        (folder / "secret").write_text(TEXT)
        (folder / "secret").chmod(0)
        prepare([folder / "text"], folder / "first")  # imports what only root may read
        (folder / "theirs").mkdir(0o777)
        (folder / "theirs").chmod(0o777)

        def as_nobody(name: str, out: str) -> tuple[int, str]:
            def work() -> None:
                os.setuid(65_534)
                prepare([folder / name], folder / out)

            return in_child(work)

        for out in ("out", "."):
            code, said = as_nobody("text", out)
            assert code == 2
            assert f"OutputError: {folder / out} cannot be written: Permission denied" in said
        code, said = as_nobody("secret", "theirs")
        assert code == 2
        assert "TextFileError" in said
        assert "secret cannot be read: Permission denied" in said
        assert as_nobody("text", "theirs/out") == (0, "")
        (folder / "closed").mkdir(0)

        def load(name: str) -> tuple[int, str]:
            def work() -> None:
                os.setuid(65_534)
                load_corpus(folder / name)

            return in_child(work)

        for name in ("closed", "closed/text", "secret"):
            code, said = load(name)
            assert code == 2
            assert f"{name} cannot be read: Permission denied" in said


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("the quick brown f\u00f6x\n".encode() * 10**6)
    tracemalloc.start()
    try:
        prepare([tmp_path / "text"], tmp_path / "out")
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "text").stat().st_size > 20_000_000
    # Of it, 2 MiB for the table of code points, 6 for it as int32, and some chunks.
    assert most < 64_000_000


@given(texts)
def test_an_encoder_says_where_a_character_is_unknown(text: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode())
        file.flush()
        found = text_input.find_input(Path(file.name))
        (chunk,) = text_input.read_chunks(found)
        characters = Characters()
        assert characters.add(chunk) == len(text)
        assert characters.sorted() == "".join(sorted(set(text)))
        for lacking in set(text):
            few = "".join(sorted(set(text) - {lacking}))
            assert Encoder(few, "uint16").encode(chunk) is None


# ------------------------------------------------------------------------------------ the command


def test_the_command_prepares_what_train_then_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode())
    out = tmp_path / "out"
    assert run("prepare", str(tmp_path / "text"), "--out", str(out), "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tokens"] == len(TEXT)
    assert shown["sources"] == [
        {"name": "text", "bytes": len(TEXT.encode()), "characters": len(TEXT)}
    ]
    model = tmp_path / "model"
    assert run("train", "--data", str(out), "--out", str(model), "--steps", "9", "--json") == 0
    filed = json.loads(capsys.readouterr().out)
    again = ("--out", str(model), "--steps", "9", "--json", "--overwrite")
    assert run("train", "--data", str(tmp_path / "text"), *again) == 0
    ours = json.loads(capsys.readouterr().out)
    assert [filed[key] for key in ("loss", "entropy_floor", "val_loss")] == [
        ours[key] for key in ("loss", "entropy_floor", "val_loss")
    ]


def test_the_command_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_bytes(TEXT.encode())
    with in_small_steps():
        assert run("prepare", str(tmp_path / "text"), "--out", str(tmp_path / "out")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 5 <= sum(line.startswith("reading: ") for line in lines) <= 10
    assert 5 <= sum(line.startswith("encoding: ") for line in lines) <= 10
    assert lines[-1] == f"next: bigram train --data {tmp_path / 'out'} --out MODEL"


def test_the_commands_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run("prepare", "--out", str(out)) == 2
    assert run("prepare", str(tmp_path / "text"), "--out", str(out)) == 2
    assert "error: " in capsys.readouterr().err
    (tmp_path / "text").write_bytes(TEXT.encode())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", interrupt)
        assert run("prepare", str(tmp_path / "text"), "--out", str(out)) == 130
    assert "same command continues" in capsys.readouterr().out
    assert run("prepare", str(tmp_path / "text"), "--out", str(out)) == 0
    assert "going on in" in capsys.readouterr().out
    assert holds(out, TEXT)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_says_once_that_carriage_returns_are_kept(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").write_bytes(b"the cat\r\n" * 9)
    (tmp_path / "b").write_bytes(b"the \\r cat\n" * 9)  # a backslash and an r
    for names, notes in ((("a", "b", "a"), 1), (("b",), 0)):
        out = tmp_path / f"out{notes}"
        texts = [str(tmp_path / name) for name in names]
        assert run("prepare", *texts, "--out", str(out), *options) == 0
        note = f"note: the text in {out} has carriage returns (\\r)"
        assert capsys.readouterr().err.count(note) == notes
        assert ("\r" in load_corpus(out).vocabulary.characters) == bool(notes)
