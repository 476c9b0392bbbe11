"""What the end of a process means, in words for whoever wrote the code that it ran."""

import re
import signal
import sysconfig
from pathlib import Path
from typing import NamedTuple

from reference.errors import printable

FAULTS = {
    "SIGSEGV": "the process died of a segmentation fault (SIGSEGV)",
    "SIGBUS": "the process died of a bus error (SIGBUS)",
    "SIGFPE": "the process died of an arithmetic error (SIGFPE)",
    "SIGILL": "the process died of an illegal instruction (SIGILL)",
    "SIGABRT": "the process was aborted (SIGABRT)",
    "SIGKILL": "the process was killed (SIGKILL): out of memory?",
}
LONGEST = 200
"""Characters of what was printed last."""

SECTION = re.compile(r"^(Current thread|Thread) .*\(most recent call first\):$", re.MULTILINE)
FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
GUARD = "guarded"
"""The function of the kit's that calls the subject's code."""


class Frame(NamedTuple):
    """A line of a trace."""

    path: str
    line: int
    function: str

    @property
    def is_kit(self) -> bool:
        """Whether it is the kit's, of which the reference itself is no part."""
        return "/reference/conformance/" in self.path or "/reference/spec/" in self.path

    @property
    def is_library(self) -> bool:
        """Whether it is of an installed package, or of Python's own."""
        places = sysconfig.get_paths()
        roots = {places[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        return self.path.startswith(("<", *(f"{root}/" for root in roots)))


def why(status: int, *, trace: str, printed: str) -> str:
    """Say how a process ended: by its exit status, or by a signal as a negative number."""
    if status >= 0:
        return f"the process ended with exit status {status} (os._exit({status})?){_last(printed)}"
    try:
        ended = signal.Signals(-status)
    except ValueError:
        return f"the process was ended by signal {-status}"
    said = FAULTS.get(ended.name, f"the process was ended by the signal {ended.name}")
    if ended.name == "SIGABRT":
        said += _last(printed)
    at = place(trace)
    return f"{said}, at {at}" if at else said


def _last(printed: str) -> str:
    line = last_line(printed)
    return f"; it last printed: {line}" if line else ""


def last_line(printed: str) -> str:
    """Give the last line that is not blank, as far as it can be shown."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return printable(lines[-1][-LONGEST:]) if lines else ""


def place(trace: str) -> str:
    """Give the subject's innermost line in a trace of faulthandler's, or nothing."""
    _, *parts = SECTION.split(trace)
    stacks = [
        (heading.startswith("Current"), [_frame(*found) for found in FRAME.findall(text)])
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    ]
    if not stacks:
        return ""
    # The main thread comes last; code that is no Python's runs in threads without frames.
    frames = next((stack for current, stack in stacks if current and stack), stacks[-1][1])
    guards = [at for at, frame in enumerate(frames) if frame.is_kit and frame.function == GUARD]
    inner = [frame for frame in frames[: guards[0] if guards else None] if not frame.is_kit]
    own = [frame for frame in inner if not frame.is_library] or (inner if guards else [])
    if not own:
        return ""
    return f"{printable(Path(own[0].path).name)}:{own[0].line} in {printable(own[0].function)}"


def _frame(path: str, line: str, function: str) -> Frame:
    return Frame(path, int(line), function)
