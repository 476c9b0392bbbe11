"""Each command ends with the documented exit code, whatever goes wrong: commands by kinds of error.

A command is a row of ROWS. Each cell runs it in a forked process in which one thing goes wrong.
"""

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import typer.rich_utils

from reference.cli import check, loading, main as cli
from reference.cli.exit_codes import INTERRUPTED, TERMINATED
from reference.conformance.isolation import run, server
from reference.conformance.isolation.server import Server
from reference.conformance.pipe import messages
from reference.conformance.reports import comparison
from reference.conformance.reports.report_json import to_json
from reference.conformance.vectors import files, verifying
from reference.conformance.verdicts import Report
from reference.files.sealed import seal, unseal
from reference.runs.curve import LossCurve
from reference.spec import catalogue
from reference.terminal.console import CLOSED
from reference.tokens.encoder import Encoder
from reference.vocabulary import Vocabulary
from tests.children import fork, wait

KINDS = {
    "nothing": 0,
    "does not conform": 1,
    "usage": 2,
    "input": 2,
    "memory": 3,
    "full disk": 3,
    "full output": 3,
    "interrupted": INTERRUPTED,
    "terminated": TERMINATED,
    "reader gone": CLOSED,
}
"""Documented exit code of each kind of error."""


@dataclass(frozen=True)
class Never:
    """A kind of error that cannot happen to a command."""

    why: str


Cell = tuple[str, ...] | Never
"""Arguments to add to the right ones, so that an error happens."""


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def limit_memory_of_server() -> None:
    """Start a server for this command alone, with less memory than torch needs."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({2**28}, {2**28})); "
    server.START = limit + server.START
    check.Server = Server  # type: ignore[attr-defined]  # otherwise the one that all tests share


@dataclass(frozen=True, kw_only=True)
class Row:
    """One command, and how each kind of error happens to it.

    Words in capitals are paths: of what `made` makes, or of what the command writes.
    """

    right: tuple[str, ...] = ()
    usage: tuple[str, ...] = ("--no-such-option",)
    input: Cell
    memory: Cell
    full_disk: Cell = ()
    midst: tuple[Any, str]
    """Function of an object that is called in the midst of the work: a signal comes then."""
    differs: Cell = Never("it does not judge")
    silent: tuple[str, ...] = ()
    """Arguments without which the command works on if nobody reads its output, and ends with 0."""
    limit: Callable[[], None] = limit_memory

    def cell(self, kind: str) -> Cell:
        """Return the arguments that a kind of error needs."""
        cells: dict[str, Cell] = {
            "does not conform": self.differs,
            "usage": self.usage,
            "input": self.input,
            "memory": self.memory,
            "full disk": self.full_disk,
            "reader gone": self.silent,
        }
        return cells.get(kind, ())


PRINTS_ONLY = Never("it writes no file; for standard output see the next column")
READS_NOTHING = Never("it reads nothing but what comes with the package")
NEEDS_LITTLE = Never("what it reads and writes has a fixed size, of some megabytes")

ROWS = {
    "--help": Row(
        input=READS_NOTHING,
        memory=NEEDS_LITTLE,
        full_disk=PRINTS_ONLY,
        midst=(typer.rich_utils, "rich_format_help"),
    ),
    "--version": Row(
        input=READS_NOTHING, memory=NEEDS_LITTLE, full_disk=PRINTS_ONLY, midst=(cli, "write")
    ),
    "walkthrough": Row(
        right=("--data", "twin", "--steps", "2"),
        input=("--data", "MISSING"),
        memory=("--data", "LARGE"),
        full_disk=("--data", "TEXT", "--plot", "OUT"),
        midst=(LossCurve, "add"),
        differs=("--data", "TEXT"),
    ),
    "generate": Row(
        right=("--model", "MODEL", "--tokens", "9"),
        input=("--model", "MISSING"),
        memory=("--model", "WIDE"),
        full_disk=PRINTS_ONLY,
        midst=(Vocabulary, "decode"),
    ),
    "check": Row(
        right=("--clause", "forward.logits.shape"),
        input=("MISSING.py:Model",),
        memory=(),
        full_disk=("--html", "OUT"),
        midst=(run.IsolatedRun, "settle"),
        differs=("WRONG.py:Model",),
        limit=limit_memory_of_server,
    ),
    "spec": Row(
        input=("no.such.clause",),
        memory=NEEDS_LITTLE,
        full_disk=PRINTS_ONLY,
        midst=(catalogue, "catalogue"),
    ),
    "compare": Row(
        right=("REPORT", "REPORT"),
        input=("MISSING",),
        memory=("HUGE",),
        full_disk=("--html", "OUT"),
        midst=(comparison, "compare"),
    ),
    "pipe": Row(
        input=READS_NOTHING,
        memory=NEEDS_LITTLE,
        full_disk=PRINTS_ONLY,
        midst=(messages, "schema"),
    ),
    "prepare": Row(
        right=("TEXT", "--out", "OUT"),
        input=("MISSING",),
        memory=("WINDOW",),
        full_disk=("LARGE",),
        midst=(Encoder, "encode"),
        silent=("--json",),
    ),
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
        midst=(loading, "count_pairs"),
        silent=("--json",),
    ),
    "vectors export": Row(
        right=("OUT",),
        input=READS_NOTHING,
        memory=NEEDS_LITTLE,
        midst=(files, "shipped"),
    ),
    "vectors verify": Row(
        right=("VECTORS",),
        usage=("--subject", "RIGHT.py:Model"),
        input=("MISSING",),
        memory=NEEDS_LITTLE,
        full_disk=PRINTS_ONLY,
        midst=(verifying, "check_ours"),
    ),
}

CELLS = [
    (command, kind)
    for command, row in ROWS.items()
    for kind in KINDS
    if not isinstance(row.cell(kind), Never)
]

ALPHABET = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))  # its table is larger than FILE_SIZE
LARGE = "".join(map(chr, range(0x10000, 0x10000 + 60_000)))  # its counts are 29 GB
FILE_SIZE, MEMORY = 2**12, 2**27
WIDE = 12_000
"""Characters of a model whose table, of 576 MB, is all zeros, which takes no room on the disk."""
WINDOW = b"\x28\xb5\x2f\xfd\x00\x90\x11\x00\x00ab"
"""A frame of Zstandard with a window of 256 MiB, and two characters."""
MODEL = """
from torch import nn

class Model(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        return self.token_embedding_table(idx), None
"""


def exit_code(command: str, *more: str, out: Path, made: Path, prepare: Callable[[], None]) -> int:
    """Run a command in a fork, and return its exit code as a shell has it."""

    def path(word: re.Match[str]) -> str:
        return str((out if word[0] == "OUT" else made) / word[0])

    words = [re.sub(r"^[A-Z]+\b", path, word) for word in more]

    def work() -> None:
        prepare()
        cli.main([*command.split(), *words])

    code = wait(fork(work, output=out / "output"))
    return code if code >= 0 else 128 - code


def fill_disk() -> None:
    _print_to(os.open(os.devnull, os.O_WRONLY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))


def fill_output() -> None:
    _print_to(os.open("/dev/full", os.O_WRONLY))


def leave_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    _print_to(writing)


def _print_to(descriptor: int) -> None:
    sys.stdout.close()  # or it would close descriptor 1 later
    os.dup2(descriptor, 1)
    sys.stdout = os.fdopen(1, "w")  # as Python opens it: this is no place to seek in


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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, one_server: Server) -> Path:
    """Make what commands read, and import what they import, once for all forks."""
    one_server.start()
    folder = tmp_path_factory.mktemp("made")
    (folder / "TEXT").write_text(ALPHABET * 3)
    (folder / "LARGE").write_text(LARGE)
    (folder / "WINDOW").write_bytes(WINDOW)
    (folder / "HUGE").write_text('"' + "a" * 2**25 + '\U00010000"')  # 128 MiB as a str
    (folder / "RIGHT.py").write_text(MODEL)
    (folder / "WRONG.py").write_text(MODEL.replace("(idx)", "(idx)[:, :, 1:]"))
    report = Report(
        subject="", contract="1.0", profile="bigram", seed=0, planned=0, clauses=(), notes=()
    )
    (folder / "REPORT").write_text(json.dumps(to_json(report)))
    make_vectors(folder / "VECTORS", "forward.logits.shape.json")
    make_wide_model(folder / "WIDE")
    text = ("--data", str(folder / "TEXT"))
    for words in (
        ("fit", *text, "--out", str(folder / "MODEL")),
        ("train", *text, "--out", str(folder / "trained"), "--steps", "1"),
        ("walkthrough", *text, "--steps", "1", "--plot", str(folder / "plots")),
    ):
        with pytest.raises(SystemExit):
            cli.main(words)
    return folder


def make_vectors(folder: Path, *names: str) -> None:
    """Make a folder of the vectors of these files alone."""
    shipped = files.shipped()
    manifest = unseal(shipped[files.MANIFEST])
    wanted = {name: manifest["files"][name] for name in (*names, files.SCHEMA)}
    folder.mkdir()
    for name in wanted:
        (folder / name).write_bytes(shipped[name])
    (folder / files.MANIFEST).write_bytes(seal({**manifest, "files": wanted}))


def make_wide_model(folder: Path) -> None:
    """Make a model that takes much memory, and no room on the disk."""
    size = WIDE * WIDE * 4
    table = {"dtype": "F32", "shape": [WIDE, WIDE], "data_offsets": [0, size]}
    header = json.dumps({"token_embedding_table.weight": table}).encode()
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)


def commands(group: Any, *before: str) -> Iterator[str]:
    """Yield the names of typer's commands, and those of groups with the group's."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name))


def test_every_command_has_a_row() -> None:
    names = set(commands(typer.main.get_command(cli.app)))
    assert names | {"--help", "--version"} == set(ROWS)


@pytest.mark.parametrize(("command", "kind"), CELLS)
def test_each_kind_of_error_has_its_exit_code(
    command: str, kind: str, made: Path, tmp_path: Path
) -> None:
    row = ROWS[command]
    prepare = {
        "memory": row.limit,
        "full disk": fill_disk,
        "full output": fill_output,
        "interrupted": signalled(row.midst, signal.SIGINT),
        "terminated": signalled(row.midst, signal.SIGTERM),
        "reader gone": leave_output,
    }.get(kind, lambda: None)
    more = row.cell(kind)
    assert not isinstance(more, Never)
    code = exit_code(command, *row.right, *more, out=tmp_path, made=made, prepare=prepare)
    output = (tmp_path / "output").read_text()
    assert code == KINDS[kind], output
    assert "Traceback" not in output
    assert ("error: " in output) == (code in {2, 3})


@pytest.mark.parametrize("command", [command for command, row in ROWS.items() if row.silent])
def test_a_reader_that_has_gone_costs_no_work(command: str, made: Path, tmp_path: Path) -> None:
    right = ROWS[command].right
    assert exit_code(command, *right, out=tmp_path, made=made, prepare=leave_output) == 0
    assert (tmp_path / "OUT").exists()
