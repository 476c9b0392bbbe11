"""Each command ends with the documented exit code, whatever goes wrong: commands by kinds of error.

A command is a row of ROWS. Each cell runs it in a forked process in which one thing goes wrong.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reference import cli, jobs
from reference.curve import LossCurve
from reference.terminal import CLOSED, INTERRUPTED, TERMINATED
from tests.children import fork, wait

KINDS = {
    "nothing": 0,
    "usage": 2,
    "input": 2,
    "memory": 3,
    "full disk": 3,
    "interrupted": INTERRUPTED,
    "terminated": TERMINATED,
    "reader gone": CLOSED,
}
"""Documented exit code of each kind of error."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One command, and how each kind of error happens to it."""

    right: tuple[str, ...]
    """Arguments that are right; TEXT, LARGE and OUT are paths."""
    usage: tuple[str, ...]
    """Arguments to add that are wrong usage."""
    input: tuple[str, ...]
    """Arguments to add that are a wrong input."""
    memory: tuple[str, ...]
    """Arguments to add that need more memory than there is."""
    midst: tuple[Any, str]
    """Function of an object that is called in the midst of the work: a signal comes then."""
    silent: tuple[str, ...] = ()
    """Arguments without which the command works on if nobody reads its output, and ends with 0."""


ROWS = {
    "train": Row(
        right=("--data", "TEXT", "--out", "OUT", "--steps", "9"),
        usage=("--steps", "x"),
        input=("--data", "MISSING"),
        memory=("--data", "LARGE"),
        midst=(LossCurve, "add"),
        silent=("--json",),
    ),
    "fit": Row(
        right=("--data", "TEXT", "--out", "OUT"),
        usage=("--add", "x"),
        input=("--data", "MISSING"),
        memory=("--data", "LARGE"),
        midst=(jobs, "count_pairs"),
        silent=("--json",),
    ),
}

ALPHABET = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))  # its table is larger than FILE_SIZE
LARGE = "".join(map(chr, range(0x10000, 0x10000 + 60_000)))  # its counts are 29 GB
FILE_SIZE, MEMORY = 2**14, 2**30


def exit_code(command: str, *more: str, folder: Path, prepare: Callable[[], object]) -> int:
    """Run a command in a fork, and return its exit code as a shell has it."""
    (folder / "TEXT").write_text(ALPHABET * 3)
    (folder / "LARGE").write_text(LARGE)
    words = [word if not word.isupper() else str(folder / word) for word in more]

    def work() -> None:
        prepare()
        cli.main([command, *words])

    code = wait(fork(work, output=folder / "output"))
    return code if code >= 0 else 128 - code


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def fill_disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))


def leave_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sys.stdout.close()  # or it would close descriptor 1 later
    os.dup2(writing, 1)
    sys.stdout = os.fdopen(1, "w")  # as Python opens it: this pipe is no place to seek in


def signalled(midst: tuple[Any, str], number: int) -> Callable[[], None]:
    def prepare() -> None:
        owner, name = midst
        call = getattr(owner, name)

        def call_and_signal(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            os.kill(os.getpid(), number)
            return result

        setattr(owner, name, call_and_signal)

    return prepare


@pytest.fixture(scope="module", autouse=True)
def _loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what the commands import, once for all forks."""
    folder = tmp_path_factory.mktemp("loaded")
    (folder / "text").write_text(ALPHABET * 3)
    for command in ("train", "fit"):
        out = str(folder / command)
        steps = ["--steps", "1"] if command == "train" else []
        with pytest.raises(SystemExit):
            cli.main([command, "--data", str(folder / "text"), "--out", out, *steps])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ROWS)
def test_each_kind_of_error_has_its_exit_code(command: str, kind: str, tmp_path: Path) -> None:
    row = ROWS[command]
    more, prepare = {
        "nothing": ((), lambda: None),
        "usage": (row.usage, lambda: None),
        "input": (row.input, lambda: None),
        "memory": (row.memory, limit_memory),
        "full disk": ((), fill_disk),
        "interrupted": ((), signalled(row.midst, signal.SIGINT)),
        "terminated": ((), signalled(row.midst, signal.SIGTERM)),
        "reader gone": (row.silent, leave_output),
    }[kind]
    code = exit_code(command, *row.right, *more, folder=tmp_path, prepare=prepare)
    output = (tmp_path / "output").read_text()
    assert code == KINDS[kind], output
    assert "Traceback" not in output
    assert ("error: " in output) == (code in {2, 3})


@pytest.mark.parametrize("command", [command for command, row in ROWS.items() if row.silent])
def test_a_reader_that_has_gone_costs_no_work(command: str, tmp_path: Path) -> None:
    right = ROWS[command].right
    assert exit_code(command, *right, folder=tmp_path, prepare=leave_output) == 0
    assert (tmp_path / "OUT").exists()
