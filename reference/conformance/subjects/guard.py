"""A call into the subject's code, from which only an answer or one of two exceptions comes back."""

import inspect
from collections.abc import Callable
from typing import TypeVar

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects import switches
from reference.conformance.subjects.fork_watch import Forks
from reference.errors import is_out_of_memory
from reference.spec.expect import shown, type_name
from reference.spec.subject import SubjectError

T = TypeVar("T")

LONGEST = 300
"""Characters of the subject's own error message."""


def guarded(operation: str, action: Callable[[], T]) -> T:
    """Call the subject's code, and read what it returns: both may fail in any way.

    What torch was switched to in the meantime is put back, gradients excepted: generate.pure.mode
    looks at those.

    Raises: SubjectError if it raises; SubjectCrash if it exits, runs out of memory, raises
        something that ends programs, or returns in two processes. A KeyboardInterrupt is let
        through: it may be the user's.
    """
    forks = Forks()
    before = switches.read(switches.ARITHMETIC)
    try:
        answer = action()
    except (SubjectError, SubjectCrash, KeyboardInterrupt):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise SubjectCrash(f"{operation} ran out of memory") from error
        raise SubjectError(operation, f"raised {message_of(error)}", error) from error
    except SystemExit as error:
        raise SubjectCrash(f"{operation} called sys.exit({shown(error.code)})") from error
    except BaseException as error:
        raise SubjectCrash(ends_program(operation, error)) from error
    finally:
        forks.end_copy()
        switches.put_back(switches.ARITHMETIC, before)
    if forks.escaped():
        raise SubjectCrash(f"{operation} forked, and came back in two processes")
    return answer


def parameters_of(function: object) -> frozenset[str]:
    """Return the names of a function's parameters, or none if it does not tell."""
    try:
        return frozenset(inspect.signature(function).parameters)  # type: ignore[arg-type]  # theirs
    except Exception:  # noqa: BLE001  a stranger's function may say anything of itself
        return frozenset()


def ends_program(operation: str, error: BaseException) -> str:
    """Say that the subject's code raised an exception that is for ending a program."""
    return f"{operation} raised {message_of(error)}, which is for ending a program"


def message_of(error: BaseException) -> str:
    """Return an exception's type and the first line of its message, which may itself fail."""
    name = type_name(error)
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001  its __str__ is the subject's own
        return f"{name}, whose message cannot be read"
    return f"{name}: {lines[0][:LONGEST]}" if lines else name
