"""What a folder of token files says of itself, so that a damaged byte in it shows.

`tokens.bin` holds the tokens of both splits, one after the other, and nothing else;
`vocabulary.json` the characters as one JSON string, sorted; `manifest.json` all that is below.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from msgspec import Meta, convert

from reference.errors import TokenFileError, printable, reason
from reference.files.sealed import check_format, seal, unseal

TOKENS, VOCABULARY, MANIFEST = "tokens.bin", "vocabulary.json", "manifest.json"
"""The names of the files in a prepared folder."""

STATE = "prepare.json"
"""Where `bigram prepare` keeps how far it came; it is removed at the end."""

FORMAT = 1
"""The version of what a prepared folder holds: one of another version is refused."""

PIECE = 2**26
"""Bytes of tokens.bin under one digest. So all threads can verify, and damage has a place."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
}
"""How tokens can stand in a file, by name: little endian, the smallest that holds C - 1."""


def smallest_dtype(C: int) -> str:
    """Name the smallest type that holds every token of C."""
    return "uint8" if C <= 2**8 else "uint16" if C <= 2**16 else "int32"


Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""How many bytes, characters or tokens a file has, or where one of them is."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An input of a prepared folder: its name, and what it held, decompressed."""

    name: str
    bytes: Count
    characters: Count


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a prepared folder holds: the fields of manifest.json, in which a digest follows them.

    Shape: tokens is N, of both splits; train_tokens N_train, those before the validation split;
        vocab_size is C.
    """

    version: str
    tokens: Count
    train_tokens: Count
    dtype: str
    vocab_size: Count
    vocabulary_sha256: str
    pieces: tuple[str, ...]
    """The SHA-256 of each 64 MiB of tokens.bin, in order."""
    sources: tuple[Source, ...]

    def to_bytes(self) -> bytes:
        """Give the content of manifest.json."""
        return seal({"format": FORMAT, **asdict(self)})


def read_manifest(file: Path) -> Manifest:
    """Read manifest.json, which must be what `Manifest.to_bytes` wrote, byte for byte.

    Raises: TokenFileError where it cannot be read, is damaged, or is of another format.
    """
    raw = read_small(file)
    try:
        fields = unseal(raw)
        again = ", or run `bigram prepare` again"
        check_format(file, fields.pop("format"), FORMAT, TokenFileError, again)
        manifest = convert(fields, Manifest)
        if manifest.to_bytes() != raw or not _is_sound(manifest):
            raise ValueError("a field is unknown, or the numbers do not go together")  # noqa: TRY301  told below
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise TokenFileError(
            f"{file} is damaged, or `bigram prepare` did not write it: {printable(error)}. Run "
            "that again, into another directory"
        ) from error
    return manifest


def read_small(file: Path) -> bytes:
    """Read a whole file.

    Raises: TokenFileError where that fails.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise TokenFileError(
            f"{file} cannot be read: {reason(error)}. Run `bigram prepare` again, into "
            "another directory"
        ) from error


class PieceDigests:
    """The digests of a stream's pieces, as the stream comes."""

    def __init__(self, whole: Sequence[str] = ()) -> None:
        self.whole = list(whole)
        """Of the pieces that are full."""
        self._piece, self._room = hashlib.sha256(), PIECE

    def update(self, content: memoryview) -> None:
        """Take the bytes that follow."""
        while len(content) >= self._room:
            self._piece.update(content[: self._room])
            content = content[self._room :]
            self.whole.append(self._piece.hexdigest())
            self._piece, self._room = hashlib.sha256(), PIECE
        self._piece.update(content)
        self._room -= len(content)

    def all(self) -> tuple[str, ...]:
        """Give the digests of all pieces, the last of which may be shorter."""
        last = () if self._room == PIECE else (self._piece.hexdigest(),)
        return (*self.whole, *last)


def _is_sound(manifest: Manifest) -> bool:
    """Return whether the numbers go together, which a digest alone does not say."""
    dtype = smallest_dtype(manifest.vocab_size)
    return (
        manifest.vocab_size > 0
        and manifest.dtype == dtype
        and manifest.train_tokens <= manifest.tokens
        and len(manifest.pieces) == -(-manifest.tokens * DTYPES[dtype].itemsize // PIECE)
    )
