"""Calls, each in its own process, a few at a time: one that hangs or crashes ends alone."""

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

LIMIT = 400.0
"""Seconds for one call: one that takes longer is taken for a hang."""


def in_children(
    calls: Sequence[Callable[[], Any]], workers: int, limit: float = LIMIT
) -> Iterator[tuple[int, Any]]:
    """Make each call in its own process; yield its number and its answer as they come.

    The answer is TimeoutError() if the call takes longer than the limit, EOFError() if its process
    ends without one, and a RuntimeError with the traceback if the call itself raises.
    """
    context = get_context("fork")
    waiting = list(enumerate(calls))[::-1]
    running: dict[Connection, tuple[ForkProcess, float, int]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number, call = waiting.pop()
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(call, theirs))
            process.start()
            theirs.close()
            running[mine] = process, time.monotonic() + limit, number
        ready = set(wait(list(running), timeout=0.2))
        for mine, (process, until, number) in list(running.items()):
            if mine not in ready and time.monotonic() <= until:
                continue
            try:
                answer = mine.recv() if mine in ready else TimeoutError()
            except EOFError as error:
                answer = error
            process.kill()
            process.join()
            mine.close()
            del running[mine]
            yield number, answer


def child(call: Callable[[], object], to: Connection) -> None:
    """Make one call, whose output nobody sees, and send its answer."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    try:
        answer = call()
    except Exception:  # noqa: BLE001  whatever it is, it is our own mistake
        to.send(RuntimeError(traceback.format_exc()))
    else:
        to.send(answer)
