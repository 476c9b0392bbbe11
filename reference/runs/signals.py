"""Ctrl-C, or a system that wants its machine back: a run then stops between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run was asked to stop, and by what signal."""

    signal: int = 0
    """Its number; 0 until one comes."""


@contextmanager
def listening(*, patient: bool = False) -> Iterator[Stop]:
    """Note the first Ctrl-C or SIGTERM, instead of breaking off in the midst of a step.

    A second Ctrl-C breaks off, unless `patient`.

    Raises: KeyboardInterrupt at the second Ctrl-C.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal and number == signal.SIGINT and not patient:
            signal.default_int_handler(number, frame)
        stop.signal = stop.signal or number

    if threading.current_thread() is not threading.main_thread():  # no other may listen
        yield stop
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


UNWRITTEN = 1000
"""In place of a signal's number: what ended a run is that its log could not be written."""
