"""Whatever a person gives a command, it ends with a documented code, in words and without harm.

Each draw starts from arguments that are right, and gives one to three options, or arguments, some
value from the far end of its type. The command runs in this process. BIGRAM_DRAWS says how often.

A stand-in takes the place of work that would be the same, or would last for hours, whatever the
options are:

- a run that trains is interrupted after a few steps, and its batches have a few tokens;
- a text is generated up to three tokens;
- no process is started: a subject is opened in this one, and every clause passes;
- the vectors are not made anew, nor held against the reference;
- the figures of the walkthrough are not computed, and no picture is drawn;
- the engine and the sampler are not drawn, nor is the real text downloaded, nor are files
  without an end, such as /dev/zero, read.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from hypothesis import HealthCheck, event, given, settings, strategies as st

from reference.cli import check as cli_check, engine, generate, main as cli, plots
from reference.cli.options import LEAST_MEMORY, LONGEST, MOST_BATCH, MOST_MEMORY, MOST_SECONDS
from reference.conformance import check
from reference.conformance.errors import SubjectCrash
from reference.conformance.isolation import run as isolation
from reference.conformance.isolation.run import IsolatedRun
from reference.conformance.reports.report_json import to_json
from reference.conformance.runner import Plan, blank
from reference.conformance.subjects.guard import guarded
from reference.conformance.target import Target, open_target
from reference.conformance.vectors import verifying
from reference.conformance.vectors.files import shipped
from reference.conformance.vectors.making import make
from reference.conformance.verdicts import Result, Verdict
from reference.corpus import Corpus
from reference.errors import BigramError
from reference.model import BigramLanguageModel
from reference.runs import signals
from reference.runs.saved_model import save_model
from reference.spec.subject import SubjectError
from reference.vocabulary import Vocabulary
from reference.walkthrough import order, training as figures

DRAWS = int(os.environ.get("BIGRAM_DRAWS", "150"))
CODES = {0, 1, 2, 3, 130}
"""Of the documented exit codes, those that a command can end with here."""

TEXT = "the cat sat on the mat and the rat ran at the hat. " * 4
DEEP = "[" * 50_000
SCALAR = {"C": 3, "idx": [[0]], "targets": [[1]], "table": 0, "layout": "contiguous"}
CASE = json.dumps({"id": "loss.scalar", "case": SCALAR})
MODEL = """
import torch
class Model(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = torch.nn.Embedding(vocab_size, vocab_size)
    def forward(self, idx, targets=None):
        return self.table(idx), None
"""


# The options, as the commands declare them


@dataclass(frozen=True)
class Option:
    """An option or an argument of a command."""

    name: str
    kind: Any
    """What its value is: int, float, str, bool, Path or an Enum."""
    flags: tuple[str, ...]
    """How it is given; nothing for an argument."""
    is_list: bool
    info: Any


@dataclass(frozen=True)
class Command:
    """A command and its options."""

    words: tuple[str, ...]
    options: tuple[Option, ...] = field(default=())


def options_of(function: Callable[..., Any]) -> Iterator[Option]:
    for name, hint in typing.get_type_hints(function, include_extras=True).items():
        if name == "return":
            continue
        kind, info = typing.get_args(hint)
        kinds = [one for one in typing.get_args(kind) if one is not type(None)] or [kind]
        is_list = typing.get_origin(kinds[0]) is list or typing.get_origin(kind) is list
        if is_list:
            kinds = list(typing.get_args(kinds[0])) or kinds
        names = [info.default, *(info.param_decls or ())]  # typer sorts the first one out later
        flags = tuple(one for one in names if isinstance(one, str) and one.startswith("-"))
        yield Option(name, kinds[0], flags, is_list, info)


def commands_of(app: typer.Typer, words: tuple[str, ...] = ()) -> Iterator[Command]:
    for one in app.registered_commands:
        assert one.callback is not None
        name = one.name or one.callback.__name__
        yield Command((*words, name), tuple(options_of(one.callback)))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from commands_of(group.typer_instance, (*words, str(group.typer_instance.info.name)))


COMMANDS = {" ".join(command.words): command for command in commands_of(cli.app)}


def test_every_command_is_tried() -> None:
    assert set(COMMANDS) == set(RIGHT)
    assert sum(len(command.options) for command in COMMANDS.values()) > 70
    assert {option.name for option in COMMANDS["compare"].options if option.is_list} == {"reports"}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_every_number_has_a_least_and_a_greatest_value(command: Command) -> None:
    for option in command.options:
        if option.kind in {int, float}:
            assert option.info.min is not None, option.name
            assert option.info.max is not None, option.name


# What is given


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make what right arguments name: a text, a model, reports, a saved case, a subject."""
    folder = tmp_path_factory.mktemp("there")
    for name in ("text.txt", "[b]\x1b[31m.txt", os.fsdecode(b"\x80.txt"), "-text"):
        (folder / name).write_text(TEXT)
    vocabulary = Vocabulary("".join(sorted(set(TEXT))))
    save_model(BigramLanguageModel(len(vocabulary)), vocabulary, folder / "model")
    report = to_json(check(BigramLanguageModel, clauses=["forward.call"], examples=1))
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "case.json").write_text(CASE)
    (folder / "deep.json").write_text(DEEP)
    (folder / "bytes").write_bytes(bytes(range(256)))
    (folder / "empty").write_text("")
    (folder / "model.py").write_text(MODEL)
    return folder


THERE = ["text.txt", "[b]\x1b[31m.txt", os.fsdecode(b"\x80.txt"), "-text", "model", "report.json"]
THERE += ["case.json", "deep.json", "bytes", "empty", "model.py", "model.py:Model", ".", "missing"]

RIGHT: dict[str, dict[str, list[str]]] = {
    "walkthrough": {"data": ["text.txt"], "steps": ["2"]},
    "generate": {"model_dir": ["model"], "tokens": ["3"], "engine": ["reference"]},
    "check": {},
    "spec": {"wanted": ["loss"]},
    "compare": {"reports": ["report.json", "report.json"]},
    "pipe": {},
    "prepare": {"inputs": ["text.txt"], "out": ["out"]},
    "train": {"data": ["text.txt"], "out": ["out"], "steps": ["2"]},
    "fit": {"data": ["text.txt"], "out": ["out"]},
    "vectors export": {"folder": ["out"]},
    "vectors verify": {},
}
"""Right arguments of each command, in a folder where there are files of these names."""

INTEGERS = [0, 1, -1, 2, 63, 64, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(10**30)]
FLOATS = ["nan", "inf", "-inf", "1e308", "1e309", "1e300", "5e-324", "-0.0", "0.1", "604800"]
WORDS = [
    "",
    " ",
    "-",
    "--",
    "-1",
    "=",
    "a=b",
    "=b",
    ":",
    "a:",
    ":B",
    "a.b:C",
    "json:loads",
    "x" * 300,
    "x" * LONGEST,
    "x" * (LONGEST + 1),
    "a/" * 3000,
    "\0",
    "a\0b",
    "\x1b[31m\x1b]0;title\x07",
    "\x9b\x7f\r\n",
    "[/b]",
    "[bold]x[/]",
    "\udc80",
    "\ud800",
    "\u202eabc",
    "{",
    "{}",
    "[]",
    DEEP,
    '{"id": ' + "[" * 50_000,
    '{"id": "loss.scalar", "case": {"C": NaN}}',
    '{"id": "loss.scalar", "case": {"C": 1}}',
    json.dumps({"id": "loss.scalar", "case": SCALAR | {"C": 10**30}}),
    json.dumps({"id": "loss.scalar", "case": SCALAR | {"idx": [[7]]}}),
    "0x10",
    "1_000",
    "\u0661",
    "1" * 5000,
    "loss",
    "loss.scalar",
    "loss.scalar=because",
    "loss.scalar= ",
    "bigram",
    "causal-lm",
    "arrays",
    "/dev/null",
    "/proc/self/mem",
    "new",
    "new/deep/er",
    "..",
    ".",
    "~",
    "$HOME",
    "%s%n{0}{task}",
    "'",
    '"',
    "a b",
]
RARELY = {"pipe": 1, "vectors export": 1}
"""Commands that take few values, or a second: how often of ten times they are drawn."""
NEVER = {"fast", "auto", "sampler", "tinyshakespeare"}

words = st.sampled_from(WORDS) | st.text(st.characters(), max_size=8)


@st.composite
def values(draw: st.DrawFn, option: Option) -> str:
    """Draw a value of an option: one of its own type, at some end of it, or of any other."""
    choices: list[st.SearchStrategy[str]] = [words, st.sampled_from(THERE)]
    if option.kind in {int, float}:
        limits = [option.info.min, option.info.max]
        near = [one + by for one in limits if one is not None for by in (-1, 0, 1)]
        choices += [st.sampled_from(near + INTEGERS).map(str), st.sampled_from(FLOATS)] * 2
        choices += [st.floats().map(str), st.integers().map(str)]
    elif isinstance(option.kind, type) and issubclass(option.kind, Enum):
        choices.append(st.sampled_from([str(one.value) for one in option.kind]))
    elif option.name == "replay":
        choices.append(st.just(CASE))
    elif option.name in {"html", "junit", "log"}:
        choices.append(st.just("/dev/full"))
    value = draw(st.one_of(choices))
    return value if value not in NEVER else "reference"


@st.composite
def given_to(draw: st.DrawFn) -> list[str]:
    """Draw a command and its arguments."""
    often = [command for name, command in COMMANDS.items() for _ in range(RARELY.get(name, 10))]
    command = draw(st.sampled_from(often))
    right = RIGHT[" ".join(command.words)]
    odd = draw(st.lists(st.sampled_from(command.options), max_size=3, unique_by=lambda o: o.name))
    flags, arguments = [], []
    for option in command.options:
        given = right.get(option.name, [])
        if option in odd:
            count = draw(st.integers(0, 3)) if option.is_list else draw(st.integers(0, 5)) > 0
            given = [draw(values(option)) for _ in range(count)]
        if not option.flags:
            arguments += given
        elif option.kind is bool:
            flags += [option.flags[0]] * bool(given)
        else:
            flag = option.flags[0]
            for value in given:
                flags += [f"{flag}={value}"] if draw(st.booleans()) else [flag, value]
    if draw(st.booleans()) and "as_json" in {option.name for option in command.options}:
        flags.append("--json")
    return [*command.words, *flags, *(["--"] if draw(st.booleans()) else []), *arguments]


# What stands in for work that lasts


class Soon:
    """A stop that is asked for after a few steps."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def signal(self) -> int:
        self.asked += 1
        return signal.SIGINT if self.asked > 3 else 0

    @signal.setter
    def signal(self, number: int) -> None:
        self.asked += 3 * number


class Started:
    """A server of processes, without one."""

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def start(self) -> None:
        pass


def opened(target: Target, seconds: float) -> Any:
    """Open a subject in this process, as a worker would in its own."""
    assert 0.1 <= seconds <= MOST_SECONDS
    try:
        return guarded("opening it", lambda: open_target(target, min(seconds, 1.0)))
    except SubjectError as error:
        if isinstance(error.original, BigramError):
            raise error.original from None
        return None
    except SubjectCrash:
        return None


class Judged(IsolatedRun):
    """A run in which every clause passes."""

    def __iter__(self) -> Iterator[Result]:
        assert LEAST_MEMORY * 2**20 <= self.memory <= MOST_MEMORY * 2**20
        json.dumps({"seconds": self.timeout, "replay": self.plan.replay}, allow_nan=False)
        subject = opened(self.target, self.timeout)
        if subject is None:
            yield from self.unopened(Verdict.FAIL, "it raised")
            return
        for clause in self.plan.clauses:
            self.start(clause)
            yield self.settle(blank(clause, Verdict.PASS))


def judged(target: Target, plan: Plan, **given: Any) -> IsolatedRun:
    return Judged(target, plan, **given)


def few(get_batch: Callable[..., Any]) -> Callable[..., Any]:
    def batch(self: Corpus, split: str, block_size: int, batch_size: int, **given: Any) -> Any:
        assert block_size * batch_size <= MOST_BATCH
        return get_batch(self, split, block_size, min(batch_size, 4), **given)

    return batch


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_check, "Server", Started)
        patch.setattr(isolation, "IsolatedRun", judged)
        patch.setattr(verifying, "check_ours", iter)
        patch.setattr(make, "made", lambda progress: shipped())
        patch.setattr(signals, "Stop", Soon)
        patch.setattr(Corpus, "get_batch", few(Corpus.get_batch))
        patch.setattr(order, "before_training", lambda setting: iter(()))
        patch.setattr(figures, "after_training", lambda *given: iter(()))
        patch.setattr(plots, "save", lambda figure, file: None)
        patch.setattr(plots, "draw", lambda *given: None)
        for name in ("CHUNK", "SAMPLED"):
            patch.setattr(generate, name, 2**31)
        patch.setattr(
            engine,
            "find_voice",
            lambda engine, model: lambda idx, n, generator: idx.repeat(1, 1 + min(n, 3)),
        )
        yield


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: object
    out: str
    err: str


@contextlib.contextmanager
def in_a_copy_of(there: Path) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="bigram-options-") as folder:
        before = Path.cwd()
        shutil.copytree(there, Path(folder) / "here")
        os.chdir(Path(folder) / "here")
        try:
            yield
        finally:
            os.chdir(before)


def run(arguments: list[str], there: Path) -> Ended:
    """Run a command in a copy of a folder, with a short text at standard input."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    before = sys.stdin
    code: object = "nothing"
    with (
        in_a_copy_of(there),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        sys.stdin = io.TextIOWrapper(io.BytesIO(TEXT.encode()), "utf-8")
        try:
            cli.main(arguments)
        except SystemExit as stopped:
            code = 0 if stopped.code is None else stopped.code
        finally:
            sys.stdin = before
            torch.set_grad_enabled(True)
        out.flush()
        err.flush()
        shown = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]
    return Ended(code, *shown)


def is_harmless(shown: str) -> bool:
    return shown.replace("\n", "").isprintable()


@pytest.mark.usefixtures("stand_ins", "own_checks_only")
@settings(
    max_examples=DRAWS,
    derandomize="BIGRAM_DRAWS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_whatever_is_given_a_command_ends_in_words_and_with_a_documented_code(
    there: Path, data: st.DataObject
) -> None:
    arguments = data.draw(given_to())
    ended = run(arguments, there)
    event(f"{arguments[0]} ends with {ended.code}")
    assert ended.code in CODES
    assert is_harmless(ended.err)
    assert "Traceback" not in ended.err
    if "generate" not in arguments[:1]:
        assert is_harmless(ended.out)
    if ended.code == 2:
        assert "error: " in ended.err
        assert len(ended.err) < 10_000
    if ended.code == 0 and "--json" in arguments and "--help" not in arguments:
        assert isinstance(json.loads(ended.out), dict)


@pytest.mark.usefixtures("stand_ins", "own_checks_only")
@pytest.mark.parametrize("name", list(RIGHT))
def test_right_arguments_are_right(name: str, there: Path) -> None:
    arguments = name.split()
    for option, some in RIGHT[name].items():
        (declared,) = (one for one in COMMANDS[name].options if one.name == option)
        for value in some:
            arguments += [declared.flags[0], value] if declared.flags else [value]
    assert run(arguments, there).code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "--timeout", "inf"], "604800"),
        (["check", "--timeout", "-inf"], "0.1"),
        (["check", "--timeout", "nan"], "--timeout"),
        (["check", "--timeout", "1e300"], "604800"),
        (["check", "--memory", str(10**30)], "16777216"),
        (["check", "--seed", "-1"], "--seed"),
        (["check", "--examples", str(10**30)], "1000000"),
        (["check", "--replay", '{"id": ' + "[" * 50_000], "nested deeper than 100"),
        (["check", "--replay", "x" * 300], "too long"),
        (["check", "--replay", "/dev/zero"], "larger than 64 MiB"),
        (["compare", "/dev/zero", "/dev/zero"], "larger than 64 MiB"),
        (["vectors", "verify", "--engine", "fast"], "`bigram check`"),
        (["train", "--out", "m", "--lr", "nan"], "--lr"),
        (["train", "--out", "m", "--lr", "-1"], "--lr"),
        (["train", "--out", "m", "--lr", "1e38"], "1000000"),
        (["train", "--out", "m", "--lr", "inf"], "1000000"),
        (["train", "--out", "m", "--batch-size", str(2**31)], "1048576"),
        (["train", "--out", "m", "--batch-size", "99999", "--block-size", "99999"], "268,435,456"),
        (["fit", "--out", "m", "--add", "1e300"], "1000000"),
        (["check", "a\0b"], "null character"),
        (["check", "x" * (LONGEST + 1)], "131,072 at most"),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_wrong_usage_and_the_range_is_named(
    arguments: list[str], says: str, there: Path
) -> None:
    ended = run(arguments, there)
    assert ended.code == 2
    assert says in ended.err
    assert is_harmless(ended.err)
