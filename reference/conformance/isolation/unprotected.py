"""Run the subject's code in the kit's own process, on a system that cannot copy a process."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects.guard import ends_program
from reference.conformance.subjects.switches import CASE, process, restored


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Keep what the subject's code raises, and what it does to the process, from ending the check.

    Raises: SubjectCrash if it raises what is not an Exception; KeyboardInterrupt at a Ctrl-C.
    """
    with restored(CASE, process()), _noted_interrupts() as interrupts:
        try:
            yield
        except (Exception, SubjectCrash):
            raise
        except BaseException as error:
            if interrupts:
                raise
            raise SubjectCrash(ends_program(what, error)) from error


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
