"""Text files of any size into token files, in one pass or two, and little memory.

The vocabulary is sorted, so a character's token is known only when all text has been read. But the
beginning of a long text has most often all of its characters: it is encoded with these, and only
where another one comes, the rest is read for its characters, and all encoded anew. Whatever ends it
in between, the same call goes on where it stopped.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from reference import __version__
from reference.encoding import Characters, Encoder
from reference.errors import (
    BigramError,
    EmptyError,
    MissingExtraError,
    NotTextError,
    OutputError,
    TextFileError,
    TooShortError,
)
from reference.files import make_writable, only_writer, put_in_place, remove_made, replacing
from reference.manifest import (
    MANIFEST,
    STATE,
    TOKENS,
    VOCABULARY,
    Manifest,
    smallest_dtype,
)
from reference.splits import train_length
from reference.text_input import CHUNK, Chunk, TextInput, changed, find_input, read_chunks
from reference.token_writer import UNFINISHED, TokenWriter
from reference.unfinished import ENCODING, READING, TRYING, State, check_same, load_state

SPOOL = "stdin.unfinished"
"""Where standard input is copied to, which can be read only once."""

STDIN = "-"
"""How standard input is named among the inputs."""

SAVE_EVERY = 2**26
"""Bytes of text, or of tokens, after which what is done is put on disk, to be gone on from."""

BEGINNING = 4
"""Chunks of text whose characters are tried on all of it."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is told what is done ("reading" or "encoding"), to how many bytes of the files, and all."""


def prepare(
    inputs: Sequence[Path | str],
    out: Path,
    *,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Manifest:
    """Turn UTF-8 text files, one after the other, into a folder that `load_corpus` opens.

    What is compressed with gzip or Zstandard is decompressed on the way; a byte order mark at the
    beginning of a file is left out. "-" is standard input, which is first copied into the folder,
    as it comes, and removed in the end.

    `progress` is told "encoding", to how many bytes of the files, and their sum; where a character
    comes that the first megabytes have not, then "reading" the rest, and "encoding" all. A call
    that is interrupted, killed, or finds the disk full can be repeated with the same arguments: it
    goes on where the first one stopped, of which `say` is told. One that rejects its text leaves
    nothing behind, and removes the folders that it made.

    Raises: TextFileError where an input cannot be read, is no UTF-8 text, damaged, or changes
        meanwhile; EmptyError where all are empty; TooShortError where there is no pair to train on;
        OutputError where the folder cannot be written, or has tokens already, or those of other
        inputs; InUseError where another process writes into it; MissingExtraError for .zst without
        zstandard; NotTextError where an input is no path.
    """
    names = _checked(inputs)
    found = [None if name == STDIN else find_input(Path(name)) for name in names]
    folder = Path(out)
    made = make_writable(folder)
    with only_writer(folder):
        tell = progress or (lambda *_: None)
        try:
            state = _begin(folder, found, say or (lambda _: None))
        except BigramError:
            remove_made(made)
            raise
        try:
            written = state.tokens == state.total and (folder / TOKENS).exists()
            if state.doing == TRYING:
                state = _encode(folder, state, tell)
                written = state.doing == ENCODING
            if state.doing == READING:
                state = _collect(folder, state, tell)
            if not written:
                state = _encode(folder, state, tell)
        except (TextFileError, EmptyError, TooShortError):
            _remove(folder, STATE, UNFINISHED, SPOOL)
            remove_made(made)
            raise
        return _finish(folder, state)


def _checked(inputs: Sequence[Path | str]) -> list[str]:
    if isinstance(inputs, (str, Path)) or not all(isinstance(one, (str, Path)) for one in inputs):
        raise NotTextError(f"inputs is {inputs!r:.60}; it must be a list of paths")
    names = [str(one) for one in inputs]
    if not names:
        raise EmptyError("there is no input; give one text file or more")
    if "" in names:
        raise TextFileError("the name of an input is empty; give the name of a text file")
    if names.count(STDIN) > 1:
        raise TextFileError('"-" is standard input, which can be read only once; name it once')
    return names


def _begin(folder: Path, found: Sequence[TextInput | None], say: Callable[[str], None]) -> State:
    """Go on from the state that is there, or begin one.

    Raises: OutputError.
    """
    spool = folder / SPOOL
    resumed = (folder / STATE).exists()
    if not resumed:
        for name in (MANIFEST, TOKENS, VOCABULARY):
            if (folder / name).exists():
                raise OutputError(f"{folder} has a {name} already; give another directory")
        if None in found:
            if sys.stdin is None:
                raise TextFileError("standard input is closed; give it a text, or name a file")
            say(f"copying standard input to {spool}")
            with replacing(spool) as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy, CHUNK)
    try:
        inputs = tuple(one or find_input(spool, name="standard input") for one in found)
    except MissingExtraError:
        if not resumed:
            _remove(folder, SPOOL)
        raise
    if not resumed:
        state = State(inputs=inputs)
        state.save(folder)
        return state
    state = load_state(folder)
    check_same(folder, state.inputs, inputs)
    state = replace(state, inputs=inputs)  # which may be named in another way now
    say(
        f"going on in {folder}: {_shown(state)} {inputs[state.input].name} "
        f"from byte {state.offset:,}"
    )
    return state


def _collect(folder: Path, state: State, tell: Progress) -> State:
    """Read the text that is left for its characters."""
    characters = Characters(state.characters)
    unsaved = 0
    for number in range(state.input, len(state.inputs)):
        with closing(_chunks(state, number, tell)) as chunks:
            for chunk in chunks:
                state = state.found(characters.add(chunk), input=number, offset=chunk.end)
                unsaved += len(chunk.data)
                if unsaved >= SAVE_EVERY:
                    unsaved = 0
                    replace(state, characters=characters.sorted()).save(folder)
    state = _all_read(replace(state, characters=characters.sorted()))
    state = replace(state, input=0, offset=0)
    state.save(folder)
    return state


def _all_read(state: State) -> State:
    """Say that all was read, and can be a corpus.

    Raises: EmptyError, TooShortError.
    """
    whole = state.found(0, input=len(state.inputs) - 1, offset=0)  # the last ones may be empty
    state = replace(state, doing=ENCODING, read=whole.read)
    names = ", ".join(text.name for text in state.inputs)
    if not state.total:
        raise EmptyError(f"{names}: empty; a corpus needs at least one character")
    if train_length(state.total) < 2:  # noqa: PLR2004  of which a pair is made
        raise TooShortError(
            f"{names}: {state.total} characters, of which {train_length(state.total)} for "
            "training, where a pair needs 2; give a longer text"
        )
    return state


def _encode(folder: Path, state: State, tell: Progress) -> State:
    """Write the tokens of all text; or of what comes before a character that is not known yet."""
    trying = state.doing == TRYING
    if trying and not state.characters:
        state = replace(state, characters=_beginning(state))
    encoder = Encoder(state.characters, smallest_dtype(len(state.characters)))
    with TokenWriter(folder, state, save_every=SAVE_EVERY) as writer:
        state = writer.state
        for number in range(state.input, len(state.inputs)):
            with closing(_chunks(state, number, tell)) as chunks:
                for chunk in chunks:
                    tokens = encoder.encode(chunk)
                    if tokens is None and trying:
                        state = writer.wait()
                        state = replace(state, input=number, offset=state.begins(number))
                        return replace(state, doing=READING, tokens=0, pieces=())
                    if tokens is None:
                        raise changed(state.inputs[number])
                    writer.append(tokens, number, chunk.end)
            end = sum(source.characters for source in state.read[: number + 1])
            if not trying and writer.handed != end:
                raise changed(state.inputs[number])
        state = writer.wait()
        return writer.finish(_all_read(state) if trying else state)


def _beginning(state: State) -> str:
    """Give the characters of the first chunks."""

    def chunks() -> Generator[Chunk]:
        for text in state.inputs:
            yield from read_chunks(text)

    characters = Characters()
    with closing(chunks()) as first:
        for chunk in islice(first, BEGINNING):
            characters.add(chunk)
    return characters.sorted()


def _shown(state: State) -> str:
    """Say what is done in a word for those who wait for it."""
    return READING if state.doing == READING else ENCODING


def _chunks(state: State, number: int, tell: Progress) -> Generator[Chunk]:
    """Give the chunks of an input that are left, of which the next is read while one is used."""
    text = state.inputs[number]
    before = sum(one.size for one in state.inputs[:number])
    total = sum(one.size for one in state.inputs)
    chunks = read_chunks(text, start=state.begins(number))
    with closing(chunks), ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = reader.submit(next, chunks, None)
            yield chunk
            tell(_shown(state), before + chunk.position, total)


def _finish(folder: Path, state: State) -> Manifest:
    """Give the files their names, the manifest last, without which they are no corpus."""
    vocabulary = json.dumps(state.characters, ensure_ascii=False).encode() + b"\n"
    manifest = Manifest(
        version=__version__,
        tokens=state.tokens,
        train_tokens=train_length(state.tokens),
        dtype=smallest_dtype(len(state.characters)),
        vocab_size=len(state.characters),
        vocabulary_sha256=hashlib.sha256(vocabulary).hexdigest(),
        pieces=state.pieces,
        sources=state.read,
    )
    try:
        if (folder / UNFINISHED).exists():
            put_in_place(folder / UNFINISHED, folder / TOKENS)
    except OSError as error:
        raise OutputError(f"{folder / TOKENS} cannot be written: {error.strerror}") from error
    with replacing(folder / VOCABULARY) as out:
        out.write(vocabulary)
    with replacing(folder / MANIFEST) as out:
        out.write(manifest.to_bytes())
    _remove(folder, STATE, SPOOL)
    return manifest


def _remove(folder: Path, *names: str) -> None:
    """Remove what is there of these: first the state, which claims the others.

    Raises: OutputError.
    """
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder / name} cannot be removed: {error.strerror}") from error
