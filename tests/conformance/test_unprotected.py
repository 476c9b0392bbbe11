"""Where a process cannot be copied, as on Windows, the subject is judged in the kit's own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from reference.conformance.isolation import run as isolation
from reference.conformance.isolation.run import UNPROTECTED, IsolatedRun
from reference.conformance.isolation.server import Server
from reference.conformance.isolation.unprotected import surviving
from reference.conformance.loading.errors import LoadError
from reference.conformance.runner import Plan, planned
from reference.conformance.subjects.build import subject_of
from reference.conformance.target import Opened, Target
from reference.conformance.verdicts import RAN, Result, Verdict
from reference.errors import WorkerError

HERE = Path(__file__).parent
RIGHT = f"{HERE / 'hostile/models.py'}:Right"

# beartype draws from Python's random stream, which Hypothesis forbids while it draws a case.
pytestmark = pytest.mark.usefixtures("own_checks_only")


def without_calls(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours in a process from which such calls have been taken away."""
    return subprocess.run(  # noqa: S603  our own
        [sys.executable, HERE / "missing_calls.py", *words],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        check=False,
    )


class TestProcess:
    """The programs, as a person runs them."""

    def test_check_gives_a_report_that_says_what_is_lost(self, tmp_path: Path) -> None:
        done = without_calls(tmp_path, "bigram", "check", RIGHT, "--clause", "loss.scalar")
        assert (done.returncode, done.stderr) == (0, "")
        assert UNPROTECTED in " ".join(done.stdout.split())
        assert "2 planned, 2 ran, 0 skipped, 0 blocked: kept, with 2 of 134" in done.stdout

    def test_the_plugin_judges_the_clauses(self, tmp_path: Path) -> None:
        (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        chosen = ("-p", "no:cacheprovider", "--bigram-subject", RIGHT, "-k", "loss.scalar")
        done = without_calls(tmp_path, "pytest", *chosen)
        assert done.returncode == 0, done.stdout
        assert "1 passed" in done.stdout

    def test_a_command_is_an_error_that_says_why(self, tmp_path: Path) -> None:
        done = without_calls(tmp_path, "bigram", "check", "--command", "node model.mjs")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "a command cannot be asked here" in done.stderr

    def test_every_module_can_be_imported(self, tmp_path: Path) -> None:
        done = without_calls(tmp_path, "modules")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")


def judged(model: Callable[[int], object], monkeypatch: pytest.MonkeyPatch) -> IsolatedRun:
    """A run over a model that is made here."""

    def open_it(_target: Target, _seconds: float) -> tuple[Opened, tuple[str, ...]]:
        return subject_of(model, softmax=lambda logits: torch.softmax(logits, dim=1)), ()

    monkeypatch.setattr(isolation, "open_target", open_it)
    clauses = planned(("gradient.value", "generate.zero", "softmax.sum"), None)
    return IsolatedRun(Target(), Plan(clauses=clauses, examples=2))


def verdicts(run: IsolatedRun) -> dict[str, Verdict]:
    results = list(run)
    assert [one.id for one in results] == [clause.id for clause in run.plan.clauses]
    return {one.id: one.verdict for one in results}


class Right(torch.nn.Module):
    """What the others change in one place."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.table(idx)
        if targets is None:
            return logits, None
        logits = logits.flatten(0, 1)
        return logits, torch.nn.functional.cross_entropy(logits, targets.flatten())

    def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
        for _ in range(max_new_tokens):
            probs = torch.softmax(self(idx)[0][:, -1], dim=1)
            idx = torch.cat([idx, torch.multinomial(probs, 1)], dim=1)
        return idx


class StopEverything(BaseException):
    """As a framework raises it that wants to get past every handler."""


ENDINGS = [KeyboardInterrupt, SystemExit, GeneratorExit, StopEverything]


@pytest.mark.usefixtures("no_copies")
@pytest.mark.parametrize("error", ENDINGS)
class TestRaised:
    """What a subject raises to end the program ends one clause."""

    def test_in_a_call(self, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
        class Ends(Right):
            def generate(self, idx: Tensor, max_new_tokens: int) -> NoReturn:  # noqa: ARG002  as it is called
                raise error

        told = verdicts(judged(Ends, monkeypatch))
        assert told["generate.shape"] is Verdict.CRASH
        assert told["generate.zero"] is Verdict.BLOCKED
        assert told["softmax.sum"] is told["loss.scalar"] is Verdict.PASS

    def test_in_a_hook(self, error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
        def end(_gradient: Tensor) -> NoReturn:
            raise error

        class Ends(Right):
            def forward(
                self, idx: Tensor, targets: Tensor | None = None
            ) -> tuple[Tensor, Tensor | None]:
                logits, loss = super().forward(idx, targets)
                if loss is not None and loss.requires_grad:
                    loss.register_hook(end)
                return logits, loss

        told = verdicts(judged(Ends, monkeypatch))
        assert told["gradient.value"] is Verdict.CRASH
        assert told["generate.zero"] is told["softmax.sum"] is Verdict.PASS

    def test_while_it_is_opened(
        self, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = judged(Right, monkeypatch)

        def open_it(_target: Target, _seconds: float) -> NoReturn:
            raise error

        monkeypatch.setattr(isolation, "open_target", open_it)
        told = verdicts(run)
        assert set(told.values()) == {Verdict.CRASH, Verdict.BLOCKED}


@pytest.mark.usefixtures("no_copies")
class TestHere:
    """The rest of what happens to the kit's own process."""

    def test_a_real_interrupt_ends_the_run_and_keeps_what_was_found(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Waits(Right):
            def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
                signal.raise_signal(signal.SIGINT)  # as when someone presses Ctrl-C meanwhile
                return super().generate(idx, max_new_tokens)

        run = judged(Waits, monkeypatch)
        came: list[Result] = []
        with pytest.raises(KeyboardInterrupt):
            came.extend(run)
        assert [one.id for one in came] == list(run.results) != []
        assert "generate.shape" not in run.results
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_file_that_is_missing_is_an_error(self) -> None:
        clauses = planned(("loss.scalar",), None)
        with pytest.raises(LoadError, match=r"missing\.py"):
            list(IsolatedRun(Target(target="missing.py:Model"), Plan(clauses=clauses)))

    def test_a_failure_to_open_is_a_verdict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def open_it(_target: Target, _seconds: float) -> NoReturn:
            raise ValueError("no luck")

        run = judged(Right, monkeypatch)
        monkeypatch.setattr(isolation, "open_target", open_it)
        assert set(verdicts(run).values()) == {Verdict.FAIL, Verdict.BLOCKED}

    def test_a_waiver_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Refuses(Right):
            def generate(self, idx: Tensor, max_new_tokens: int) -> NoReturn:  # noqa: ARG002  as it is called
                raise ValueError

        run = judged(Refuses, monkeypatch)
        run.plan = replace(run.plan, waive={"generate.shape": "known", "loss.scalar": "unknown"})
        told = verdicts(run)
        assert told["generate.shape"] is Verdict.XFAIL
        assert told["generate.zero"] is Verdict.BLOCKED
        assert told["loss.scalar"] is Verdict.XPASS

    def test_a_fault_around_a_clause_is_a_verdict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: object, **_options: object) -> NoReturn:
            raise OSError("no space left on device")

        run = judged(Right, monkeypatch)
        monkeypatch.setattr(isolation, "run", fail)
        results = list(run)
        assert {one.verdict for one in results} == {Verdict.KIT_ERROR}
        assert results[0].cause == "the kit failed: OSError: no space left on device"

    def test_what_a_clause_does_to_the_process_is_undone(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class TakesOver(Right):
            def generate(self, idx: Tensor, max_new_tokens: int) -> Tensor:
                os.chdir(tmp_path)
                sys.setrecursionlimit(5000)
                sys.stdout = sys.stderr = None
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                return super().generate(idx, max_new_tokens)

        before = Path.cwd(), sys.getrecursionlimit(), sys.stdout, sys.stderr
        told = verdicts(judged(TakesOver, monkeypatch))
        assert {verdict for verdict in told.values() if verdict in RAN} == {Verdict.PASS}
        assert before == (Path.cwd(), sys.getrecursionlimit(), sys.stdout, sys.stderr)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_notes_that_cannot_be_had_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_arguments: object) -> NoReturn:
            raise RuntimeError

        run = judged(Right, monkeypatch)
        monkeypatch.setattr(isolation, "notes_of", fail)
        assert set(verdicts(run).values()) == {Verdict.PASS}
        assert run.notes == [UNPROTECTED]

    def test_a_server_has_nothing_to_start_and_no_copy_to_give(self) -> None:
        with Server() as server:
            server.start()
            assert server._process is None
            with pytest.raises(WorkerError, match="cannot copy a process"), server.copy():
                pass


def test_an_interrupt_of_a_handler_that_is_not_pythons_counts_as_real() -> None:
    def handle(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt("stop")

    before = signal.signal(signal.SIGINT, handle)
    try:
        with pytest.raises(KeyboardInterrupt, match="stop"), surviving("it"):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is handle
    finally:
        signal.signal(signal.SIGINT, before)
