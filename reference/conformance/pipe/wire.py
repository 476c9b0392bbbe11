"""A subject's process, and the two descriptors that it is asked and answers through.

Descriptor 3 brings questions and 4 takes answers; 1 and 2 stay free for whatever it prints, of
which the end is kept. Whatever it does ends in an answer or in one of the exceptions that are
verdicts: SubjectCrash, SubjectTimeoutError, SubjectMalformedError.
"""

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from reference.conformance.errors import (
    CommandError,
    SubjectCrash,
    SubjectMalformed,
    SubjectTimeout,
)
from reference.conformance.isolation.lines import Lines, Tail, hear
from reference.conformance.pipe.messages import RefusalError
from reference.conformance.pipe.protocol import Answer, MalformedError, line, parsed, seen
from reference.conformance.process_ends import kill_group, why
from reference.errors import reason
from reference.spec.subject import SubjectError

T = TypeVar("T")

QUESTIONS, ANSWERS = 3, 4
"""The subject's descriptors."""
ABOVE = 10
"""Ours are out of the way of those."""
LONGEST = 2**26
"""Bytes of one answer."""
LONGEST_REFUSAL = 300
"""Characters that are shown of an error of the subject's."""
GRACE = 2.0
"""Seconds for a process that was told "bye" to end."""
CLOSING = 10.0
"""Seconds for a process that closed its descriptor to end: first it may have much to tidy up."""
LOOK = 0.2
"""Seconds from one look at whether it lives to the next."""


class Clock:
    """The time that there is for answers."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.until = 0.0

    def give(self, seconds: float) -> None:
        """Give so much time from now on."""
        self.seconds = seconds
        self.until = time.monotonic() + seconds


class Wire:
    """One process of the subject's."""

    def __init__(self, command: Sequence[str], clock: Clock) -> None:
        """Start it.

        Raises: CommandError where it cannot be started.
        """
        self.clock = clock
        self._sequence = -1
        self._status: int | None = None
        self._pid, self._to, answers, printing = _started(command)
        self._answers, self._printed = Lines(answers), Tail(printing)

    @property
    def open(self) -> bool:
        """Whether it can be asked."""
        return self._to >= 0

    def ask(self, operation: str, read: Callable[[Answer], T], /, **fields: object) -> T:
        """Ask, wait for the answer, and read it.

        Raises: SubjectError where the answer is an error; SubjectCrash, SubjectTimeout or
            SubjectMalformed where there is none that can be read, and the process is ended.
        """
        try:
            answer = self.answer(operation, fields)
            refusal = answer.text_of("error") if "error" in answer.fields else None
            if refusal is None:
                return read(answer)
        except MalformedError as error:
            self.close()
            raise SubjectMalformed(f"the answer to {operation} {error}") from error
        except BaseException:
            self.close()
            raise
        first = (refusal.strip().splitlines() or [""])[0][:LONGEST_REFUSAL]
        raise SubjectError(operation, f"refused: {first}", RefusalError(refusal))

    def answer(self, operation: str, fields: Mapping[str, object]) -> Answer:
        """Ask, and wait for the answer.

        Raises: MalformedError, SubjectCrash, SubjectTimeout.
        """
        self._sequence += 1
        text = self._exchange(line(self._sequence, operation, fields), operation)
        answer = Answer(text, parsed(text))
        sequence = answer.integer("seq")
        if sequence != self._sequence:
            said = f"has seq {sequence}, where {self._sequence} was asked"
            raise MalformedError(f"{said}: {seen(text)}")
        return answer

    def _exchange(self, question: bytes, operation: str) -> bytes:
        left = memoryview(question)
        while True:
            try:
                while left:
                    left = left[os.write(self._to, left) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise self._lost(operation, QUESTIONS) from error
            if not left:
                text = self._answers.take()
                if text is not None:
                    return text
            self._hear(operation, self._to if left else None)

    def _hear(self, operation: str, writing: int | None) -> None:
        """Wait until something comes or can be written, and take it in."""
        left = self.clock.until - time.monotonic()
        heard = hear(self._answers, self._printed, seconds=min(LOOK, left), writing=writing)
        if len(self._answers) > LONGEST:
            raise MalformedError(f"is {LONGEST >> 20} MiB long, without an end of line")
        # Or it has ended, and something that it started holds the descriptors.
        if self._answers.closed is not None or (not heard and self._ended()):
            raise self._lost(operation, ANSWERS)
        # Looked at last, so that an answer counts that came while this process was not awake.
        if left <= 0 and b"\n" not in self._answers.rest:
            raise self._late(operation)

    def _late(self, operation: str) -> SubjectTimeout:
        said = f"{operation} was not answered when {self.clock.seconds:g} s were over"
        return SubjectTimeout(
            f"{said}{self._begun()}: an endless loop, or an answer that was not flushed? "
            "--timeout gives more"
        )

    def _begun(self) -> str:
        return f"; it had begun with {seen(self._answers.rest)}" if self._answers else ""

    def _ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def _lost(self, operation: str, descriptor: int) -> BaseException:
        """Say why nothing more comes."""
        until = time.monotonic() + CLOSING
        while not self._ended():
            if time.monotonic() > until:
                return MalformedError(
                    f"cannot come: it closed descriptor {descriptor} and goes on{self._begun()}"
                )
            time.sleep(0.005)
        self._printed.read_rest()
        assert self._status is not None  # noqa: S101  it has ended
        said = why(self._status, trace=None, printed=str(self._printed))
        return SubjectCrash(f"asked for {operation}, {said}{self._begun()}")

    def bye(self) -> None:
        """Let it end by itself, as well as it can, and see to it that it has."""
        if self.open:
            self.clock.give(GRACE)
            try:
                self.ask("bye", nothing)
                while not self._ended() and time.monotonic() < self.clock.until:
                    time.sleep(0.001)
            except (SubjectError, SubjectCrash):
                pass
        self.close()

    def close(self) -> None:
        """End it, and whatever of its own it has started."""
        if not self.open:
            return
        if not self._ended():
            kill_group(self._pid)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        for descriptor in (self._to, self._answers.descriptor, self._printed.descriptor):
            os.close(descriptor)
        self._to = -1


def nothing(_answer: Answer) -> None:
    """Read an answer that holds nothing."""


def split(command: str) -> list[str]:
    """Split a command as a shell would, without being one.

    Raises: CommandError where it is empty, or a quotation is not closed.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CommandError(
            f"the command {command!r} cannot be split into words: {error}"
        ) from error
    if not words:
        raise CommandError('the command is empty; give one, such as "node my_bigram.mjs"')
    return words


def _started(command: Sequence[str]) -> tuple[int, int, int, int]:
    """Start a process; give its id and our ends of its descriptors."""
    if not hasattr(os, "posix_spawnp"):
        raise CommandError("this system has no posix_spawn: a command cannot be asked here")
    (theirs_in, to), (come_from, theirs_out), (printing, printed) = _pipe(), _pipe(), _pipe()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, printed, 1),
        (os.POSIX_SPAWN_DUP2, printed, 2),
        (os.POSIX_SPAWN_DUP2, theirs_in, QUESTIONS),
        (os.POSIX_SPAWN_DUP2, theirs_out, ANSWERS),
    ]
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            os.environ,
            file_actions=actions,
            setpgroup=0,
            setsigdef=[signal.SIGPIPE],
        )
    except OSError as error:
        for descriptor in (to, come_from, printing):
            os.close(descriptor)
        said = f"{command[0]} cannot be started: {reason(error)}"
        raise CommandError(f"{said} (the command is {shlex.join(command)})") from error
    finally:
        for descriptor in (theirs_in, theirs_out, printed):
            os.close(descriptor)
    os.set_blocking(to, False)
    return pid, to, come_from, printing


def _pipe() -> tuple[int, int]:
    """Make a pipe whose ends are out of the way of the subject's descriptors."""
    import fcntl  # noqa: PLC0415  not to be had on Windows, where there is no posix_spawn either

    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, ABOVE) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
