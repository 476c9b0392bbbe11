"""Watch whether a call into the subject's code returns in two processes.

A copy of the process tells its id through memory that both share. So the kit waits for the copies
that this call made and for no other child: it reaps nothing that the subject or the caller may
wait for. Shared memory needs no descriptor, which a subject could close or write to.
"""

import contextlib
import mmap
import os
import time
from functools import cache

ESCAPED = 97
"""Exit status of a copy of the process that returned from the subject's code."""
PATIENCE = 2.0
"""Seconds to wait for the copies that one call made."""
SLOTS = 1024
"""Copies that can be told apart at a time."""
LOOK = 0.005
"""Seconds between two looks at the copies."""


class Copies:
    """The copies that one process makes of itself."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.made = 0
        self.slot: int | None = None
        """The slot of the copy that this process is, or descends from."""
        self._memory = memoryview(mmap.mmap(-1, 2 * SLOTS * 4)).cast("i")
        self._pids, self.escaped = self._memory[:SLOTS], self._memory[SLOTS:]
        """The ids of the copies by slot, and of those that have escaped; 0 if there is none."""

    def announce(self) -> None:
        """Set a slot aside for the copy that is about to be made."""
        if self.slot is None:
            slot = self.made % SLOTS
            self._pids[slot] = self.escaped[slot] = 0
            self.made += 1

    def begin(self) -> None:
        """Write down the id of this process, which is a new copy."""
        if self.slot is None:  # otherwise it is a copy of a copy
            self.slot = (self.made - 1) % SLOTS
            self._pids[self.slot] = os.getpid()

    def escape(self) -> None:
        """Write down that this process, a copy, has returned from the subject's code."""
        if self.slot is not None:
            self.escaped[self.slot] = os.getpid()

    def over(self, slot: int) -> bool:
        """Return whether a copy has ended, and leave it to whoever waits for it."""
        pid = self._pids[slot]
        if not pid:
            return False
        try:
            if hasattr(os, "waitid"):
                ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                return ended is not None
            os.kill(pid, 0)  # older Pythons on macOS: here a copy is over when it is reaped
        except (ChildProcessError, ProcessLookupError):
            return True
        return False


_copies: Copies | None = None
"""The copies of this process, or, in a copy, those of the process that it was copied from."""


def _announce() -> None:
    if _copies is not None:
        _copies.announce()


def _begin() -> None:
    if _copies is not None:
        _copies.begin()


@cache
def _register() -> None:
    os.register_at_fork(before=_announce, after_in_child=_begin)


def _own_copies() -> Copies | None:
    """Return what watches the copies of this very process; None on a system without forks."""
    global _copies  # noqa: PLW0603  the hooks can be registered only once, and never removed
    if not hasattr(os, "register_at_fork"):
        return None
    if _copies is None or _copies.owner != os.getpid():
        _copies = Copies()
    _register()
    return _copies


class Forks:
    """The copies that are made of the process from now on."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._copies = _own_copies()
        self._first = 0 if self._copies is None else self._copies.made

    def end_copy(self) -> None:
        """End the process if it is a copy."""
        if os.getpid() != self._pid:
            if self._copies is not None:
                self._copies.escape()
            os._exit(ESCAPED)

    def escaped(self) -> bool:
        """Wait for the copies; return whether one has returned from the subject's code.

        Only such a copy is reaped.
        """
        if self._copies is None or self._copies.made == self._first:
            return False
        copies, made = self._copies, self._copies.made
        slots = [number % SLOTS for number in range(max(self._first, made - SLOTS), made)]
        until = time.monotonic() + PATIENCE
        while True:
            over = all(copies.over(slot) for slot in slots)  # asked first: a copy ends last of all
            escaped = [copies.escaped[slot] for slot in slots if copies.escaped[slot]]
            if escaped or over or time.monotonic() > until:
                break
            time.sleep(LOOK)
        for pid in escaped:
            with contextlib.suppress(ChildProcessError):  # a copy of a copy, or one reaped already
                os.waitpid(pid, 0)
        return bool(escaped)
