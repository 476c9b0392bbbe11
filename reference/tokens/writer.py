"""The file that the tokens of a text are written to, and what is claimed of it."""

import errno
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from reference.errors import OutputError, reason
from reference.files.atomic import flush
from reference.tokens.format import DTYPES, PIECE, PieceDigests, smallest_dtype
from reference.tokens.resume import TRYING, UNFINISHED, State


class TokenWriter:
    """What takes a text's tokens to disk, and hashes them, on a thread of its own.

    It goes on where the state says that it was; every `save_every` bytes, and at the end, the
    tokens are put on disk first, and then the state that claims them.

    Raises: OutputError, here and in every method, where something cannot be written.
    """

    def __init__(self, folder: Path, state: State, *, save_every: int) -> None:
        self._folder, self._file = folder, folder / UNFINISHED
        self._save_every = save_every
        itemsize = DTYPES[smallest_dtype(len(state.characters))].itemsize
        size = state.tokens * itemsize
        with self._writing():
            if self._file.is_symlink():  # which someone else put there: it may lead anywhere
                raise OSError(errno.ELOOP, "it is a link, and must be a regular file")
            self._out = self._file.open("ab")
            self._digests = self._found(state, size)
            is_short = self._file.stat().st_size < size
            if is_short or self._digests.all() != state.pieces:  # so from the beginning, then
                read = () if state.doing == TRYING else state.read
                state = replace(state, read=read, input=0, offset=0, tokens=0, pieces=())
                size, self._digests = 0, PieceDigests()
            self._out.truncate(size)
        self.state = state
        self.handed = state.tokens
        """Tokens given to the thread, or already written."""
        self._unsaved = 0
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def _found(self, state: State, size: int) -> PieceDigests:
        """Digest what is there of so many bytes; full pieces are believed until it is opened."""
        digests = PieceDigests(state.pieces[: size // PIECE])
        with self._file.open("rb") as written:
            written.seek(size // PIECE * PIECE)
            digests.update(memoryview(written.read(size % PIECE)))
        return digests

    def __enter__(self) -> "TokenWriter":  # noqa: PYI034  beartype knows Self in its own classes only
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        with suppress(OSError):  # of what could not be written, and is not claimed either
            self._out.close()

    def append(self, tokens: Integer[np.ndarray, "n"], number: int, offset: int) -> None:
        """Hand on the tokens of a chunk that ends at an offset in an input."""
        self.wait()
        self.handed += len(tokens)
        self._pending = self._thread.submit(self._write, tokens, number, offset)

    def wait(self) -> State:
        """Wait for all that was handed on, and give the state."""
        if self._pending is not None:
            self._pending.result()
        return self.state

    def finish(self, state: State) -> State:
        """Put all on disk, and then the state that claims it."""
        self.state = state
        self._save()
        return self.state

    def _write(self, tokens: Integer[np.ndarray, "n"], number: int, offset: int) -> None:
        with self._writing():
            self._out.write(tokens.data)
        self._digests.update(tokens.data.cast("B"))
        n = len(tokens)
        if self.state.doing == TRYING:  # what each input holds, is found now
            self.state = self.state.found(n, input=number, offset=offset)
        self.state = replace(self.state, input=number, offset=offset, tokens=self.state.tokens + n)
        self._unsaved += tokens.nbytes
        if self._unsaved >= self._save_every:
            self._unsaved = 0
            self._save()

    def _save(self) -> None:
        with self._writing():
            flush(self._out)
        self.state = replace(self.state, pieces=self._digests.all())
        self.state.save(self._folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self._file} cannot be written: {reason(error)}. When it can be, run the "
                "same command again: it continues from there"
            ) from error
