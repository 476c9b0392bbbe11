"""How a command meets the terminal: exit codes, errors in one line, readers that go away.

Everything that a command shows goes through `SafeConsole`, `write` or `print_json`, so that no
text can style, break or steer the terminal, whoever wrote it.
"""

import contextlib
import errno
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, ProgressColumn, Task
from rich.protocol import rich_cast
from rich.segment import Segment
from rich.status import Status
from rich.table import Column
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

FAILED, BAD_INPUT, UNFINISHED, INTERRUPTED = 1, 2, 3, 130
CLOSED, TERMINATED = 141, 143
"""As the shell has it for a command whose reader has gone, and for one that got SIGTERM."""

UNWRITTEN = 1000
"""In place of a signal's number: what ended a run is that its log could not be written."""

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

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and line end."""

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


def escaped(text: Text) -> Text:
    """Return the text with everything escaped that cannot be printed, and its styles in place."""
    pieces = [printable(one, lines=True) for one in text.plain]
    places = [0, *accumulate(map(len, pieces))]
    if places[-1] == len(pieces):
        return text
    made = text.blank_copy("".join(pieces))
    for span in text.spans:
        start, end = (places[max(0, min(at, len(pieces)))] for at in (span.start, span.end))
        made.stylize(span.style, start, end)
    return made


class SafeConsole(Console):
    """A console that shows text as text.

    A string is never markup. What cannot be printed is escaped before lines are broken, and
    whatever is shown in whatever way, no control character but the line end gets through.

    What goes to standard error is a message about the work and never the work itself. If it
    can't be written (the disk is full, or the reader has gone), the command continues without it.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  rich's own
        super().__init__(**settings, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **look: Any) -> Text:  # noqa: ANN401  rich's own
        """Return a string, which rich takes for markup, as text."""
        plain = {"emoji": False, "markup": False, "highlight": False, "highlighter": None}
        return super().render_str(printable(text, lines=True), **{**look, **plain})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object, and text in it escaped."""
        shown = rich_cast(renderable)
        return super().render(escaped(shown) if isinstance(shown, Text) else shown, options)

    def status(self, status: RenderableType, **look: Any) -> Status:  # noqa: ANN401  rich's own
        """Return a line that says what is being done; rich would take a string for markup."""
        return _SafeStatus(_one_line(status), console=self, **look)

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError:
            if not self.stderr:
                raise
            self._be_silent()

    def on_broken_pipe(self) -> None:
        """Continue in silence if the reader of standard error has gone; otherwise stop."""
        if not self.stderr:
            _drop(sys.stdout)
            raise SystemExit(CLOSED)
        self._be_silent()

    def _be_silent(self) -> None:
        _drop(sys.stderr)
        self.quiet = True

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """Return what is written to the terminal: the last place that everything passes."""
        return super()._render_buffer(map(_harmless, buffer))


class _SafeStatus(Status):
    def update(self, status: RenderableType | None = None, **look: Any) -> None:  # noqa: ANN401  as above
        super().update(None if status is None else _one_line(status), **look)


def _one_line(status: RenderableType) -> RenderableType:
    return Text(printable(status)) if isinstance(status, str) else status


def _harmless(segment: Segment) -> Segment:
    """Return the segment without control characters; rich's own commands are left alone."""
    if segment.control or segment.text.isprintable():
        return segment
    return Segment(printable(segment.text, lines=True), segment.style)


class Words(ProgressColumn):
    """Words about a task beside its bar: a format, into which text is put as text."""

    def __init__(self, words: str) -> None:
        super().__init__(Column(no_wrap=True))
        self.words = words

    def render(self, task: Task) -> Text:
        """Return the words, in one line."""
        return Text(printable(self.words.format(task=task)))


def bar(console: Console, *columns: ProgressColumn, transient: bool = True) -> Progress:
    """Return a progress bar of these columns, which shows only where there is a terminal."""
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)


class OutputConsole(SafeConsole):
    """A console whose reader may go, as `head` does, without the work being lost."""

    def __init__(self, *, as_json: bool, stops: bool) -> None:
        # With --json, standard output is for the object alone.
        quiet = as_json and not sys.stderr.isatty()
        super().__init__(stderr=as_json, quiet=quiet)
        self.stops = stops

    def on_broken_pipe(self) -> None:
        """Stop if there was only something to show; otherwise continue in silence."""
        if self.stops or self.stderr:
            super().on_broken_pipe()
        else:
            _drop(sys.stdout)
            self.quiet = True


def _drop(stream: TextIO) -> None:
    """Send what is still to be written nowhere, so that Python does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def print_json(**fields: object) -> None:
    """Print one object."""
    text = json.dumps(fields, indent=2, allow_nan=False)
    write(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that JSON leaves


def write(text: str) -> None:
    """Write to standard output now; if its reader has gone, end the command.

    On a terminal, control characters other than tab and line end are escaped. A file or a pipe
    gets them as they are.
    """
    if sys.stdout.isatty():
        text = CONTROL.sub(lambda found: printable(found[0]), text)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        raise SystemExit(CLOSED) from None
