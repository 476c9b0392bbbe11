"""What commands write to standard output: text and bars, or one JSON object.

Everything that a command shows goes through `SafeConsole`, `write` or `print_json`, so that no
text can style, break or steer the terminal, whoever wrote it.
"""

import json
import sys

from reference.terminal.console import SafeConsole, drop, write


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
            drop(sys.stdout)
            self.quiet = True


def print_json(**fields: object) -> None:
    """Print one object."""
    text = json.dumps(fields, indent=2, allow_nan=False)
    write(text.replace("\x7f", "\\u007f") + "\n")  # the one control character that JSON leaves
