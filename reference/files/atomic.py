"""Files that are complete or not there, and folders that one process at a time writes into."""

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import combinations
from pathlib import Path
from typing import BinaryIO, TextIO

from reference.errors import FileNameError, InUseError, NotWrittenError, OutputError, reason

PARTIAL = ".bigram-partial"
"""End of the name of a file that is still being written; no other program uses it."""

_LOCK = ".lock"

_PLAIN = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
"""File names that mean the same on every system; this program writes no others."""

_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows gives to devices, in every folder."""

_DESCRIPTORS, _NUMBER = Path("/dev/fd"), re.compile(r"[0-9]{1,9}")
"""Folder in which this process's descriptors are files, and their names there."""

_LINKS = 40
"""Most links in a chain, as on Linux."""

_SHORT = 50
"""Characters of a file's name that the name of its partial file repeats: both fit any system."""


def inside(folder: Path, name: object) -> Path:
    """Return the path of a file in a folder, by a name that another file gives.

    Anyone can write such a name, and it may lead out of the folder ("../thesis.txt").

    Raises: FileNameError unless the name is plain.
    """
    if not isinstance(name, str) or not _PLAIN.fullmatch(name) or _DEVICE.fullmatch(name):
        raise FileNameError(
            f"{name!r:.60} is not a plain file name: up to 100 letters from a to z, digits, "
            '"-", "_" and ".", with no "." at either end'
        )
    return folder / name


def read_regular(file: Path) -> bytes:
    """Return the content of a regular file; do not follow a link or wait for a pipe.

    Raises: OSError.
    """
    if not stat.S_ISREG(file.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file (a link is not followed)")
    return file.read_bytes()


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Yield a stream for a file's new content, which replaces the file at the end.

    Whatever happens, a kill or a power failure too, the file holds all of the old content or all of
    the new. If writing fails, what was written is removed. A link is replaced, and not followed.

    Raises: OutputError, which names the file.
    """
    partial = file.with_name(f"{file.name[:_SHORT]}.{os.getpid()}{PARTIAL}")
    try:
        partial.unlink(missing_ok=True)  # left by a process that had the same id
        with partial.open("xb") as out:  # never through a link that someone put there
            yield out
            flush(out)
        put_in_place(partial, file)
    except OSError:
        with writing(file):
            raise
    finally:
        with suppress(OSError):  # which would hide what went wrong
            partial.unlink(missing_ok=True)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Raise OutputError, which names the file or folder, for what goes wrong in writing it."""
    try:
        yield
    except (InUseError, OutputError):
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        raise OutputError(f"{file} cannot be written: {reason(error)}") from error


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


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files that the user named, each completely or not at all; try all of them.

    A link stays, and the file that it leads to is written. What is not a regular file, such as
    /dev/stdout or a named pipe, is written to as it is.

    Raises: NotWrittenError, which tells for each file whether it was written.
    """
    failed: list[OutputError] = []
    written: list[Path] = []
    for file, content in contents.items():
        try:
            with writing(file):
                _write(file, content)
            written.append(file)
        except OutputError as error:
            failed.append(error)
    if failed:
        lines = [*map(str, failed), *(f"{file} was written" for file in written)]
        raise NotWrittenError("\n".join(lines)) from failed[0]


def _write(file: Path, content: bytes) -> None:
    place = _end_of(file)
    if isinstance(place, Path) and _is_regular(place):
        with replacing(place) as out:
            out.write(content)
    else:
        with open(place, "wb", closefd=isinstance(place, Path)) as out:
            out.write(content)


def check_can_append(file: Path) -> None:
    """Raise unless `open_to_append` could open a file; do not open a pipe, whose reader would end.

    Raises: OutputError.
    """
    with writing(file):
        if not file.exists():
            make_writable(file.parent)
        place = _end_of(file)
        if isinstance(place, int):
            os.write(place, b"")
        elif not place.is_fifo():
            place.open("ab").close()
        elif not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def open_to_append(file: Path) -> TextIO:
    """Return a stream that adds lines to a file that the user named.

    What is not a regular file, such as /dev/stderr or a named pipe, is written to as it is. In a
    regular file an unfinished last line is ended first.

    Raises: OutputError.
    """
    with writing(file):
        place = _end_of(file)
        if isinstance(place, int):
            return open(place, "a", encoding="utf-8", closefd=False)
        if place.is_fifo():
            # Without O_NONBLOCK this would wait for a reader, and no signal could end that.
            try:
                descriptor = os.open(place, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    error.strerror = "no process reads from it. Start its reader first"
                raise
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "a", encoding="utf-8")
        log = place.open("a", encoding="utf-8")
        if _is_regular(place) and _ends_within_line(place):
            log.write("\n")
        return log


def _ends_within_line(file: Path) -> bool:
    """Return whether a file's last line has no end, as when its writer was killed."""
    try:
        with file.open("rb") as written:
            if not written.seek(0, os.SEEK_END):
                return False
            written.seek(-1, os.SEEK_END)
            return written.read(1) != b"\n"
    except PermissionError:  # it may be written and not read
        return False


def check_outputs(outputs: Mapping[str, Path | None], inputs: Sequence[Path]) -> None:
    """Raise unless the files that options name can be written, before the work and not after it.

    Raises: OutputError if one cannot be written, if two are the same file, or if one is also an
        input.
    """
    named = [(option, file) for option, file in outputs.items() if file is not None]
    for _option, file in named:
        with writing(file):
            _check_writable(file)
    for (option, file), (other, second) in combinations(named, 2):
        if _are_same(file, second):
            raise OutputError(
                f"{option} and {other} name the same file, {second}: give each its own"
            )
    for option, file in named:
        if any(_are_same(file, one) for one in inputs):
            raise OutputError(
                f"{option} names {file}, which is an input: give a different file name"
            )


def _check_writable(file: Path) -> None:
    """Raise OSError, RuntimeError or ValueError unless a file can be written."""
    place = _end_of(file)
    if isinstance(place, int):
        os.write(place, b"")  # which fails if it is only for reading
        return
    if _is_regular(place):
        if not place.absolute().parent.is_dir():
            raise OSError(f"there is no folder {place.absolute().parent}")
        with tempfile.TemporaryFile(dir=place.absolute().parent):
            pass
        if _is_output(place):
            raise OSError("standard output goes there; give a different file name")
        return
    mode = place.stat().st_mode
    if stat.S_ISDIR(mode):
        raise OSError("it is a folder; give the name of a file")
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise OSError("it is neither a file nor a pipe; give a different file name")
    if not os.access(place, os.W_OK):
        raise OSError(os.strerror(errno.EACCES))


def _end_of(file: Path) -> Path | int:
    """Return the end of a chain of links, or the descriptor that the file stands for (/dev/fd/1).

    Raises: OSError, RuntimeError (a loop of links) or ValueError (a NUL in the name).
    """
    end = file
    for _ in range(_LINKS):
        if _NUMBER.fullmatch(end.name) and _is_folder_of_descriptors(end.parent):
            return int(end.name)
        if not end.is_symlink():
            return end
        end = end.parent / end.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_folder_of_descriptors(folder: Path) -> bool:
    return _DESCRIPTORS.exists() and folder.exists() and folder.samefile(_DESCRIPTORS)


def _is_regular(place: Path) -> bool:
    """Return whether a file is a regular one, or is missing and can become one."""
    try:
        return stat.S_ISREG(place.stat().st_mode)
    except FileNotFoundError:
        return True


def _is_output(place: Path) -> bool:
    """Return whether standard output is redirected to a file."""
    with suppress(OSError):  # it is closed, or the file is missing
        return os.path.samestat(place.stat(), os.fstat(1))
    return False


def _are_same(one: Path, other: Path) -> bool:
    """Return whether two names are of one file, on some system at least: a.txt and A.txt are."""
    try:
        if one.exists() and other.exists():
            return one.samefile(other)
        return str(one.resolve()).casefold() == str(other.resolve()).casefold()
    except (OSError, RuntimeError, ValueError):  # not an output: those were looked at before
        return False


def make_writable(directory: Path) -> tuple[Path, ...]:
    """Make a directory unless it exists, and write into it for a moment.

    Return the folders that were made, the innermost first.

    Raises: OutputError if that fails.
    """
    made: list[Path] = []
    with writing(directory):
        missing = [one for one in (directory, *directory.parents) if not one.exists()]
        for one in reversed(missing):
            with suppress(FileExistsError):  # meanwhile, by another process
                one.mkdir()
                made.insert(0, one)
        with tempfile.TemporaryFile(dir=directory):
            pass
    return tuple(made)


def remove_made(made: Sequence[Path]) -> None:
    """Remove folders that `make_writable` made, as far as nothing but our lock file is in them.

    Call it inside of `only_writer`, so that no other process begins to write there meanwhile.
    """
    with suppress(OSError):  # the folder holds something; or the system keeps a file that is open
        for folder in made:
            if folder == made[0] and [one.name for one in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
            folder.rmdir()


@contextmanager
def only_writer(directory: Path, *, writes: Sequence[str] = ()) -> Iterator[None]:
    """Keep every other process that calls this out of an existing directory.

    The system releases the lock with the process, however that ends.

    `writes` are patterns of the files that only the holder of this lock writes, relative to the
    directory. What killed processes left half written of these is removed. Nothing else is, since
    a different command may be writing it.

    Raises: InUseError if another process has it; OutputError if it cannot be acquired.
    """
    import filelock  # noqa: PLC0415  only who writes waits for it

    file = directory / _LOCK
    lock = filelock.FileLock(file)
    with writing(directory):
        _check_ours(file)  # old versions of filelock empty it, or the file that it leads to
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InUseError(
                f"{directory} is in use: another process is writing there. Wait for it to end, or "
                "give another directory"
            ) from None
    try:
        _remove_leftovers(directory, writes)
        yield
    finally:
        lock.release()


def _check_ours(lock: Path) -> None:
    """Raise OSError if a file is not one that locks a folder: it is a link, or holds something."""
    with suppress(FileNotFoundError):
        found = lock.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, f"{_LOCK} in it is a link. Remove it")
        if found.st_size and stat.S_ISREG(found.st_mode):
            raise OSError(errno.EEXIST, f"{_LOCK} in it is not empty, so it is not a lock. Move it")


def _remove_leftovers(directory: Path, writes: Sequence[str]) -> None:
    for pattern in writes:
        for leftover in directory.glob(f"{pattern}.*{PARTIAL}"):
            name, _, number = leftover.name.removesuffix(PARTIAL).rpartition(".")
            is_ours = number.isdecimal() and Path(name).match(Path(pattern).name)
            if is_ours and not leftover.parent.is_symlink():
                with suppress(OSError):
                    leftover.unlink()
