"""How a command ends: its exit code, and its errors in one line."""

import contextlib
import errno
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.text import Text

from reference.errors import (
    BigramError,
    DownloadError,
    LostRankError,
    NonFiniteLossError,
    NotWrittenError,
    OutputError,
    TwinError,
    WorkerError,
    is_out_of_memory,
    printable,
)
from reference.runs.signals import UNWRITTEN
from reference.terminal.console import SafeConsole

FAILED, BAD_INPUT, UNFINISHED, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143
"""Exit codes; the last two as the shell gives them for SIGINT and SIGTERM."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What a disk says that is full, or broken."""

COULD_NOT_FINISH = (
    DownloadError,
    LostRankError,
    NonFiniteLossError,
    NotWrittenError,
    TwinError,
    WorkerError,
)
"""Errors of a right command that could not be done; others are of a wrong one."""

NO_THREAD = "can't start new thread"
"""What Python says if there is no memory for the stack of a thread, or no process left."""

MOST_OF_ERROR = 1000
"""Characters of a long error message that are shown: the first ones, and the last ones."""


USAGE_ERROR: Any = typer.BadParameter.__base__
"""Base class of the errors that typer raises on wrong usage: click's, or typer's copy of it."""


def run(command: Callable[[Sequence[str] | None], object], arguments: Sequence[str] | None) -> None:
    """Run a command, and turn what goes wrong into one line and an exit code."""
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where ASCII is all there is
    try:
        command(arguments)
    except USAGE_ERROR as error:
        _stop_usage(error)
    except BigramError as error:
        _stop(error, UNFINISHED if _is_unfinished(error) else BAD_INPUT)
    except OSError as error:  # a disk that is full, say
        _stop(error, UNFINISHED)
    except (MemoryError, RuntimeError) as error:
        if not (is_out_of_memory(error) or str(error) == NO_THREAD):
            raise
        first = next(iter(str(error).splitlines()), "")  # Python's own says nothing
        _stop(MemoryError(f"there is not enough memory: {first}".rstrip(": ")), UNFINISHED)


def _open_missing_streams() -> None:
    """Open the null device for each standard stream that was closed before the start.

    Otherwise the next file that is opened would get the number of the missing stream, and what
    a library writes to that number would end up in the file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one
    sys.stdin = sys.stdin or io.TextIOWrapper(io.BytesIO())
    sys.stdout, sys.stderr = (
        stream or io.TextIOWrapper(io.FileIO(number, "w", closefd=False), encoding="utf-8")
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
    )


def exit_code(ended_by: int) -> int:
    """Return the exit code of a run that a signal, or a full disk, has ended; 0 if nothing has."""
    codes = {0: 0, signal.SIGTERM: TERMINATED, UNWRITTEN: UNFINISHED}
    return codes.get(ended_by, INTERRUPTED)


def _is_unfinished(error: BigramError) -> bool:
    """Return whether a right command could not be done, and not whether it was wrong."""
    if isinstance(error, OutputError):
        return getattr(error.__cause__, "errno", None) in FULL
    return isinstance(error, COULD_NOT_FINISH)


def _stop(error: Exception, code: int) -> NoReturn:
    message = Text.assemble(("error: ", "bold red"), _bounded(printable(error, lines=True)))
    if os.environ.get("WORLD_SIZE", "1") != "1" and (rank := os.environ.get("RANK")):
        message = Text(f"rank {printable(rank)}: ") + message
        with contextlib.suppress(OSError):  # the error still appears below
            _tell_torchrun(str(error))
    SafeConsole(stderr=True, soft_wrap=True).print(message)
    raise SystemExit(code)


def _bounded(message: str) -> str:
    """Return a message without its middle if it is longer than anybody would read."""
    left_out = len(message) - 2 * MOST_OF_ERROR
    if left_out <= 0:
        return message
    start, end = message[:MOST_OF_ERROR], message[-MOST_OF_ERROR:]
    return f"{start} [... {left_out:,} characters ...] {end}"


def _stop_usage(error: Any) -> NoReturn:  # noqa: ANN401  its class has another name in each typer
    """Show how the command is used and what was wrong, and end with the exit code for that."""
    if type(error).__name__ != "NoArgsIsHelpError":  # which has printed the help
        console = SafeConsole(stderr=True, soft_wrap=True)
        if error.ctx is not None:
            console.print(error.ctx.get_usage())
            console.print(Text(f"Try '{error.ctx.command_path} --help' for help.", "dim"))
        _stop(ValueError(error.format_message()), BAD_INPUT)
    raise SystemExit(BAD_INPUT)


def _tell_torchrun(reason: str) -> None:
    """Leave the reason where torchrun looks for it, who then shows it in its own account."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        told = {"extraInfo": {"py_callstack": reason, "timestamp": str(int(time.time()))}}
        Path(file).write_text(json.dumps({"message": {"message": reason, **told}}), "utf-8")
