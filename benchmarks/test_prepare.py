"""Text into token files: `prepare`, nanoGPT's way, and mere reading, on a hundred million letters.

All of it is on the CPU. N is the number of characters.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from benchmarks.timing import Timer, Work
from reference.notes import train_length
from reference.tokens.format import TOKENS
from reference.tokens.prepare import prepare

C = 65
LONG, BRIEF = 10**8, 10**6
ROUNDS = 7

TO_ACCENTS = str.maketrans("eE", "éÉ")
"""Makes one character in eleven one of two bytes."""

cpu = pytest.mark.parametrize("device", ["cpu"], indirect=True)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A file of text, and its tokens by a way of their own: the text was made from them."""

    file: Path
    tokens: np.ndarray

    def work(self, variant: str) -> Work:
        size = self.file.stat().st_size
        return Work(
            operation="prepare" if size == len(self.tokens) else "prepare, not ASCII",
            variant=variant,
            size={"N": len(self.tokens), "C": C},
            tokens=len(self.tokens),
            moved=size + len(self.tokens),  # the text read, a byte written for each token
        )


@pytest.fixture
def room() -> Iterator[Path]:
    """Give a folder that is gone afterwards: pytest would keep what is written, for three runs."""
    with TemporaryDirectory(prefix="bigram-prepare-") as made:
        yield Path(made)


@pytest.fixture
def drawn(*, brief: bool) -> np.ndarray:
    """Draw the tokens of a text, in which all characters occur, however short it is."""
    pytest.importorskip("numba", reason="the text is drawn by the sampler: the extra 'fast'")
    from benchmarks.growth_text import pieces  # noqa: PLC0415  Numba is optional

    tokens = np.concatenate(list(pieces(BRIEF if brief else LONG)))
    tokens[:C] = np.arange(C)
    return tokens


def written(file: Path, drawn: np.ndarray, characters: str) -> Text:
    """Write a text in which token t stands for characters[t], whatever their order."""
    codes = np.array([ord(one) for one in characters], np.uint32)
    text = codes[drawn].tobytes().decode("utf-32-le")
    file.write_text(text, encoding="utf-8", newline="")
    return Text(file=file, tokens=codes.argsort().argsort().astype(np.uint8)[drawn])


@pytest.fixture
def text(room: Path, drawn: np.ndarray) -> Text:
    from benchmarks.growth_text import characters  # noqa: PLC0415  Numba is optional

    return written(room / "text.txt", drawn, characters().tobytes().decode("ascii"))


@pytest.fixture
def accented(room: Path, drawn: np.ndarray) -> Text:
    from benchmarks.growth_text import characters  # noqa: PLC0415  Numba is optional

    changed = characters().tobytes().decode("ascii").translate(TO_ACCENTS)
    return written(room / "accented.txt", drawn, changed)


class Preparing:
    """Prepares a text, each time into a new folder."""

    def __init__(self, text: Text, room: Path) -> None:
        self._text, self._room, self._numbers = text, room, count()

    def __call__(self) -> Path:
        folder = self._room / str(next(self._numbers))
        prepare([self._text.file], folder)
        return folder

    def remove(self) -> None:
        """Remove the folders of the calls so far."""
        for folder in self._room.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder)


def check(folder: Path, text: Text) -> None:
    """Hold what was prepared against the tokens that the text was made from."""
    assert np.array_equal(np.fromfile(folder / TOKENS, np.uint8), text.tokens)


def read_once(text: Text) -> int:
    """Read a file as `wc -c` has to where it cannot just ask for the size; give its bytes."""
    told = subprocess.check_output(["sh", "-c", 'cat "$0" | wc -c', text.file])
    return int(told)


def by_list(file: Path, folder: Path) -> None:
    """Prepare as nanoGPT does for text of characters: as a Python list of numbers."""
    text = file.read_text(encoding="utf-8")
    number_of = {character: number for number, character in enumerate(sorted(set(text)))}
    n = int(0.9 * len(text))
    for name, part in (("train.bin", text[:n]), ("val.bin", text[n:])):
        ids = [number_of[character] for character in part]
        np.array(ids, dtype=np.uint16).tofile(folder / name)


@cpu
def test_by_list(text: Text, room: Path, timed: Timer) -> None:
    timed(lambda: by_list(text.file, room), text.work("nanoGPT's way"), rounds=1)
    n = train_length(len(text.tokens))
    for name, part in (("train.bin", text.tokens[:n]), ("val.bin", text.tokens[n:])):
        assert np.array_equal(np.fromfile(room / name, np.uint16), part)


@cpu
def test_prepare(text: Text, room: Path, timed: Timer) -> None:
    call = Preparing(text, room)
    check(call(), text)
    timed(
        call,
        text.work("prepare"),
        rounds=ROUNDS,
        setup=call.remove,
        beside={"reading": lambda: read_once(text)},
    )


@cpu
def test_reading(text: Text, timed: Timer) -> None:
    assert read_once(text) == text.file.stat().st_size
    timed(lambda: read_once(text), text.work("reading"), rounds=ROUNDS)


@cpu
def test_prepare_accented(accented: Text, room: Path, timed: Timer) -> None:
    call = Preparing(accented, room)
    check(call(), accented)
    timed(
        call,
        accented.work("prepare"),
        rounds=ROUNDS,
        setup=call.remove,
        beside={"reading": lambda: read_once(accented)},
    )


@cpu
def test_reading_accented(accented: Text, timed: Timer) -> None:
    assert read_once(accented) == accented.file.stat().st_size
    timed(lambda: read_once(accented), accented.work("reading"), rounds=ROUNDS)
