"""A call into the subject's code, from which only an answer or one of two exceptions comes back."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from reference.conformance import switches
from reference.conformance.errors import SubjectCrash
from reference.spec.expect import shown, type_name
from reference.spec.subject import SubjectError

T = TypeVar("T")

ESCAPED = 97
"""Exit status of a second process that came back from the subject's code."""
PATIENCE = 2.0
"""Seconds for such a process to be noticed."""
LONGEST = 300
"""Characters of the subject's own error message."""
NO_MEMORY = "not enough memory"
"""What torch's own allocator says, among others."""

_forks: list[int] = []


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_parent=lambda: _forks.append(1))


def guarded(operation: str, action: Callable[[], T]) -> T:
    """Call the subject's code, and read what it returns: both may fail in any way.

    What torch was switched to in the meantime is put back, gradients excepted: generate.pure.mode
    looks at those.

    Raises: SubjectError if it raises; SubjectCrash if it exits, runs out of memory, raises
        something that ends programs, or returns in two processes. A KeyboardInterrupt is let
        through: it may be the user's.
    """
    _watch_forks()
    _forks.clear()
    me = os.getpid()
    before = switches.read(switches.ARITHMETIC)
    try:
        answer = action()
    except (SubjectError, SubjectCrash, KeyboardInterrupt):
        raise
    except Exception as error:
        said = message_of(error)
        if isinstance(error, MemoryError) or "allocate memory" in said or NO_MEMORY in said:
            raise SubjectCrash(f"{operation} ran out of memory") from error
        raise SubjectError(operation, f"raised {said}", error) from error
    except SystemExit as error:
        raise SubjectCrash(f"{operation} called sys.exit({shown(error.code)})") from error
    except BaseException as error:
        said = f"{operation} raised {message_of(error)}, which is for ending a program"
        raise SubjectCrash(said) from error
    finally:
        if os.getpid() != me:  # this is the copy that the subject made of the process
            os._exit(ESCAPED)
        switches.put_back(switches.ARITHMETIC, before)
    if _forks and _one_escaped():
        raise SubjectCrash(f"{operation} forked, and came back in two processes")
    return answer


def message_of(error: BaseException) -> str:
    """Return an exception's type and the first line of its message, which may itself fail."""
    name = type_name(error)
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001  its __str__ is the subject's own
        return f"{name}, whose message cannot be read"
    return f"{name}: {lines[0][:LONGEST]}" if lines else name


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
