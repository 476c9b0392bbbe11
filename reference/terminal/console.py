"""A console that shows text as text, whoever wrote it, and what writes plain text."""

import os
import re
import sys
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.protocol import rich_cast
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

from reference.errors import printable

CLOSED = 141
"""The exit code if nobody reads the output any more, as the shell gives it for SIGPIPE."""


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters other than tab and line end."""


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
            drop(sys.stdout)
            raise SystemExit(CLOSED)
        self._be_silent()

    def _be_silent(self) -> None:
        drop(sys.stderr)
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


def drop(stream: TextIO) -> None:
    """Send what is still to be written nowhere, so that Python does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


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
        drop(sys.stdout)
        raise SystemExit(CLOSED) from None
