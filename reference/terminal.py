"""How a command meets the terminal: exit codes, errors in one line, readers that go away."""

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from reference.errors import BigramError, DownloadError, NonFiniteLossError, TwinError

FAILED, BAD_INPUT, UNFINISHED, INTERRUPTED = 1, 2, 3, 130
CLOSED = 141
"""As the shell has it for a command whose reader has gone."""


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
        unfinished = isinstance(error, (DownloadError, NonFiniteLossError, TwinError))
        _stop(str(error), UNFINISHED if unfinished else BAD_INPUT)
    except OSError as error:  # a disk that is full, say
        _stop(str(error), UNFINISHED)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        _stop(f"there is not enough memory: {str(error).splitlines()[0]}", UNFINISHED)


def _stop(reason: str, code: int) -> NoReturn:
    message = Text.assemble(("error: ", "bold red"), reason)
    Console(stderr=True, soft_wrap=True).print(message)
    raise SystemExit(code)


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
