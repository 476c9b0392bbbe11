"""Files that are whole or not there, and folders that one process at a time writes into."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reference.errors import InUseError, OutputError

PARTIAL = ".bigram-partial"
"""How the name of a file ends that is still being written; nobody else's does."""

_LOCK = ".lock"


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Give something to write a file's new content to, which takes the file's place at the end.

    Whatever happens, a kill or a power failure too, the file holds all of the old content or all of
    the new. Where the writing fails, what was written is removed.

    Raises: OutputError, which names the file.
    """
    partial = file.with_name(f"{file.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as out:
            yield out
            flush(out)
        put_in_place(partial, file)
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # which would hide what went wrong
            partial.unlink(missing_ok=True)


def flush(out: BinaryIO) -> None:
    """Wait until the disk has what was written."""
    out.flush()
    os.fsync(out.fileno())


def put_in_place(partial: Path, file: Path) -> None:
    """Rename a file that has been flushed, and wait until the disk has its new name."""
    partial.replace(file)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_writable(directory: Path) -> None:
    """Make a directory, where it is not there yet, and write into it for a moment.

    Raises: OutputError where that fails.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OutputError(f"{directory} cannot be written: {error.strerror}") from error


@contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Keep every other process that asks for it out of a directory that is there.

    The system ends it with the process, however that ends. What killed processes left half written
    there, or in a folder of it, is removed.

    Raises: InUseError where another process has it; OutputError where it cannot be had.
    """
    import filelock  # noqa: PLC0415  only who writes waits for it

    lock = filelock.FileLock(directory / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InUseError(
            f"{directory} is in use: another process is writing there. Wait for it to end, or "
            "give another directory"
        ) from error
    except OSError as error:
        raise OutputError(f"{directory} cannot be written: {error.strerror or error}") from error
    try:
        for pattern in (f"*{PARTIAL}", f"*/*{PARTIAL}"):
            for leftover in directory.glob(pattern):
                with suppress(OSError):
                    leftover.unlink()
        yield
    finally:
        lock.release()
