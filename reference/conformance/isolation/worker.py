"""What a copy of the kit's process does: open a subject, judge it, and tell how it went.

One line of JSON for each step. Whoever listens (`run.py`) knows by the steps that were told
where the subject was when it ended the process, or when it is heard of no more.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch

from reference.conformance.errors import SubjectCrash
from reference.conformance.pipe.piped import PipeSubject
from reference.conformance.process_ends import CUT_OFF, FAULT, FULL, LONGEST_LINE, out_of_memory
from reference.conformance.runner import Plan, blank, isolated_streams, notes_of, run
from reference.conformance.subjects.fork_watch import ESCAPED
from reference.conformance.subjects.guard import ends_program, guarded
from reference.conformance.subjects.switches import CASE, process, restored
from reference.conformance.target import Opened, Target, open_target
from reference.conformance.verdicts import CUT_SHORT, RAN, Result, Verdict
from reference.errors import BigramError
from reference.spec.catalogue import catalogue
from reference.spec.clause import Clause
from reference.spec.subject import SubjectError

LEAST = 2**24
"""Bytes: with less to be had the memory is used up, whatever the kit stumbled over then."""

FIELDS = ("cause", "expected", "seen", "case", "code", "seconds")
"""Fields of a result that are sent beside its clause and its verdict."""

LONGEST_TEXT, LONGEST_LIST = 2**12, 50
"""Characters of a text, and items of a list, in a message that would be too long otherwise."""


class Teller:
    """The line to the kit. A copy that a subject makes of the process has no say on it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self._written = json.JSONEncoder().encode  # whatever becomes of json.dumps

    def __call__(self, **message: object) -> None:
        """Send one step; end the process if the kit's own socket fails."""
        if os.getpid() != self._pid:
            os._exit(ESCAPED)
        line = self._written(message)
        if len(line) >= LONGEST_LINE:
            line = self._written({name: shortened(value) for name, value in message.items()})
        try:
            self._channel.sendall(line.encode() + b"\n")
        except OSError:
            os._exit(CUT_OFF)


def shortened(value: object) -> object:
    """Return what can be sent of a value that is too long: the beginnings of texts and lists.

    A case is sent whole or not at all: its beginning would be a different case.
    """
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}... ({len(value) - LONGEST_TEXT:,} more characters)"
    if isinstance(value, list):
        return [shortened(one) for one in value[:LONGEST_LIST]]
    return None if isinstance(value, dict) else value


def warm() -> None:
    """Have torch import what it imports late, once and not in each copy."""
    with isolated_streams():
        pass


def work(channel: int) -> NoReturn:
    """Do the job that comes through a socket, and end the process without the subject's say."""
    status = FAULT
    try:
        line = socket.socket(fileno=channel)
        tell = Teller(line)
        torch.set_num_threads(1)  # small tensors, and processes beside this one
        tell(ready=True)
        with line.makefile("rb") as received:
            job = json.loads(received.readline())
        note = _limit_memory(job["memory"])
        _judge(job, tell, note)
        status = 0
    except MemoryError:
        status = FULL
    except BaseException:  # noqa: BLE001  what is printed here is shown as the kit's own fault
        if _is_full():
            status = FULL
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(status)


def _judge(job: dict[str, Any], tell: Callable[..., None], note: list[str]) -> None:
    os.chdir(job["home"])
    sys.path[:] = job["path"]
    target = Target(**{**job["target"], "define": tuple(job["target"]["define"])})
    opened = _open(target, job["seconds"], tell)
    if opened is None:
        return
    subject, notes = opened
    tell(opened=[*notes, *note])
    try:
        _run(job, subject, tell)
    finally:
        if isinstance(subject, PipeSubject):
            subject.pool.close()


def _run(job: dict[str, Any], subject: Opened, tell: Callable[..., None]) -> None:
    by_id = {clause.id: clause for clause in catalogue(None)}
    plan = Plan(clauses=tuple(by_id[name] for name in job["clauses"]), **job["plan"])
    done = {
        name: blank(by_id[name], Verdict(verdict), cause=cause)
        for name, (verdict, cause) in job["done"].items()
    }
    ask, home = job["notes"], Path.cwd()
    current: list[Clause] = []

    def started(clause: Clause) -> None:
        current[:] = [clause]
        # Undo what the last clause may have left, and give this one its time.
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(OSError):
            os.chdir(home)
        if isinstance(subject, PipeSubject):
            subject.pool.give(job["seconds"])
        tell(start=clause.id)

    def found(result: Result) -> None:
        tell(result=result.id, settled=False, verdict=result.verdict, **_fields(result))

    try:
        for result in run(subject, plan, done=done, started=started, found=found):
            _tell_result(result, tell, job["memory"])
            if result.verdict in CUT_SHORT:  # who knows what is left: begin afresh
                return
            if ask and result.verdict in RAN:
                ask = False
                with contextlib.suppress(SubjectError, SubjectCrash):
                    tell(notes=notes_of(subject, subject.notes, plan.profile))
    except Exception:
        raise  # the kit's own fault
    except BaseException as error:  # noqa: BLE001  the subject's KeyboardInterrupt, say
        cause = ends_program("it", error)
        _tell_result(blank(current[0], Verdict.CRASH, cause=cause), tell, job["memory"])
    else:
        tell(done=True)


def _open(
    target: Target, seconds: float, tell: Callable[..., None]
) -> tuple[Opened, tuple[str, ...]] | None:
    """Open the subject, or tell why that cannot be."""
    try:
        with restored(CASE, process()):  # its module may switch what it likes for itself
            return guarded("opening it", lambda: open_target(target, seconds))
    except SubjectCrash as crash:
        tell(unopened=Verdict.CRASH, cause=str(crash))
    except SubjectError as error:
        if isinstance(error.original, BigramError):
            tell(cannot=str(error.original), kind=type(error.original).__name__)
        else:
            tell(unopened=Verdict.FAIL, cause=str(error) + _line_of(error.original))
    except Exception:
        raise  # the kit's own fault
    except BaseException as error:  # noqa: BLE001  the subject's KeyboardInterrupt, say
        tell(unopened=Verdict.CRASH, cause=ends_program("opening it", error))
    return None


def _line_of(error: BaseException | None) -> str:
    if error is None or error.__traceback__ is None:
        return ""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({Path(at.filename).name}:{at.lineno})"


def _tell_result(result: Result, tell: Callable[..., None], memory: int) -> None:
    fields, verdict = _fields(result), result.verdict
    if verdict is Verdict.KIT_ERROR and (
        "MemoryError" in result.cause or "allocate" in result.cause or _is_full()
    ):
        # The kit alone needs little: it is the subject that has the memory.
        verdict, fields["cause"] = Verdict.CRASH, out_of_memory(memory)
    tell(result=result.id, settled=True, verdict=verdict, **fields)


def _fields(result: Result) -> dict[str, Any]:
    told = asdict(result)
    return {name: told[name] for name in FIELDS}


def _is_full() -> bool:
    try:
        bytearray(LEAST)
    except MemoryError:
        return True
    return False


def _limit_memory(beyond: int) -> list[str]:
    """Let the process take so many bytes more than it has, or say that this cannot be had."""
    import resource  # noqa: PLC0415  not to be had on Windows, where there are no copies either

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
    taken = _data()
    if taken is None:
        return ["the subject's memory is not limited on this system"]
    # Of data, not of addresses: a CUDA driver takes many more of those than it ever fills.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + beyond if most == resource.RLIM_INFINITY else min(taken + beyond, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return []


def _data() -> int | None:
    """Give the bytes of data that the process has, where the system tells (Linux)."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    kibibytes = (line.split()[1] for line in lines if line.startswith("VmData:"))
    return next((int(each) * 1024 for each in kibibytes), None)
