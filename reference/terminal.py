"""How a command meets the terminal: exit codes, errors in one line, readers that go away."""

import errno
import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from reference.errors import (
    BigramError,
    DownloadError,
    LostRankError,
    NonFiniteLossError,
    NotWrittenError,
    OutputError,
    TwinError,
)

FAILED, BAD_INPUT, UNFINISHED, INTERRUPTED = 1, 2, 3, 130
CLOSED, TERMINATED = 141, 143
"""As the shell has it for a command whose reader has gone, and for one that got SIGTERM."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What a disk says that is full, or broken."""


def run(command: Callable[[Sequence[str] | None], object], arguments: Sequence[str] | None) -> None:
    """Run a command, and turn what goes wrong into one line and an exit code."""
    # A stream may be closed from the start: then what is written to it has nowhere to go.
    if sys.stdout is None or sys.stderr is None:
        nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open to the end
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where ASCII is all there is
    try:
        command(arguments)
    except BigramError as error:
        _stop(error, UNFINISHED if _is_unfinished(error) else BAD_INPUT)
    except OSError as error:  # a disk that is full, say
        _stop(error, UNFINISHED)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        reason = f"there is not enough memory: {str(error).splitlines()[0]}"
        _stop(MemoryError(reason), UNFINISHED)


def exit_code(ended_by: int) -> int:
    """Give the exit code of a run that a signal has ended early, which is 0 where none has."""
    return {0: 0, signal.SIGTERM: TERMINATED}.get(ended_by, INTERRUPTED)


def _is_unfinished(error: BigramError) -> bool:
    """Tell a right command that could not be done from a wrong one."""
    if isinstance(error, OutputError):
        return getattr(error.__cause__, "errno", None) in FULL
    unfinished = (DownloadError, LostRankError, NonFiniteLossError, NotWrittenError, TwinError)
    return isinstance(error, unfinished)


def _stop(error: Exception, code: int) -> NoReturn:
    message = Text.assemble(("error: ", "bold red"), str(error))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        message = Text(f"rank {os.environ.get('RANK')}: ") + message
        _tell_torchrun(str(error))
    Console(stderr=True, soft_wrap=True).print(message)
    raise SystemExit(code)


def _tell_torchrun(reason: str) -> None:
    """Leave the reason where torchrun looks for it, who then shows it in its own account."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        told = {"extraInfo": {"py_callstack": reason, "timestamp": str(int(time.time()))}}
        Path(file).write_text(json.dumps({"message": {"message": reason, **told}}), "utf-8")


class OutputConsole(Console):
    """A console whose reader may go, as `head` does, without the work being lost."""

    def __init__(self, *, as_json: bool, stops: bool) -> None:
        # With --json, standard output is for the object alone.
        quiet = as_json and not sys.stderr.isatty()
        super().__init__(stderr=as_json, quiet=quiet, highlight=False)
        self.stops = stops

    def on_broken_pipe(self) -> None:
        """Stop, where there was only something to show, or else work on in silence."""
        _drop_output()
        if self.stops:
            raise SystemExit(CLOSED)
        self.quiet = True


def _drop_output() -> None:
    """Send what is still to be written nowhere, so that Python does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(**fields: object) -> None:
    """Print one object."""
    write(json.dumps(fields, indent=2, allow_nan=False) + "\n")


def write(text: str) -> None:
    """Write to standard output now; where its reader has gone, end the command."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(CLOSED) from None
