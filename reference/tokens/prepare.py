"""Text files of any size into token files, in one pass or two, and little memory.

The vocabulary is sorted, so a character's token is known only when all text has been read. But the
beginning of a long text has most often all of its characters: it is encoded with these, and only
where another one comes, the rest is read for its characters, and all encoded anew. Whatever ends it
in between, the same call goes on where it stopped.
"""

import hashlib
import json
import os
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
from reference.errors import (
    BigramError,
    EmptyError,
    NotTextError,
    OutputError,
    TextFileError,
    TooShortError,
    reason,
)
from reference.files.atomic import (
    make_writable,
    only_writer,
    put_in_place,
    remove_made,
    replacing,
    writing,
)
from reference.files.text import (
    CHUNK,
    STDIN,
    Chunk,
    TextInput,
    changed,
    check_has_end,
    find_input,
    read_chunks,
)
from reference.notes import train_length
from reference.tokens.encoder import Characters, Encoder
from reference.tokens.format import (
    MANIFEST,
    STATE,
    TOKENS,
    VOCABULARY,
    Manifest,
    PieceDigests,
    read_manifest,
    smallest_dtype,
)
from reference.tokens.resume import (
    COPYING,
    ENCODING,
    READING,
    SPOOL,
    TRYING,
    UNFINISHED,
    State,
    check_same,
    load_state,
    start_over,
)
from reference.tokens.writer import TokenWriter

NAMES = (MANIFEST, TOKENS, VOCABULARY, STATE, UNFINISHED, SPOOL)
"""Names of the files that are written into a folder, some of them until the end only."""

SAVE_EVERY = 2**26
"""Bytes of text, or of tokens, after which what is done is put on disk, to be gone on from."""

BEGINNING = 4
"""Chunks of text whose characters are tried on all of it."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Callback for the work that is being done ("reading", "encoding" or "verifying"), the bytes of the
files that are done, and all their bytes."""


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
    as it comes; the copy is removed in the end.

    `progress` is told "encoding", to how many bytes of the files, and their sum; where a character
    comes that the first megabytes have not, then "reading" the rest, and "encoding" all. A call
    that is interrupted, killed, or finds the disk full can be repeated with the same arguments: it
    continues where the first one stopped, and tells `say` so. A call for a folder that holds the
    tokens of the same inputs already changes nothing. One that rejects its text leaves nothing
    behind, and removes the folders that it made.

    When a call continues, its standard input must be what was copied, byte for byte, or empty: then
    the copy is used, and `say` gets a line about it.

    Raises: TextFileError if an input cannot be read, is not UTF-8 text, is damaged, changes
        meanwhile, or is a file that this call would write; EmptyError if all are empty;
        TooShortError if there is no pair to train on; OutputError if the folder cannot be written,
        or holds something of different inputs, or files of these names that no unfinished call
        has left; InUseError if another process writes into it; MissingExtraError for .zst without
        zstandard; NotTextError if an input is not a path; TokenFileError if the folder holds
        damaged tokens.
    """
    names = _checked(inputs)
    found = [None if name == STDIN else find_input(Path(name)) for name in names]
    folder = Path(out)
    _check_not_ours(folder, found)
    made = make_writable(folder)
    with only_writer(folder, writes=(MANIFEST, VOCABULARY, STATE, SPOOL)):
        tell = progress or (lambda *_: None)
        try:
            state = _begin(folder, found, say or (lambda _: None), tell)
        except BigramError:
            remove_made(made)
            raise
        if isinstance(state, Manifest):
            return state
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
            _remove(folder, UNFINISHED, SPOOL, STATE)
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


def _check_not_ours(folder: Path, found: Sequence[TextInput | None]) -> None:
    """Raise if an input is one of the files that are written into the folder, or removed there.

    Raises: TextFileError.
    """
    for file in [Path(text.path) for text in found if text]:
        for name in NAMES:
            if _is_same_file(file, folder / name):
                raise TextFileError(
                    f"{file} is an input, and `bigram prepare` writes this file itself, as "
                    f"{folder / name}. Rename it, or give a different folder"
                )


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # there is no such file, or no file can have such a name
        return False


def _begin(
    folder: Path,
    found: Sequence[TextInput | None],
    say: Callable[[str], None],
    tell: Progress,
) -> State | Manifest:
    """Continue from the state that is there, or begin; return the manifest if all is done.

    Raises: OutputError.
    """
    spool = folder / SPOOL
    if (folder / STATE).exists():
        state = load_state(folder)
        is_copied = any(one.path == str(spool.absolute()) for one in state.inputs)
        is_over = (folder / MANIFEST).exists() or state.doing == COPYING
        if not is_over and (spool.exists() or not is_copied):
            return _continue(folder, state, found, say)
        _remove(folder, UNFINISHED, SPOOL, STATE)  # left by a call that was killed amidst this
    is_done = (folder / MANIFEST).exists()
    for name in (UNFINISHED, SPOOL) if is_done else NAMES:
        if os.path.lexists(folder / name):
            raise OutputError(
                f"{folder} has a {name} already; give another directory, or remove it if nobody "
                "needs it"
            )
    try:
        if None in found:
            State(inputs=(), doing=COPYING).save(folder)  # which claims the copy before it is made
        inputs = tuple(one or _copied(spool, say) for one in found)
        if not is_done:
            state = State(inputs=inputs)
            state.save(folder)
            return state
        manifest = _same(folder, inputs, tell)
    except BaseException:
        _remove(folder, SPOOL, STATE)
        raise
    _remove(folder, SPOOL, STATE)
    say(f"{folder} has the tokens of this text already")
    return manifest


def _copied(spool: Path, say: Callable[[str], None]) -> TextInput:
    """Copy standard input into a file.

    Raises: TextFileError if it is closed or a device; MissingExtraError; OutputError.
    """
    _check_stdin()
    say(f"copying standard input to {spool}")
    with replacing(spool) as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy, CHUNK)
    return find_input(spool, name="standard input")


def _check_stdin() -> None:
    """Raise if standard input is closed, or a device that may have no end.

    Raises: TextFileError.
    """
    if sys.stdin is None:
        raise TextFileError("standard input is closed; give it a text, or name a file")
    try:
        descriptor = sys.stdin.buffer.fileno()
    except OSError:  # a stream of this process, which is not a file
        return
    check_has_end("standard input", descriptor)


def _same(folder: Path, inputs: Sequence[TextInput], tell: Progress) -> Manifest:
    """Return the manifest of a finished folder, if it holds the tokens of these inputs.

    The manifest has no time or path of a file, so the text is read.

    Raises: OutputError if it does not; TokenFileError if it is damaged; TextFileError.
    """
    from reference.tokens.folder import open_token_files  # noqa: PLC0415  torch is slow to import

    manifest = read_manifest(folder / MANIFEST)
    characters = open_token_files(folder, verify=False).vocabulary.characters
    if not _gives(manifest, characters, inputs, tell):
        raise OutputError(f"{folder} has a {MANIFEST} already; give another directory")
    return manifest


def _gives(
    manifest: Manifest, characters: str, inputs: Sequence[TextInput], tell: Progress
) -> bool:
    """Return whether inputs give the tokens that a manifest has the digests of."""
    if [Path(one.name).name for one in inputs] != [source.name for source in manifest.sources]:
        return False
    encoder, digests = Encoder(characters, manifest.dtype), PieceDigests()
    before, total = 0, sum(text.size for text in inputs)
    for text, source in zip(inputs, manifest.sources, strict=True):
        n = 0
        with closing(read_chunks(text)) as chunks:
            for chunk in chunks:
                tokens = encoder.encode(chunk)
                if tokens is None:
                    return False
                digests.update(tokens.data.cast("B"))
                pieces = len(digests.whole)
                if pieces and digests.whole[-1:] != [*manifest.pieces[pieces - 1 : pieces]]:
                    return False  # early, as the text may be long
                n += len(tokens)
                tell("verifying", before + chunk.position, total)
        before += text.size
        if n != source.characters:
            return False
    return digests.all() == manifest.pieces


def _continue(
    folder: Path, state: State, found: Sequence[TextInput | None], say: Callable[[str], None]
) -> State:
    """Return the state that is there, if the inputs are the same.

    Raises: OutputError.
    """
    spool = folder / SPOOL
    inputs = tuple(one or find_input(spool, name="standard input") for one in found)
    check_same(folder, state.inputs, inputs)
    if None in found:
        _check_same_stdin(folder, say)
    state = replace(state, inputs=inputs)  # which may be named in another way now
    say(
        f"going on in {folder}: {_shown(state)} {inputs[state.input].name} "
        f"from byte {state.offset:,}"
    )
    return state


def _check_same_stdin(folder: Path, say: Callable[[str], None]) -> None:
    """Raise if standard input is neither empty nor, byte for byte, what was copied.

    A terminal is not read: nobody types a text twice.

    Raises: OutputError.
    """
    spool, same = folder / SPOOL, 0
    if sys.stdin is not None and not sys.stdin.buffer.isatty():
        _check_stdin()
        with spool.open("rb") as copy:
            while new := sys.stdin.buffer.read(CHUNK):
                if new != copy.read(len(new)):
                    raise _different(folder, same)
                same += len(new)
            if same and copy.read(1):
                raise _different(folder, same)
    if not same:
        say(f"standard input gives nothing: using what was copied before to {spool}")


def _different(folder: Path, same: int) -> OutputError:
    return OutputError(
        f"{folder} holds an unfinished `bigram prepare` of a different standard input, which "
        f"differs after byte {same:,} or later. Give the same text, or none (< /dev/null) to use "
        f"the copy. {start_over(folder)}"
    )


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
    with writing(folder / TOKENS):
        if (folder / UNFINISHED).exists():
            put_in_place(folder / UNFINISHED, folder / TOKENS)
    with replacing(folder / VOCABULARY) as out:
        out.write(vocabulary)
    with replacing(folder / MANIFEST) as out:
        out.write(manifest.to_bytes())
    _remove(folder, SPOOL, STATE)
    return manifest


def _remove(folder: Path, *names: str) -> None:
    """Remove these files if they are there; the state must be the last, as it claims the others.

    Raises: OutputError.
    """
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder / name} cannot be removed: {reason(error)}") from error
