"""What the end of a process means, in words for whoever wrote the code that it ran."""

import contextlib
import os
import re
import signal
import sysconfig
import time
from pathlib import Path
from typing import NamedTuple

from reference.errors import printable

FAULT, CUT_OFF, FULL = 94, 95, 96
"""Exit statuses of a worker: the kit failed; its socket failed; the memory is used up."""
LONGEST_LINE = 2**22
"""Bytes of one message of a worker."""

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


def why(status: int, *, trace: str | None, printed: str) -> str:
    """Say how a process ended: by its exit status, or by a signal as a negative number.

    There is no trace of a process in another language.
    """
    if status >= 0:
        how = "" if trace is None else f" (os._exit({status})?)"
        return f"the process ended with exit status {status}{how}{_last(printed)}"
    try:
        ended = signal.Signals(-status)
    except ValueError:
        return f"the process was ended by signal {-status}"
    said = FAULTS.get(ended.name, f"the process was ended by the signal {ended.name}")
    if ended.name == "SIGABRT":
        said += _last(printed)
    at = place(trace or "")
    return f"{said}, at {at}" if at else said


def _last(printed: str) -> str:
    line = last_line(printed)
    return f"; it last printed: {line}" if line else ""


def out_of_memory(memory: int) -> str:
    """Return the cause if the memory is used up."""
    return (
        f"it used up the memory, {memory / 2**20:.0f} MiB beyond what the kit takes: "
        "--memory gives more"
    )


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


ROUNDS = 200
"""How often processes that may be starting others are looked for again."""


ENOUGH = 2
"""How often none must be seen."""


def kill_group(pid: int) -> None:
    """Kill a process, which may not lead its group yet, and what is in its group."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def kill_below(pid: int) -> None:
    """Kill all processes that this one started, and that those started, to the last.

    One whose parent has just ended may belong to nobody for a moment: so none must be seen twice.
    """
    empty = 0
    for _ in range(ROUNDS):
        below = _below(pid)
        empty = 0 if below else empty + 1
        if empty == ENOUGH:
            return
        for each in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.005)


def is_ending(pid: int) -> bool:
    """Return whether a process has ended, and its end has not been collected or told yet."""
    if not Path("/proc/self/stat").exists():
        return False  # this system cannot tell
    try:
        return _state(Path(f"/proc/{pid}/stat"))[0] in {b"Z", b"X"}
    except (OSError, ValueError):
        return True


def _state(stat: Path) -> tuple[bytes, int]:
    """Read the state of a process and the id of its parent.

    Raises: OSError, ValueError if it has ended meanwhile.
    """
    # 12 (any name) S 1 ...
    state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
    return state, int(parent)


def _below(root: int) -> list[int]:
    """List the living processes below one; none where there is no /proc to list them."""
    children: dict[int, list[int]] = {}
    ended = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = _state(entry)
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        pid = int(entry.parent.name)
        children.setdefault(parent, []).append(pid)
        if state == b"Z":
            ended.add(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return [pid for pid in found[1:] if pid not in ended]
