"""Folders of token files, opened, and verified byte for byte.

Two kinds are known: what `bigram prepare` writes, and nanoGPT's `train.bin` and `val.bin` of a
character-level dataset.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from reference.errors import BigramError, TokenFileError
from reference.tokens.format import (
    DTYPES,
    MANIFEST,
    PIECE,
    STATE,
    TOKENS,
    VOCABULARY,
    read_manifest,
    read_small,
)
from reference.tokens.stream import FileTokens, unreadable
from reference.vocabulary import Vocabulary

BLOCK = 2**20
"""Bytes that a thread reads at a time while it verifies: what its nearer caches hold."""

TRAIN, VAL, CHARACTERS = "train.bin", "val.bin", "vocabulary.txt"
"""The names of nanoGPT's files, and of what has to be put beside them."""

Progress: TypeAlias = Callable[[int, int], None]
"""What is told the bytes done, and all."""

Share: TypeAlias = tuple[int, int]
"""One part of so many, counted from 0: every so-many-th piece, from that one on."""

WHOLE: Share = (0, 1)
"""All of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenFiles:
    """A folder's vocabulary and both splits."""

    vocabulary: Vocabulary
    train: FileTokens
    val: FileTokens
    pieces: tuple[str, ...] | None
    """The digests in the manifest, where there is one."""
    verified: bool = False
    """Whether every byte of the share was read when the folder was opened."""


def open_token_files(
    folder: Path,
    *,
    verify: bool = True,
    share: Share = WHOLE,
    progress: Progress | None = None,
) -> TokenFiles:
    """Open a prepared folder, or nanoGPT's, and verify every byte, on all threads.

    A prepared folder has digests. nanoGPT's has none: there, the sizes must be right and each token
    one of the vocabulary. The vocabulary is not taken from its meta.pkl, because unpickling runs
    whatever code the file says; put the characters beside it, in vocabulary.json (one JSON string)
    or vocabulary.txt (the bare characters): sorted, as nanoGPT's sorted(set(text)) has them.

    `progress` is told the bytes that were verified, and all; without `verify`, only the small
    files are, and the sizes. With `share`, the large ones are verified in part: the caller sees to
    it that the other processes of this machine verify the rest.

    Raises: TokenFileError where a file is missing, damaged, or of another kind.
    """
    try:
        found = {one for one in (MANIFEST, STATE, TRAIN, VAL) if (folder / one).exists()}
    except OSError as error:  # the folder may not be looked into, say
        raise unreadable(folder, error) from error
    if MANIFEST in found:
        files = _open_prepared(folder)
        whole = replace(files.train, length=len(files.train) + len(files.val))
        streams: tuple[FileTokens, ...] = (whole,)
    elif found == {TRAIN, VAL}:
        files = _open_nanogpt(folder)
        streams = (files.train, files.val)
    else:
        raise TokenFileError(_lacking(folder, found))
    if not verify:
        return files
    C = len(files.vocabulary)
    _verify(streams, C, digests=files.pieces, share=share, progress=progress)
    return replace(files, verified=True)


def _lacking(folder: Path, found: set[str]) -> str:
    """Return what to say of a folder that has neither a manifest nor both of nanoGPT's files."""
    if STATE in found:
        return (
            f"{folder} is an unfinished `bigram prepare`: run the same command again, and it goes "
            "on where it stopped"
        )
    if found:
        lacking = VAL if found == {TRAIN} else TRAIN
        return f"{folder} has {found.pop()}, and no {lacking}; nanoGPT writes both"
    return (
        f"{folder} holds no tokens: it has neither {MANIFEST} nor {TRAIN} and {VAL}. "
        f"`bigram prepare TEXT... --out {folder}` makes such a directory of text files"
    )


def _open_prepared(folder: Path) -> TokenFiles:
    manifest = read_manifest(folder / MANIFEST)
    file = folder / VOCABULARY
    raw = read_small(file)
    if hashlib.sha256(raw).hexdigest() != manifest.vocabulary_sha256:
        raise _damaged(file)
    vocabulary = _vocabulary(file, raw)
    if len(vocabulary) != manifest.vocab_size:
        raise _damaged(file)
    path, dtype, N = folder / TOKENS, manifest.dtype, manifest.tokens
    size, wanted = _size(path), N * DTYPES[dtype].itemsize
    if size != wanted:
        raise TokenFileError(
            f"{path} holds {size:,} bytes and should hold {wanted:,}: it is damaged. "
            "Run `bigram prepare` again, into another directory"
        )
    n = manifest.train_tokens
    return TokenFiles(
        vocabulary=vocabulary,
        train=FileTokens(path=path, dtype=dtype, start=0, length=n),
        val=FileTokens(path=path, dtype=dtype, start=n, length=N - n),
        pieces=manifest.pieces,
    )


def _open_nanogpt(folder: Path) -> TokenFiles:
    as_json, as_text = folder / VOCABULARY, folder / CHARACTERS
    if as_json.exists():
        vocabulary = _vocabulary(as_json, read_small(as_json))
    elif as_text.exists():
        vocabulary = _vocabulary(as_text, read_small(as_text), is_json=False)
    else:
        raise TokenFileError(
            f"{folder} has nanoGPT's {TRAIN} and {VAL}, and no vocabulary: meta.pkl is not read, "
            f"because unpickling runs whatever code the file says. Put {VOCABULARY} beside it, "
            f"the characters as one JSON string, or {CHARACTERS}, the bare characters in UTF-8: "
            "all of them, each once, sorted, which is ''.join(sorted(set(text))) of its text"
        )
    splits = []
    for path in (folder / TRAIN, folder / VAL):
        size = _size(path)
        if size % 2:
            raise TokenFileError(
                f"{path} holds {size:,} bytes, and nanoGPT's tokens take 2 bytes each: it is "
                "damaged, or of another kind. Write it again"
            )
        splits.append(FileTokens(path=path, dtype="uint16", start=0, length=size // 2))
    train, val = splits
    return TokenFiles(vocabulary=vocabulary, train=train, val=val, pieces=None)


def _vocabulary(file: Path, raw: bytes, *, is_json: bool = True) -> Vocabulary:
    try:
        text = raw.decode()
        characters = json.loads(text) if is_json else text
        if not isinstance(characters, str):
            raise TypeError(f"it is a {type(characters).__name__}")  # noqa: TRY301  told below
        characters.encode()  # a lone surrogate, which JSON can name, is no character
        return Vocabulary(characters)
    except (BigramError, TypeError, ValueError, RecursionError) as error:
        kind = "one JSON string of" if is_json else "UTF-8 text of nothing but"
        raise TokenFileError(
            f"{file} holds no vocabulary: {error}. It must be {kind} all characters, each once, "
            "sorted by code point"
        ) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def _verify(
    streams: tuple[FileTokens, ...],
    C: int,
    *,
    digests: tuple[str, ...] | None,
    share: Share,
    progress: Progress | None,
) -> None:
    """Read every piece of the share once, on all threads, and hold it against its digest and C."""
    part, parts = share
    pieces = list(enumerate(_pieces(streams)))[part::parts]
    total, done = sum(end - begin for _, (_, begin, end) in pieces), 0
    lock = threading.Lock()

    def verify_one(number: int, stream: FileTokens, begin: int, end: int) -> None:
        nonlocal done
        _verify_piece(stream, begin, end, C, digests[number] if digests else None)
        with lock:
            done += end - begin
            if progress is not None:
                progress(done, total)

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for result in [threads.submit(verify_one, number, *piece) for number, piece in pieces]:
            try:
                result.result()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise


def _pieces(streams: tuple[FileTokens, ...]) -> Iterator[tuple[FileTokens, int, int]]:
    """Give each piece of each file, from its first byte to the one after its last."""
    for stream in streams:
        size = stream.length * DTYPES[stream.dtype].itemsize
        for begin in range(0, size, PIECE):
            yield stream, begin, min(begin + PIECE, size)


def _verify_piece(stream: FileTokens, begin: int, end: int, C: int, digest: str | None) -> None:
    path, dtype = stream.path, DTYPES[stream.dtype]
    unsigned = np.dtype(f"<u{dtype.itemsize}")  # so that what is below 0 is above C
    piece, room = hashlib.sha256(), bytearray(BLOCK)
    outside: tuple[int, int] | None = None
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(begin)
            for at in range(begin, end, BLOCK):
                block = memoryview(room)[: min(BLOCK, end - at)]
                if file.readinto(block) != len(block):
                    raise _damaged(path)
                if digest is not None:
                    piece.update(block)
                tokens = np.frombuffer(block, unsigned)
                if outside is None and tokens.max() >= C:
                    place = int((tokens >= C).argmax())
                    outside = at // dtype.itemsize + place, int(tokens[place])
    except OSError as error:
        raise error if isinstance(error, TokenFileError) else unreadable(path, error) from error
    if digest is not None and piece.hexdigest() != digest:
        raise TokenFileError(
            f"{path} is damaged somewhere in bytes {begin:,} to {end - 1:,}: their SHA-256 is not "
            f"the one in {MANIFEST}. Run `bigram prepare` again, into another directory"
        )
    if outside is not None:
        raise TokenFileError(
            f"{path} is damaged, or of another vocabulary: token {outside[0]:,} is {outside[1]}, "
            f"and must lie in 0 to {C - 1} (the vocabulary has {C} characters)"
        )


def _damaged(file: Path) -> TokenFileError:
    return TokenFileError(
        f"{file} is damaged: it is not what was written with the {MANIFEST} beside it. "
        "Run `bigram prepare` again, into another directory"
    )
