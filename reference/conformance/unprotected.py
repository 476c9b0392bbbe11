"""Run the subject's code in the kit's own process, on a system that cannot copy a process."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from reference.conformance.errors import SubjectCrash


def ends_program(what: str, error: BaseException) -> str:
    """Return the cause of a crash in which the subject raised what is not an Exception."""
    return f"{what} raised {type(error).__name__}, which is for ending a program"


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Keep what the subject's code raises, and what it does to the process, from ending the check.

    Raises: SubjectCrash if it raises what is not an Exception; KeyboardInterrupt at a Ctrl-C.
    """
    with _restored(), _noted_interrupts() as interrupts:
        try:
            yield
        except (Exception, SubjectCrash):
            raise
        except BaseException as error:
            if interrupts:
                raise
            raise SubjectCrash(ends_program(what, error)) from error


@contextmanager
def _restored() -> Iterator[None]:
    """Restore the working directory, the output streams and the recursion limit."""
    home, depth, streams = os.getcwd(), sys.getrecursionlimit(), (sys.stdout, sys.stderr)  # noqa: PTH109  as text
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        sys.setrecursionlimit(depth)
        with suppress(OSError):
            os.chdir(home)


@contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """Note each SIGINT on its way to the handler that is in place."""
    noted: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread can set a handler, and only there does a handler raise anything.
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
