"""Whatever a subject does to its process, every planned clause has a verdict."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from reference.conformance import process_ends
from reference.conformance.isolation import run as isolation, server as processes, worker
from reference.conformance.isolation.lines import Lines
from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.isolation.server import Copy, End, Server
from reference.conformance.loading.errors import LoadError
from reference.conformance.process_ends import is_ending, place, why
from reference.conformance.runner import Plan, planned, run
from reference.conformance.target import Target, open_target
from reference.conformance.verdicts import Result, Verdict
from reference.errors import WorkerError
from reference.spec.clause import Clause

HOSTILE = Path(__file__).parent / "hostile"
LONG = 3600.0
"""Seconds that no clause takes, however busy the machine is."""
MEMORY = 2**30

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")


class Impatient(Server):
    """A server for which the time is over as soon as the subject tells, by a file, that it hangs.

    So a subject that does not hang has all the time that it needs on a busy machine.
    """

    def listen(self, copy: Copy, seconds: float) -> bytes | End:
        until = time.monotonic() + seconds
        while True:
            over = Path("hangs").exists() or time.monotonic() > until
            heard = super().listen(copy, 1 if over else 0.05)
            if heard is End.SILENT and over:
                Path("hangs").unlink(missing_ok=True)  # the next copy has all its time again
            if heard is not End.SILENT or over:
                return heard


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Impatient() as shared:
        yield shared


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where subjects leave files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*clauses: str) -> Plan:
    return Plan(clauses=planned(clauses, None), examples=3)


AROUND = plan("softmax.axis", "generate.zero")
"""Clauses on softmax, with others before and after them."""


def softmax(name: str) -> Target:
    file = HOSTILE / "softmaxes.py"
    return Target(target=f"{HOSTILE / 'models.py'}:Right", parts={"softmax": f"{file}:{name}"})


def model(name: str, **parts: str) -> Target:
    return Target(target=f"{HOSTILE / 'models.py'}:{name}", parts=parts)


def judge(
    target: Target, what: Plan, server: Server, *, seconds: float = LONG
) -> dict[str, Result]:
    results = list(IsolatedRun(target, what, timeout=seconds, memory=MEMORY, server=server))
    assert [one.id for one in results] == [clause.id for clause in what.clauses]
    assert all(one.sentence and one.seconds >= 0 for one in results)
    return {one.id: one for one in results}


def verdicts(results: dict[str, Result]) -> dict[str, str]:
    return {name: str(one.verdict) for name, one in results.items()}


def broken_in(what: Plan, **broken: str) -> dict[str, str]:
    """The verdicts where these clauses have one, what needs them is blocked, and the rest is kept.

    `softmax_range` is softmax.range; `roots` are all that need no other.
    """
    told: dict[str, str] = {}
    for clause in what.clauses:
        own = broken.get(re.sub(r"\W", "_", clause.id), "PASS")
        if "roots" in broken and not clause.needs:
            own = broken["roots"]
        kept = all(told[need] == "PASS" for need in clause.needs if need in told)
        told[clause.id] = own if kept else "BLOCKED"
    return told


def line(file: str, text: str) -> str:
    """Where a text stands first."""
    lines = (HOSTILE / file).read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if text in line)
    return f"{file}:{number}"


NULL = line("softmaxes.py", "ctypes.string_at(0)")
ABORT = line("softmaxes.py", "os.abort()")
OVERFLOW = line("softmaxes.py", "key=overflows_the_stack")
SILENT = "it took longer than 3600 s"
MEDDLED = "it closed, or wrote to, files of the kit's"
ENDS = {
    "reads_null": ("CRASH", f"segmentation fault (SIGSEGV), at {NULL} in reads_null"),
    "reads_null_in_a_thread": ("CRASH", f"(SIGSEGV), at {NULL} in reads_null"),
    "calls_sys_exit": ("CRASH", "softmax called sys.exit(3)"),
    "calls_os_exit": (
        "CRASH",
        r"exit status 3 (os._exit(3)?); it last printed: no more\x1b[2J of this",
    ),
    "ends_as_if_done": ("CRASH", "exit status 0"),
    "aborts": ("CRASH", f"aborted (SIGABRT), at {ABORT} in aborts"),
    "kills_itself": ("CRASH", "killed (SIGKILL): out of memory?"),
    "kills_its_group": ("CRASH", "ended by the signal SIGTERM"),
    "interrupts": ("CRASH", "it raised KeyboardInterrupt"),
    "sets_an_alarm": ("CRASH", "ended by the signal SIGALRM"),
    "waits_deaf": ("TIMEOUT", SILENT),
    "asks_for_input": ("FAIL", "softmax raised EOFError"),
    "forks": ("CRASH", "softmax forked, and came back in two processes"),
    "takes_a_terabyte": ("CRASH", "softmax ran out of memory"),
    "hoards": ("CRASH", "softmax ran out of memory"),
    "hoards_quietly": ("CRASH", "it used up the memory, 1024 MiB"),
    "fills_and_spoils": ("CRASH", "it used up the memory, 1024 MiB"),
    "recurses": ("FAIL", "softmax raised RecursionError"),
    "overflows_the_stack": ("CRASH", f"(SIGSEGV), at {OVERFLOW} in overflows_the_stack"),
    "wants_too_many_threads": ("CRASH", "it last printed: libgomp: Thread creation failed"),
    "closes_files": ("CRASH", MEDDLED),
    "replaces_files": ("CRASH", MEDDLED),
    "writes_bytes": ("CRASH", MEDDLED),
    "writes_json": ("CRASH", MEDDLED),
    "writes_without_end": ("CRASH", MEDDLED),
    "spoils_torch": ("KIT-ERROR", "'NoneType' object is not callable"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_told_at_its_clause_and_the_others_go_on(name: str, server: Server) -> None:
    results = judge(softmax(name), AROUND, server)
    verdict, cause = ENDS[name]
    assert verdicts(results) == broken_in(AROUND, softmax_range=verdict)
    assert next(iter(results)) != "softmax.range"
    assert results["generate.zero"].verdict is Verdict.PASS
    assert cause in results["softmax.range"].cause
    assert results["softmax.axis"].cause == "softmax.range"


@pytest.mark.parametrize(
    ("name", "verdict", "cause"),
    [
        ("kills_its_parent", Verdict.CRASH, "it killed the kit's process"),
        ("stops_all", Verdict.TIMEOUT, SILENT),
    ],
)
def test_the_process_that_is_copied_may_be_ended_too(
    name: str, verdict: Verdict, cause: str, server: Server
) -> None:
    what = plan("softmax.range", "generate.zero")
    results = judge(softmax(name), what, server)
    assert results["softmax.range"].verdict is verdict
    assert cause in results["softmax.range"].cause
    assert results["generate.zero"].verdict is Verdict.PASS


class Ended(Server):
    """A server that is ended by others, so many times, as soon as a second copy is made."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left, self.made = times, 0

    @contextlib.contextmanager
    def copy(self) -> Iterator[Copy]:
        with super().copy() as made:
            self.made += 1
            if self.made > 1 and self.left:
                self.left -= 1
                assert self._process is not None
                self._process.kill()
            yield made


@pytest.mark.parametrize(("times", "verdict"), [(1, Verdict.PASS), (2, Verdict.CRASH)])
def test_a_subject_that_was_opened_is_opened_once_more_where_others_end_the_process(
    times: int, verdict: Verdict
) -> None:
    what = plan("softmax.range", "generate.zero")
    with Ended(times) as server:
        judged = IsolatedRun(
            softmax("kills_itself"), what, timeout=LONG, memory=MEMORY, server=server
        )
        results = {result.id: result for result in judged}
    assert results["softmax.range"].verdict is Verdict.CRASH
    assert results["generate.zero"].verdict is verdict
    assert "the kit's process was ended while the subject was opened again" in judged.notes


@pytest.mark.parametrize("name", ["right", "forks_and_waits"])
def test_what_harms_nobody_passes(name: str, server: Server) -> None:
    results = judge(softmax(name), AROUND, server)
    assert {one.verdict for one in results.values()} == {Verdict.PASS}


@pytest.mark.parametrize("name", ["TakesOver", "Prints", "ForksInBackward"])
def test_what_the_process_is_put_to_is_no_matter_of_the_contract(name: str, server: Server) -> None:
    results = judge(model(name), plan("generate.zero", "loss.differentiable"), server)
    assert {one.verdict for one in results.values()} == {Verdict.PASS}


def test_a_crash_in_generate_is_the_clauses_of_generate(server: Server) -> None:
    what = plan("generate.zero", "loss.scalar")
    results = judge(model("SegfaultsInGenerate"), what, server)
    assert verdicts(results) == broken_in(what, generate_shape="CRASH")
    at = line("models.py", "ctypes.string_at(0)")
    assert f"at {at} in generate" in results["generate.shape"].cause


def test_a_loop_without_end_is_told_with_its_line(server: Server) -> None:
    what = plan("loss.scalar", "generate.zero")
    results = judge(model("HangsInLoss"), what, server)
    assert verdicts(results) == broken_in(what, loss_scalar="TIMEOUT")
    first = line("models.py", "while targets")
    at = "|".join([first, first.replace(first[-2:], str(int(first[-2:]) + 1))])
    assert re.fullmatch(
        rf"{SILENT}, last at ({at}) in forward: an endless loop\? "
        r"--timeout gives more",
        results["loss.scalar"].cause,
    )


@pytest.mark.parametrize(
    ("name", "verdict", "cause"),
    [
        ("ExitsWhenRead", "CRASH", "while it was opened, the process ended with exit status 4"),
        ("HangsWhenRead", "TIMEOUT", "opening it took longer than 3600 s, last at models.py:"),
        ("ExitsWhenMade", "CRASH", "the process ended with exit status 5"),
    ],
)
def test_what_cannot_be_opened_has_all_its_verdicts(
    name: str, verdict: str, cause: str, server: Server
) -> None:
    results = judge(model(name), AROUND, server)
    assert verdicts(results) == broken_in(AROUND, roots=verdict)
    assert cause in results[AROUND.clauses[0].id].cause


def test_the_time_is_over_by_the_clock(server: Server) -> None:
    what = plan("loss.scalar")
    run = IsolatedRun(model("HangsWhenReadSilently"), what, timeout=0.5, server=server)
    (first, *_others) = run
    assert first.verdict is Verdict.TIMEOUT
    assert "opening it took longer than 0.5 s" in first.cause


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("FailsWhenProbed", "the subject failed (forward raised RuntimeError: cannot do 2 by 4)"),
        ("EndsWhenProbed", "the process ended with exit status 6"),
        ("HangsWhenProbed", "it took longer than "),
    ],
)
def test_a_finding_stands_whatever_happens_while_its_cause_is_looked_for(
    name: str, why: str, server: Server
) -> None:
    what = replace(plan("loss.mean-cross-entropy"), examples=1)
    results = judge(model(name), what, server)
    result = results["loss.mean-cross-entropy"]
    assert result.verdict is Verdict.FAIL
    assert result.expected.startswith("loss: ")
    assert result.case is not None
    assert result.cause.startswith("no cause was found")
    assert why in result.cause


def test_a_model_that_fails_on_the_kits_probe_alone_conforms(server: Server) -> None:
    results = judge(model("OnlyProbeFails"), plan("forward.logits.shape"), server)
    assert results["forward.logits.shape"].verdict is Verdict.PASS


def test_an_end_at_any_time_leaves_no_clause_out(server: Server) -> None:
    results = judge(model("EndsLater"), plan("generate.zero"), server)
    assert {one.verdict for one in results.values()} <= {
        Verdict.PASS,
        Verdict.CRASH,
        Verdict.BLOCKED,
    }


WHOLE = plan("forward", "generate", "softmax")
STRANGE = {
    "AnswersAtLength": ({"PASS", "BLOCKED", "FAIL"}, "FAIL"),
    "RefusesAtLength": ({"PASS", "BLOCKED", "FAIL"}, "FAIL"),
    "EndsWhenDeleted": ({"PASS", "BLOCKED", "CRASH"}, "CRASH"),
    "WritesToAll": ({"PASS", "BLOCKED", "CRASH"}, "CRASH"),
    "SteersTheTerminal": ({"PASS", "BLOCKED", "FAIL"}, "FAIL"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_every_planned_clause_has_a_verdict_on_the_subject(name: str, server: Server) -> None:
    results = judge(model(name, softmax=f"{HOSTILE / 'softmaxes.py'}:right"), WHOLE, server)
    allowed, found = STRANGE[name]
    assert found in set(verdicts(results).values()) <= allowed | {"SKIP"}
    meddled = {one.verdict for one in results.values() if MEDDLED in one.cause}
    assert meddled == ({Verdict.CRASH} if name == "WritesToAll" else set())
    told = "".join(f"{one.cause}{one.expected}{one.seen}" for one in results.values())
    assert len(told) < process_ends.LONGEST_LINE


def test_a_message_is_never_longer_than_a_line_may_be() -> None:
    ours, theirs = socket.socketpair()
    long = "\U0001f600" * 2**19
    told: dict[str, object] = {}
    with ours, theirs:
        tell = worker.Teller(theirs)
        for message in (
            {"notes": ["\U0001f600" * 2**12] * 200},
            {"result": "x", "cause": long, "seen": long, "expected": long, "code": long},
            {"result": "x", "cause": "short", "case": {"text": long}},
        ):
            ours.setblocking(True)
            reader = threading.Thread(target=tell, kwargs=message)
            reader.start()
            with ours.makefile("rb") as received:
                line = received.readline()
            reader.join()
            assert len(line) <= process_ends.LONGEST_LINE
            told = json.loads(line)
            assert told.keys() == message.keys()
        assert told["case"] is None
        assert told["cause"] == "short"


def test_a_fault_that_is_not_of_the_socket_is_told_as_what_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: str(tmp_path / "removed"))
    results = judge(model("Right"), plan("loss.scalar"), server)
    first = next(iter(results.values()))
    assert first.verdict is Verdict.KIT_ERROR
    assert "the kit failed: FileNotFoundError" in first.cause


def test_nothing_is_left_running(server: Server, folder: Path) -> None:
    results = judge(model("LeavesRunning"), plan("generate.zero"), server)
    assert {one.verdict for one in results.values()} == {Verdict.PASS}
    left = [int(each) for each in (folder / "left.txt").read_text(encoding="utf-8").split()]
    assert len(left) == 2
    for pid in left:
        wait_for_end(pid)


def wait_for_end(pid: int) -> None:
    """Wait until a process is gone: it has been killed, and is about to be collected."""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} still runs")


def test_an_interrupt_ends_the_subject_and_goes_on_upward(server: Server) -> None:
    pids: list[int] = []

    def interrupt(clause: Clause) -> None:
        if clause.id == "loss.scalar":
            assert server._copy is not None
            pids.append(server._copy.pid)
            raise KeyboardInterrupt

    told = IsolatedRun(
        model("HangsInLoss"), plan("loss.scalar"), timeout=LONG, server=server, started=interrupt
    )
    came: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        came.extend(result.id for result in told)
    wait_for_end(pids[0])
    assert list(told.results) == came != []
    assert judge(model("Right"), plan("loss.scalar"), server)  # the server is there still


def test_who_goes_without_a_word_leaves_nothing_behind(server: Server) -> None:
    with server.copy() as copy:
        process, control = server._process, server._control
        assert process is not None
        assert control is not None
        control.shutdown(socket.SHUT_RDWR)  # as when this process is killed
        assert process.wait(600) == 0
        wait_for_end(copy.pid)
    with server.copy():  # it is started again
        assert server._process not in {process, None}


def test_each_server_has_a_private_folder_and_removes_it(server: Server) -> None:
    server.start()
    with Server() as other:
        other.start()
        assert server._folder is not None
        assert other._folder is not None
        folders = Path(server._folder), Path(other._folder)
        assert folders[0] != folders[1]
        for folder in folders:
            assert folder.stat().st_mode & 0o777 == 0o700
        with server.copy():
            assert folders[0].is_dir()
    assert not folders[1].exists()
    server.close()
    assert not folders[0].exists()


def test_a_server_that_is_left_alone_removes_its_folder(server: Server) -> None:
    with server.copy():
        process, control, folder = server._process, server._control, server._folder
        assert process is not None
        assert control is not None
        assert folder is not None
        control.shutdown(socket.SHUT_RDWR)  # as when this process is killed
        assert process.wait(600) == 0
        assert not Path(folder).exists()


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START", "raise SystemExit('there is no torch')")
    with pytest.raises(WorkerError, match="there is no torch"):
        list(IsolatedRun(model("Right"), plan("loss.scalar"), server=Server()))


@pytest.fixture
def waiting() -> Iterator[tuple[Copy, socket.socket]]:
    """A copy, which is a process of no kind, and the socket that it tells by."""
    ours, theirs = socket.socketpair()
    output, printing = os.pipe()
    copy = Copy(ours, output, tempfile.TemporaryFile())  # noqa: SIM115  closed with the copy
    wait = "import time; time.sleep(1e6)"
    child = subprocess.Popen(  # noqa: S603  our own
        [sys.executable, "-S", "-c", wait], start_new_session=True
    )
    copy.pid = child.pid
    yield copy, theirs
    child.kill()
    child.wait()
    copy.close()
    os.close(printing)
    theirs.close()


def test_what_was_told_before_the_process_was_ended_is_heard_first(
    waiting: tuple[Copy, socket.socket],
) -> None:
    copy, theirs = waiting
    with Server() as server:
        control, gone = socket.socketpair()
        server._control = server._stack.enter_context(control)
        server._heard = Lines(control.fileno())
        theirs.sendall(b"one\ntwo\n")
        gone.close()
        heard = [server.listen(copy, LONG) for _ in range(3)]
    assert heard == [b"one", b"two", End.ORPHANED]


def test_what_was_told_in_time_is_heard_however_late_it_is_looked_at(
    waiting: tuple[Copy, socket.socket],
) -> None:
    copy, theirs = waiting
    with Server() as server:
        control, others = socket.socketpair()
        server._control = server._stack.enter_context(control)
        server._heard = Lines(control.fileno())
        theirs.sendall(b"one\n")
        heard = [server.listen(copy, -1) for _ in range(2)]
        others.close()
    assert heard == [b"one", End.SILENT]


def test_an_end_that_is_not_collected_yet_is_no_life() -> None:
    assert not is_ending(os.getpid())
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_ending(child.pid)
    child.wait()
    assert is_ending(child.pid)


def test_a_server_has_one_copy_at_a_time(server: Server) -> None:
    with server.copy(), pytest.raises(RuntimeError, match="one run at a time"), server.copy():
        pass


def test_a_subject_that_is_not_there_is_an_error(server: Server) -> None:
    with pytest.raises(LoadError, match="missing.py"):
        list(IsolatedRun(Target(target="missing.py:Model"), AROUND, server=server))


def essence(results: Iterator[Result]) -> list[tuple[str, ...]]:
    """All but the time, as JSON has it."""
    return [tuple(map(json.dumps, vars(replace(one, seconds=0)).values())) for one in results]


def test_in_here_and_out_there_the_verdicts_are_the_same(server: Server) -> None:
    what = plan("forward.logits.shape", "softmax.axis")
    for target, broken in ((Target(), False), (softmax("over_rows"), True)):
        here = essence(run(open_target(target)[0], what))
        there = [
            essence(iter(IsolatedRun(target, what, timeout=LONG, server=server))) for _ in range(2)
        ]
        assert there == [here, here]
        assert any('"FAIL"' in one for one in here) == broken


def test_a_case_is_tried_again(server: Server) -> None:
    found = judge(softmax("over_rows"), AROUND, server)["softmax.axis"]
    assert found.case is not None
    clauses = tuple(clause for clause in AROUND.clauses if clause.id == "softmax.axis")
    for name, verdict in (("over_rows", Verdict.FAIL), ("right", Verdict.PASS)):
        again = judge(softmax(name), Plan(clauses=clauses, replay=found.case), server)
        assert again["softmax.axis"].verdict is verdict


def test_a_crash_can_be_waived(server: Server) -> None:
    what = replace(AROUND, waive={"softmax.range": "known", "generate.zero": "unknown"})
    results = judge(softmax("reads_null"), what, server)
    assert results["softmax.range"].verdict is Verdict.XFAIL
    assert "waived: known (the process died" in results["softmax.range"].cause
    assert results["softmax.axis"].verdict is Verdict.BLOCKED
    assert results["generate.zero"].verdict is Verdict.XPASS


def test_notes_are_told_once(server: Server) -> None:
    told = IsolatedRun(softmax("reads_null"), AROUND, timeout=LONG, server=server)
    assert len(list(told)) == len(AROUND.clauses)
    assert len(set(told.notes)) == len(told.notes)
    assert "the table is the parameter token_embedding_table.weight" in told.notes


def test_clauses_are_announced_in_order(server: Server) -> None:
    for target in (softmax("reads_null"), model("ExitsWhenRead")):
        announced: list[Clause] = []
        list(IsolatedRun(target, AROUND, timeout=LONG, server=server, started=announced.append))
        assert announced == list(AROUND.clauses)


def test_a_run_that_is_left_ends_its_processes(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "Server", lambda: server)
    running = iter(IsolatedRun(model("Right"), plan("loss.scalar")))
    next(running)
    process, copy = server._process, server._copy
    assert process is not None
    assert copy is not None
    running.close()  # type: ignore[attr-defined]  # a generator
    assert process.returncode is not None
    wait_for_end(copy.pid)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ValueError("no luck"), Verdict.FAIL),
        (SystemExit(3), Verdict.CRASH),
        (KeyboardInterrupt(), Verdict.CRASH),
    ],
)
def test_a_copy_tells_of_a_failure_to_open(
    error: BaseException, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_it(_target: Target, _seconds: float) -> NoReturn:
        raise error

    told: list[dict[str, object]] = []
    monkeypatch.setattr(worker, "open_target", open_it)
    assert worker._open(Target(), LONG, lambda **message: told.append(message)) is None
    assert told[0]["unopened"] is verdict
    assert "opening it" in str(told[0]["cause"])


TRACE = """Fatal Python error: Aborted

Thread 0x01 (most recent call first):
  File "/usr/lib/x.py", line 1 in other

Current thread 0x02 (most recent call first):
  File "{library}/torch/nn.py", line 3 in forward
  File "/home/me/dev.ipynb, cell 3", line 12 in forward
  File "/src/reference/conformance/subjects/guard.py", line 40 in guarded
  File "/src/reference/conformance/subjects/torch_models.py", line 80 in forward
  File "/src/me.py", line 1 in <module>
"""


def test_a_trace_names_the_innermost_line_of_the_subject() -> None:
    library = Path(pytest.__file__).parents[1]
    assert place(TRACE.format(library=library)) == "dev.ipynb, cell 3:12 in forward"
    assert place(TRACE.format(library="/home/me/own")) == "nn.py:3 in forward"


def test_a_trace_of_the_kit_alone_names_no_line() -> None:
    assert place("") == ""
    lines = [line for line in TRACE.splitlines() if "/me" not in line and "torch" not in line]
    assert place("\n".join(lines)) == ""


def test_signals_without_a_name_are_told_by_number() -> None:
    assert why(-60, trace="", printed="") == "the process was ended by signal 60"
