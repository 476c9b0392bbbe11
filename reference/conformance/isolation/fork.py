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
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from reference.conformance.process_ends import kill_below, kill_group

READS = 4096
DESCRIPTORS = 3
"""A copy's socket, output and trace."""

DIE_WITH_PARENT, ADOPT_ORPHANS = 1, 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER, of Linux."""


def serve(descriptor: int, folder: str, worker: str) -> None:
    """Make copies until nobody asks for them any more, and remove the folder of what they wrote.

    `worker` names the module whose `work` a copy does, and whose `warm` comes before the copies.
    """
    control = socket.socket(fileno=descriptor)
    dead, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    _control_process(ADOPT_ORPHANS, 1)
    if sys.platform == "linux":  # elsewhere a copy of what is loaded may not work: it loads anew
        import_module(worker).warm()
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
                _live(server, worker, *descriptors)
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


def _live(server: int, worker: str, channel: int, output: int, trace: int) -> NoReturn:
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
        import_module(worker).work(channel)
    except BaseException:  # noqa: BLE001  the process ends here, come what may
        traceback.print_exc()
    finally:
        os._exit(1)


def _control_process(option: int, value: int) -> None:
    """Call prctl, where there is one."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
