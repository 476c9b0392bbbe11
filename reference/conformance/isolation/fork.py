"""The process that is copied for each opening of a subject, so that an end of one costs little.

It has torch and the kit imported, runs no subject's code, and collects what a copy leaves behind.
`server.py` starts it, as `python -c` with a socket; three descriptors on that socket ask for a
copy: the copy's own socket, where it prints to, and where a fatal error is traced.
"""

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn

READS = 4096
DESCRIPTORS = 3
"""A copy's socket, output and trace."""

DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER, of Linux."""

ROUNDS = 200
"""How often processes that may be starting others are looked for again."""
ENOUGH = 2
"""How often none must be seen."""


def serve(descriptor: int, folder: str) -> None:
    """Make copies until nobody asks for them any more, and remove the folder of what they wrote."""
    control = socket.socket(fileno=descriptor)
    dead, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    _control_process(ADOPT_ORPHANS, 1)
    if sys.platform == "linux":  # elsewhere a copy of what is loaded may not work: it loads anew
        import_module("reference.conformance.isolation.worker").warm()
        gc.collect()
        gc.freeze()
    server, copies = os.getpid(), set[int]()
    try:
        while True:
            descriptors = _wait(control, dead, copies)
            if not descriptors:
                break
            pid = os.fork()
            if pid == 0:
                for own in (control.detach(), dead, alarm):
                    os.close(own)
                _live(server, *descriptors)
            copies.add(pid)
            for theirs in descriptors:
                os.close(theirs)
            say(control, born=pid)
    except (BrokenPipeError, ConnectionResetError):  # who asked has gone
        pass
    finally:
        for pid in copies:
            kill_group(pid)
        kill_below(server)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(control: socket.socket, dead: int, copies: set[int]) -> list[int]:
    """Give the descriptors for the next copy, or none at the end; tell meanwhile who has died."""
    while True:
        ready, _, _ = select.select([control.fileno(), dead], [], [])
        if dead in ready:
            os.read(dead, READS)
            for pid, status in _collected():
                copies.discard(pid)
                say(control, died=[pid, status])
        if control.fileno() in ready:
            _, descriptors, _, _ = socket.recv_fds(control, 1, DESCRIPTORS)
            return descriptors


def say(to: socket.socket, **message: object) -> None:
    """Send a line."""
    to.sendall(json.dumps(message).encode() + b"\n")


def _collected() -> Iterator[tuple[int, int]]:
    """Collect the processes that have ended: exit statuses, or signals as negative numbers."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _live(server: int, channel: int, output: int, trace: int) -> NoReturn:
    """Be the copy: a process of its own, in which a subject is opened and judged."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _control_process(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
        for descriptor in (channel, trace):
            os.set_inheritable(descriptor, False)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        with contextlib.suppress(OSError):  # where memory is short, this one goes first
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        faulthandler.enable(trace)
        sys.argv[1:] = []
        import_module("reference.conformance.isolation.worker").work(channel)
    except BaseException:  # noqa: BLE001  the process ends here, come what may
        traceback.print_exc()
    finally:
        os._exit(1)


def _control_process(option: int, value: int) -> None:
    """Call prctl, where there is one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


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
