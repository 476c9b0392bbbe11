"""The processes of a check: one that is copied, and one copy at a time that holds a subject."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from enum import Enum, auto
from typing import IO

from reference.conformance.isolation.lines import KEPT, Lines, Tail, hear
from reference.conformance.process_ends import LONGEST_LINE, is_ending, kill_below, kill_group
from reference.errors import WorkerError

WORKER = "reference.conformance.isolation.worker"
"""What a copy runs: named, as this process need not import it."""

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from reference.conformance.isolation.fork import serve; "
    f"serve(int(sys.argv[1]), sys.argv[3], {WORKER!r})"
)
"""What is imported is what this process would import, whatever folder it stands in."""

PATIENCE = 300.0
"""Seconds for torch to be imported, on a slow disk."""
GRACE = 2.0
"""Seconds from one sign of an end to the next."""
LONGEST_TRACE = 2**16


def can_copy() -> bool:
    """Return whether this system can copy a process and hand over descriptors; Windows cannot."""
    return hasattr(os, "fork") and hasattr(socket, "send_fds")


class End(Enum):
    """Why nothing more comes from a copy."""

    DIED = auto()
    SILENT = auto()
    """It lives, and the time is over."""
    CUT_OFF = auto()
    """It lives, and its socket is closed or flooded."""
    ORPHANED = auto()
    """The process that it is a copy of has ended."""


class Copy:
    """A process that holds a subject: what it tells, prints and leaves behind."""

    def __init__(self, channel: socket.socket, output: int, trace: IO[bytes]) -> None:
        self.pid = 0
        self.status: int | None = None
        """How it ended: an exit status, or a signal as a negative number."""
        self.channel = channel
        self.orphaned = False
        """Whether the process that it is a copy of has ended."""
        self.told, self.printed = Lines(channel.fileno()), Tail(output)
        self._trace = trace

    def tell(self, job: object) -> None:
        """Send what there is to do."""
        self.channel.setblocking(True)
        with contextlib.suppress(OSError):  # it has ended: that will be heard of
            self.channel.sendall(json.dumps(job).encode() + b"\n")
        self.channel.setblocking(False)

    def read_rest(self) -> None:
        """Read what it left, now that it has ended."""
        self.told.read_rest()
        self.printed.read_rest()

    @property
    def trace(self) -> str:
        """Where its threads were, if a fatal error was traced."""
        self._trace.seek(0)
        return self._trace.read(LONGEST_TRACE).decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Let go of what it could be heard by."""
        self.channel.close()
        os.close(self.printed.descriptor)
        self._trace.close()


class Server:
    """The process that is copied: started when first needed, and again where it is ended.

    It can serve many runs, one after the other: what takes seconds is its start.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folder: str | None = None
        """Where Hypothesis writes, instead of the folder that someone works in."""
        self._stack = contextlib.ExitStack()
        """What is to be closed with the process."""
        self._served = False
        self._copy: Copy | None = None

    def __enter__(self) -> "Server":  # noqa: PYI034  beartype cannot read Self here
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process without waiting for it: while it imports torch, so can this one.

        On a system that cannot copy a process there is nothing to start.
        """
        if self._process is not None or not can_copy():
            return
        ours, theirs = socket.socketpair()
        self._control, self._served = self._stack.enter_context(ours), False
        self._heard = Lines(ours.fileno())
        self._log = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  it is entered
        self._folder = tempfile.mkdtemp(prefix="bigram-check-")
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        path = json.dumps([str(entry) for entry in sys.path])
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  this very package
                [sys.executable, "-P", "-c", START, str(theirs.fileno()), path, self._folder],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                    "HYPOTHESIS_STORAGE_DIRECTORY": self._folder,
                },
            )

    @contextlib.contextmanager
    def copy(self) -> Iterator[Copy]:
        """Make a copy; at the end kill it, and all that it has started.

        Raises: WorkerError where there can be none; RuntimeError where there is one already.
        """
        if self._copy is not None:
            raise RuntimeError("this server has a copy at work: it serves one run at a time")
        try:
            made = self._made()
        except WorkerError:
            served = self._served
            self.close()
            if not served:
                raise
            made = self._made()  # it was ended after the last copy
        self._copy = made
        try:
            yield made
        finally:
            self._copy = None
            self._end(made)

    def _made(self) -> Copy:
        if not can_copy():
            raise WorkerError("this system cannot copy a process")
        self.start()
        ours, theirs = socket.socketpair()
        output, printing = os.pipe()
        trace = tempfile.TemporaryFile()  # noqa: SIM115  closed with the copy
        copy = Copy(ours, output, trace)
        try:
            copy.pid = self._asked_for([theirs.fileno(), printing, trace.fileno()])
        except BaseException:
            copy.close()
            raise
        finally:
            theirs.close()
            os.close(printing)
        self._served = True
        return copy

    def _asked_for(self, descriptors: list[int]) -> int:
        """Ask for a copy that has these, and wait for its id."""
        control = self._control
        assert control is not None  # noqa: S101  it has been started
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then nothing comes back
            socket.send_fds(control, [b"+"], descriptors)
        until = time.monotonic() + PATIENCE
        while self._heard.closed is None and time.monotonic() < until:
            while (line := self._heard.take()) is not None:
                born = json.loads(line).get("born")
                if born is not None:
                    return int(born)
            hear(self._heard, seconds=until - time.monotonic())
        self._log.seek(0)
        said = self._log.read()[-KEPT:].decode("utf-8", "backslashreplace").split("\n")
        last = next((one for one in reversed(said) if one.strip()), "it says nothing")
        raise WorkerError(f"could not start the worker process: {last}")

    def listen(self, copy: Copy, seconds: float) -> bytes | End:
        """Give the next line that a copy tells, or why there is none, after so long at most."""
        until, late = time.monotonic() + seconds, False
        while True:
            line = copy.told.take()
            if line is not None:
                return line
            if copy.status is not None:
                return End.DIED
            if copy.orphaned:
                return End.ORPHANED
            if len(copy.told) > LONGEST_LINE:
                return End.CUT_OFF
            now = time.monotonic()
            closed = copy.told.closed
            if closed is not None and now > closed + GRACE:
                if not is_ending(copy.pid):
                    return End.CUT_OFF
                closed = copy.told.closed = now  # it is the server that takes its time to tell
            if late:
                return End.SILENT
            late = now >= until  # then a last look: it may be this process that was not awake
            soonest = until if closed is None else min(until, closed + GRACE)
            self._hear(copy, soonest - now)

    def _hear(self, copy: Copy, seconds: float) -> None:
        """Take in what comes within so many seconds."""
        if self._control is None:
            copy.orphaned = True
            return
        hear(copy.told, copy.printed, self._heard, seconds=seconds)
        if self._heard.closed is not None:  # the server has been ended, and its copy ends with it
            kill_group(copy.pid)
            copy.read_rest()
            copy.orphaned = True
            self.close()
            return
        while (line := self._heard.take()) is not None:
            pid, status = json.loads(line).get("died", (0, 0))
            if pid == copy.pid:
                copy.read_rest()
                copy.status = status

    def where(self, copy: Copy) -> str:
        """Have a copy traced, which ends it; give the trace."""
        if copy.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(copy.pid, signal.SIGABRT)
            self._wait(copy)
        return copy.trace

    def _wait(self, copy: Copy) -> None:
        until = time.monotonic() + GRACE
        while copy.status is None and not copy.orphaned and time.monotonic() < until:
            self._hear(copy, until - time.monotonic())

    def _end(self, copy: Copy) -> None:
        if copy.status is None or sys.platform != "linux":
            kill_group(copy.pid)
        self._wait(copy)
        if copy.status is None:  # the process that would tell of its end is stopped, or gone
            self.close()
        elif self._process is not None:
            kill_below(self._process.pid)
        copy.close()

    def close(self) -> None:
        """End the process, and all below it."""
        process, self._process, self._control = self._process, None, None
        if process is not None:
            kill_below(process.pid)
            kill_group(process.pid)
            process.wait()
        self._stack.close()
