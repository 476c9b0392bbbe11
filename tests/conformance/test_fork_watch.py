"""A call in which the subject forks costs the caller neither its own children nor its time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from reference.conformance.errors import SubjectCrash
from reference.conformance.subjects import fork_watch
from reference.conformance.subjects.fork_watch import Forks
from reference.conformance.subjects.guard import guarded

if not hasattr(os, "fork"):
    pytest.skip("this system has no fork", allow_module_level=True)

# A process with threads warns of a fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def fork(child: Callable[[], object]) -> int:
    """Fork; the other process calls `child` and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(5)
    return pid


def forks_and_waits() -> int:
    os.waitpid(fork(lambda: None), 0)
    return 7


def wait_until_ended(pid: int) -> None:
    """Wait for the end of a child, and leave its status to be collected."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def ended() -> Iterator[subprocess.Popen[bytes]]:
    """A child of the caller that has ended, and that nobody has waited for."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    wait_until_ended(child.pid)
    yield child
    child.wait()


@pytest.fixture
def alive() -> Iterator[subprocess.Popen[bytes]]:
    """A child of the caller that lives."""
    wait = "import time; time.sleep(1e6)"
    child = subprocess.Popen([sys.executable, "-S", "-c", wait])  # noqa: S603  our own
    yield child
    child.kill()
    child.wait()


def escapes() -> object:
    return os.fork()


@pytest.mark.parametrize("action", [forks_and_waits, lambda: fork(lambda: None), escapes])
def test_a_child_of_the_caller_keeps_its_status(
    action: Callable[[], object], ended: subprocess.Popen[bytes]
) -> None:
    try:
        guarded("it", action)
    except SubjectCrash:
        assert action is escapes
    assert ended.wait() == 3


@pytest.mark.usefixtures("alive")
def test_a_child_of_the_caller_that_lives_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sleep(_seconds: float) -> None:
        raise AssertionError("the kit waits, and the subject's only copy has been collected")

    monkeypatch.setattr(time, "sleep", sleep)
    assert guarded("it", forks_and_waits) == 7


def test_a_child_of_the_subject_is_left_for_the_subject_to_collect() -> None:
    pid = guarded("it", lambda: fork(lambda: None))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_a_copy_that_escapes_is_collected() -> None:
    pids: list[int] = []
    with pytest.raises(SubjectCrash, match="two processes"):
        guarded("it", lambda: pids.append(os.fork()))
    with pytest.raises(ChildProcessError):
        os.waitpid(pids[0], 0)


def test_a_copy_that_escapes_is_noticed_though_nobody_may_wait_for_it() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(SubjectCrash, match="two processes"):
            guarded("it", escapes)
    finally:
        signal.signal(signal.SIGCHLD, before)


def forks_twice() -> None:
    """Fork a process that forks another, and that waits for it; the second one escapes."""
    pid = os.fork()
    if pid == 0:
        second = os.fork()
        if second == 0:
            return
        os.waitpid(second, 0)
        os._exit(0)
    os.waitpid(pid, 0)


def test_a_copy_of_a_copy_that_escapes_is_noticed() -> None:
    with pytest.raises(SubjectCrash, match="two processes"):
        guarded("it", forks_twice)


def test_each_of_many_copies_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_watch, "SLOTS", 4)
    monkeypatch.setattr(fork_watch, "_copies", None)

    def many() -> None:
        for _ in range(10):
            forks_and_waits()

    guarded("it", many)
    with pytest.raises(SubjectCrash, match="two processes"):
        guarded("it", escapes)


def test_a_call_inside_a_call_does_not_hide_the_forks_of_the_outer_one() -> None:
    def outer() -> None:
        os.fork()
        guarded("inner", lambda: None)

    with pytest.raises(SubjectCrash, match="outer forked"):
        guarded("outer", outer)


def test_a_copy_of_the_caller_watches_its_own_forks() -> None:
    guarded("it", lambda: None)

    def child() -> None:
        try:
            guarded("it", escapes)
        except SubjectCrash:
            os._exit(9)

    pid = fork(child)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert guarded("it", lambda: 7) == 7


def test_a_system_without_forks_needs_no_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.delattr(os, "fork")
    watched = Forks()
    watched.end_copy()
    assert not watched.escaped()


def test_where_an_end_cannot_be_seen_a_collected_copy_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "waitid")
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("the kit waits"))
    assert guarded("it", forks_and_waits) == 7
