"""A call into the subject's code, from which only an answer or one of two exceptions comes back."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from reference.conformance.errors import SubjectCrash
from reference.spec.subject import SubjectError

T = TypeVar("T")

ESCAPED = 97
"""Exit status of a second process that came back from the subject's code."""
PATIENCE = 2.0
"""Seconds for such a process to be noticed."""
LONGEST = 300
"""Characters of the subject's own error message."""

_forks: list[int] = []


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_parent=lambda: _forks.append(1))


def guarded(operation: str, action: Callable[[], T]) -> T:
    """Call the subject's code.

    Raises: SubjectError where it raises; SubjectCrash where it exits, runs out of memory or
        comes back in two processes.
    """
    _watch_forks()
    _forks.clear()
    me = os.getpid()
    try:
        answer = action()
    except SubjectError:
        raise
    except MemoryError as error:
        raise SubjectCrash(f"{operation} ran out of memory") from error
    except SystemExit as error:
        raise SubjectCrash(f"{operation} called sys.exit({error.code!r})") from error
    except Exception as error:
        if "allocate memory" in str(error) or "not enough memory" in str(error):
            raise SubjectCrash(f"{operation} ran out of memory") from error
        first = (str(error).strip().splitlines() or [""])[0][:LONGEST]
        said = f"raised {type(error).__name__}: {first}".removesuffix(": ")
        raise SubjectError(operation, said, error) from error
    finally:
        if os.getpid() != me:  # this is the copy that the subject made of the process
            os._exit(ESCAPED)
    if _forks and _one_escaped():
        raise SubjectCrash(f"{operation} forked, and came back in two processes")
    return answer


def _one_escaped() -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid and os.waitstatus_to_exitcode(status) == ESCAPED:
            return True
        time.sleep(0.005)
    return False
