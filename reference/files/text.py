"""Text from files: whole, or in chunks of which memory holds a few, decompressed on the way."""

import codecs
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt32

from reference.errors import MissingExtraError, TextFileError, is_out_of_memory, reason

STDIN = "-"
"""Name of standard input among the inputs of `bigram prepare`."""

CHUNK = 2**20
"""Bytes of text that are looked at together."""

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""First bytes of compressed files. UTF-8 text never starts with them."""

SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""First bytes of a .zst file that starts with a frame to skip, as pzstd writes them."""

WINDOW = 2**31
"""Largest window of a .zst file, in bytes: what `zstd --long=31` makes. It takes as much memory."""

BOM = codecs.BOM_UTF8

Stream: TypeAlias = io.FileIO | io.BufferedReader | gzip.GzipFile
"""A file, or what decompresses one."""

SLICE = 2**13
"""Bytes of a .zst that are decompressed at a time: what they can grow to is bounded by this."""


def read_text(path: Path) -> str:
    """Read a UTF-8 text file as it stands: line ends are kept, a byte order mark is not text.

    A NUL is no text, but what UTF-16 looks like.

    Raises: TextFileError, which names the file, and says that it is compressed or where its first
        wrong byte is.
    """
    try:
        with path.open("rb") as file:
            check_has_end(str(path), file.fileno())
            raw = file.read(CHUNK)
            _check_text_begins(path, raw)  # before the rest takes time and memory
            raw += file.read()
    except TextFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise TextFileError(
            f"{path} cannot be read: {reason(error)}. Give the path of a UTF-8 text file or of "
            'what `bigram prepare` wrote, "twin" (embedded) or "tinyshakespeare" (a download)'
        ) from error
    return _decode(str(path), 0, raw, final=True)[0].removeprefix("\ufeff")


def check_has_end(name: str, descriptor: int) -> None:
    """Raise if an open file is a device such as /dev/zero, which can be read for ever.

    A terminal has an end, and so has /dev/null.

    Raises: TextFileError.
    """
    found = os.fstat(descriptor)
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        return
    if not os.isatty(descriptor) and not os.path.samestat(found, Path(os.devnull).stat()):
        raise TextFileError(f"{name} is a device, which may have no end. Give a file or a pipe")


def _check_text_begins(path: Path, start: bytes) -> None:
    """Raise if the first bytes of a file show that it is compressed or is not UTF-8 text.

    Raises: TextFileError.
    """
    if compression := compressed_with(start):
        raise TextFileError(
            f"{path} is compressed with {compression}: `bigram prepare {path} --out DIR` reads it. "
            "Then give DIR in its place"
        )
    _decode(str(path), 0, start, final=False)


def compressed_with(start: bytes) -> str:
    """Return "gzip" or "Zstandard" if a file with these first bytes is compressed, and else ""."""
    if start.startswith(GZIP):
        return "gzip"
    return "Zstandard" if start.startswith(ZSTD) or SKIPPED.match(start) else ""


def carriage_returns(name: str) -> str:
    """Return what there is to say of a text in which a carriage return was found."""
    return (
        f"{name} has carriage returns (\\r), as in the line ends of Windows (CRLF). They are kept, "
        "as one more character; if you do not want it, remove them first: tr -d '\\r'"
    )


@dataclass(frozen=True, kw_only=True)
class TextInput:
    """A file of text, as it was when it was first looked at."""

    name: str
    """How messages call it."""
    path: str
    size: int
    mtime_ns: int


class Chunk(NamedTuple):
    """Some of a text: whole characters, and where in its file they end.

    Shape: codes (n,), the code points, where the text is not ASCII.
    """

    data: bytes
    codes: UInt32[np.ndarray, "n"] | None
    end: int
    """Bytes of the text up to here, decompressed, with a byte order mark."""
    position: int
    """Bytes of the file that have been read for it."""


def find_input(path: Path, *, name: str | None = None) -> TextInput:
    """Look at a file that is to be read, before the work.

    Raises: TextFileError where it is missing, or no file that can be read twice; MissingExtraError
        where it is compressed with Zstandard, and that is not installed.
    """
    name = name or str(path)
    try:
        found = path.stat()
        magic = b""
        if stat.S_ISREG(found.st_mode):
            with path.open("rb") as file:
                magic = file.read(len(ZSTD))
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise _unreadable(name, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise TextFileError(f"{name} is a directory; give the text files in it")
    if not stat.S_ISREG(found.st_mode):
        raise TextFileError(
            f"{name} is no regular file, and cannot be read twice; give it as standard "
            f"input: bigram prepare - < {name}"
        )
    if compressed_with(magic) == "Zstandard" and find_spec("zstandard") is None:
        raise MissingExtraError(
            f"{name} is compressed with Zstandard, which is not installed; "
            "pip install 'bigram-reference[zstd]' brings it, or decompress the file first"
        )
    return TextInput(
        name=name,
        path=str(path.absolute()),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
    )


def read_chunks(text: TextInput, *, start: int = 0) -> Generator[Chunk]:
    """Give a text's characters from the byte `start` of it on, which begins one.

    A byte order mark at the beginning is left out.

    Raises: TextFileError, which names the file, and the offset of the first byte that is no UTF-8
        or a NUL; or says that a compressed file is damaged, or that the file has changed.
    """
    try:
        with Path(text.path).open("rb", buffering=0) as file:
            check_unchanged(text, os.fstat(file.fileno()))
            stream = _decompressed(file)
            _skip(stream, start)
            yield from _decoded(text.name, stream, file, start)
            check_unchanged(text, os.fstat(file.fileno()))
    except EOFError as error:
        raise TextFileError(
            f"{text.name} is compressed, and ends too early. Fetch or compress it again"
        ) from error
    except TextFileError:
        raise
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TextFileError(
            f"{text.name} is compressed, and damaged: {error}. Fetch or compress it again"
        ) from error
    except OSError as error:
        raise _unreadable(text.name, error) from error


def check_unchanged(text: TextInput, now: os.stat_result) -> None:
    """Refuse a file that is not as it was when it was first looked at.

    Raises: TextFileError.
    """
    if (now.st_size, now.st_mtime_ns) != (text.size, text.mtime_ns):
        raise changed(text)


def changed(text: TextInput) -> TextFileError:
    """Make the error that says that a file is not what it was."""
    return TextFileError(
        f"{text.name} has changed while it was read. Run the command again when nothing "
        "writes into it any more"
    )


def _decoded(name: str, stream: Stream, file: io.FileIO, start: int) -> Generator[Chunk]:
    at, rest = start, b""  # where what comes next begins, and what is there of its character
    while True:
        new = stream.read(CHUNK) or b""
        data = rest + new if rest else new
        if not data:
            return
        if at == 0 and data.startswith(BOM):
            at, data = len(BOM), data[len(BOM) :]
        codes, used = None, len(data)
        if data.isascii():
            _refuse_nul(name, at, data)
        else:
            characters, used = _decode(name, at, data, final=not new)
            codes = np.frombuffer(characters.encode("utf-32-le"), "<u4")
        data, rest = data[:used], data[used:]
        at += used
        if data:
            yield Chunk(data, codes, at, file.tell())


def _decompressed(file: io.FileIO) -> Stream:
    compression = compressed_with(file.read(len(ZSTD)))
    file.seek(0)
    if compression == "gzip":
        return gzip.GzipFile(fileobj=file)
    if compression == "Zstandard":
        return io.BufferedReader(_Zstd(file), CHUNK)
    return file


def _skip(stream: Stream, start: int) -> None:
    """Go to a byte of the text: what is compressed has to be decompressed up to there again."""
    if isinstance(stream, io.FileIO):
        stream.seek(start)
        return
    while start and (skipped := stream.read(min(start, CHUNK))):
        start -= len(skipped)


class _Zstd(io.RawIOBase):
    """A .zst as it comes, frame by frame; zstandard's own reader takes a cut file for a whole one.

    Raises: EOFError where the last frame is cut short; zlib.error where one is damaged, as gzip;
        MemoryError if there is too little memory for a frame's window.
    """

    def __init__(self, file: io.FileIO) -> None:
        import zstandard  # noqa: PLC0415  an extra

        self._file, self._frames = file, zstandard.ZstdDecompressor(max_window_size=WINDOW)
        self._frame, self._error = self._frames.decompressobj(), zstandard.ZstdError
        self._text = memoryview(b"")
        self._begun = False

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, room: Any) -> int:  # noqa: ANN401  anything with a buffer
        """Fill some of the room; 0 is the end."""
        while not self._text:
            rest = b""
            if self._frame.eof:
                rest, self._begun = self._frame.unused_data, False
                self._frame = self._frames.decompressobj()
            compressed = rest or self._file.read(SLICE)
            if not compressed:
                if self._begun:
                    raise EOFError
                return 0
            self._begun = True
            try:
                self._text = memoryview(self._frame.decompress(compressed))
            except self._error as error:
                if is_out_of_memory(error):
                    raise MemoryError(str(error)) from error
                raise zlib.error(str(error)) from error
        n = min(len(room), len(self._text))
        room[:n], self._text = self._text[:n], self._text[n:]
        return n


def _decode(name: str, at: int, data: bytes, *, final: bool) -> tuple[str, int]:
    """Return the characters of bytes at an offset, and how many bytes they are.

    Unless they are the `final` ones, a last character may be incomplete, and is left out.

    Raises: TextFileError.
    """
    try:
        decoded = codecs.utf_8_decode(data, "strict", final)
    except UnicodeDecodeError as error:
        raise TextFileError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at offset {at + error.start} "
            f"({error.reason}). Convert it to UTF-8 first"
        ) from error
    _refuse_nul(name, at, data)
    return decoded


def _refuse_nul(name: str, at: int, data: bytes) -> None:
    if (place := data.find(0)) >= 0:
        raise TextFileError(
            f"{name} is no text: byte 0x00 at offset {at + place}. If it is UTF-16, convert it to "
            "UTF-8 first; else take the byte out"
        )


def _unreadable(name: str, error: Exception) -> TextFileError:
    return TextFileError(
        f"{name} cannot be read: {reason(error)}. Give the path of a UTF-8 text file"
    )
