"""Nothing that is shown can style, break or steer the terminal, whoever wrote it."""

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TextIO

import pytest
import torch
from hypothesis import given, strategies as st
from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Span, Text

import reference
from reference.cli import exit_codes, main as cli
from reference.cli.output import OutputConsole, print_json
from reference.conformance.parametrize import tell_pytest
from reference.conformance.reports.comparison import compare
from reference.conformance.reports.comparison_terminal import print_comparison
from reference.conformance.reports.report_terminal import print_report
from reference.conformance.verdicts import Report, Result, Verdict
from reference.errors import BigramError
from reference.model import BigramLanguageModel
from reference.runs.saved_model import save_model
from reference.spec.clause import Level
from reference.terminal import console
from reference.terminal.bars import Words, bar
from reference.terminal.console import SafeConsole, write
from reference.vocabulary import Vocabulary
from tests.commands import run

PACKAGE = Path(reference.__file__).parent
STEERING = (
    "\x1b[2J\x1b[31mI own your terminal\x1b]0;title\x07",
    "[bold red]x[/] [/b] [link=http://x]y[/link] :smile:",
    "\x9b31m\x00\x7f\b",
    "a\r\n\tb\x0b\x0c",
    "\udc80\ud800",
    "\u202egnorw\u2066",
    "\x1b]8;;http://x\x1b\\",
)
texts = st.sampled_from(STEERING) | st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\x1b[]/\\\r\n\t:\x9b\x7f"), max_size=15
)


def is_harmless(shown: str) -> bool:
    """Tell whether text has no control character, and nothing else that hides, but line ends."""
    return shown.replace("\n", "").isprintable()


@contextlib.contextmanager
def shown_on(
    width: int = 60, console: type[Console] = SafeConsole
) -> Iterator[tuple[Console, io.StringIO]]:
    """Give a console of a terminal without colours, and what it shows."""
    file = io.StringIO()
    yield console(file=file, width=width, force_terminal=True, color_system=None), file


class TestTheConsole:
    @given(texts, texts)
    def test_a_string_is_text_and_not_markup(self, one: str, other: str) -> None:
        with shown_on(width=1000) as (console, file):
            console.print(one, other)
            assert is_harmless(file.getvalue())
        if is_harmless(one + other):
            assert file.getvalue() == f"{one} {other}\n"

    @given(texts, st.integers(1, 40))
    def test_no_control_character_gets_through_whatever_is_printed(
        self, text: str, width: int
    ) -> None:
        table = Table(title=text, caption=text)
        table.add_column(text)
        table.add_row(text)
        table.add_row(Text(text, end=text))
        as_it_is = SimpleNamespace(__rich_console__=lambda _console, _options: [Segment(text)])
        with shown_on(width) as (console, file):
            console.print(Text(text), Padding(Text(text), 1), table, text, 7, {text: text})
            console.print(as_it_is)
            console.print(SimpleNamespace(__rich__=lambda: Text(text)))
            console.rule(text)
            console.rule(Text(text))
            console.out(text)
            console.log(text)
            console.print(text, soft_wrap=True, markup=True, emoji=True, highlight=True)
        assert is_harmless(file.getvalue())

    def test_escaped_text_keeps_its_styles_in_place(self) -> None:
        text = Text("a\x1bb[c]", spans=[Span(1, 2, "bold"), Span(2, 3, "red"), Span(3, 9, "dim")])
        made = console.escaped(text)
        assert made.plain == r"a\x1bb[c]"
        assert made.spans == [Span(1, 5, "bold"), Span(5, 6, "red"), Span(6, 9, "dim")]

    def test_text_that_is_printable_is_left_alone(self) -> None:
        text = Text("a\nb", "bold")
        assert console.escaped(text) is text

    def test_lines_are_broken_after_escaping(self) -> None:
        with shown_on(width=8) as (console, file):
            console.print(Text("\x1b" * 4))
        assert file.getvalue().split() == [r"\x1b\x1b"] * 2

    @given(texts)
    def test_a_status_is_text(self, text: str) -> None:
        with shown_on() as (console, file):
            status = console.status(text)
            console.print(status.renderable)
            status.update(text)
            console.print(status.renderable)
        assert is_harmless(file.getvalue())
        assert ("[/b]" in text) == ("[/b]" in file.getvalue())

    @given(texts)
    def test_a_progress_bar_is_text(self, text: str) -> None:
        with shown_on() as (console, file):
            progress = bar(console, Words("{task.description} {task.fields[rest]}"))
            progress.add_task(text, rest=text)
            console.print(progress.get_renderable())
        assert is_harmless(file.getvalue())
        if text.isprintable():
            assert text.strip()[:9].strip() in file.getvalue()


def drawn_report(texts_of: Callable[[], Any]) -> Report:
    results = [
        Result(
            id="loss.mean" if place else str(texts_of()),
            level=Level.MUST,
            verdict=verdict,
            sentence=texts_of(),
            cause=texts_of(),
            expected=texts_of(),
            seen=texts_of(),
            case={texts_of(): [texts_of()]},
            code=texts_of(),
            replay=texts_of(),
        )
        for place, verdict in enumerate((Verdict.FAIL, Verdict.BLOCKED))
    ]
    choice = Result(
        id="loss.ignore-index",
        level=Level.CHOICE,
        verdict=Verdict.PASS,
        sentence="",
        seen=texts_of(),
    )
    return Report(
        subject=texts_of(),
        contract=texts_of(),
        profile=texts_of(),
        seed=0,
        planned=3,
        clauses=(*results, choice),
        notes=(texts_of(), texts_of()),
        ended=texts_of(),
    )


@given(st.data(), st.sampled_from([20, 60, 200]), st.booleans())
def test_no_text_of_a_report_steers_the_terminal(
    data: st.DataObject, width: int, verbose: bool
) -> None:
    made = drawn_report(lambda: data.draw(texts))
    with shown_on(width) as (console, file):
        print_report(console, made, verbose=verbose)
    assert is_harmless(file.getvalue())


@given(st.data(), st.sampled_from([20, 60, 200]), st.booleans())
def test_no_text_of_a_comparison_steers_the_terminal(
    data: st.DataObject, width: int, verbose: bool
) -> None:
    reports = [drawn_report(lambda: data.draw(texts)) for _ in range(2)]
    made = compare(reports, sources=[data.draw(texts), data.draw(texts)])
    with shown_on(width) as (console, file):
        print_comparison(console, made, sentences={"loss.mean": data.draw(texts)}, verbose=verbose)
    assert is_harmless(file.getvalue())


@given(texts, st.sampled_from(Verdict))
def test_no_text_of_a_result_steers_the_terminal_of_pytest(text: str, verdict: Verdict) -> None:
    made = Result(
        id="loss.mean",
        level=Level.MUST,
        verdict=verdict,
        sentence=text,
        cause=text,
        expected=text or "x",
        seen=text,
        code=text,
        replay=text,
    )
    said = ""
    try:
        tell_pytest(made)
    except (pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception) as ended:
        said = str(ended)
    assert is_harmless(said)
    assert bool(said) == (verdict is not Verdict.PASS)


def _raise(error: Exception) -> NoReturn:
    raise error


@pytest.mark.parametrize("text", STEERING)
@pytest.mark.parametrize("ranks", ["1", "2", "\x1b"])
def test_an_error_is_text_with_the_lines_it_has(
    text: str,
    ranks: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", ranks)
    monkeypatch.setenv("RANK", "\x1b[31m[/b]")
    with pytest.raises(SystemExit):
        exit_codes.run(lambda arguments: _raise(BigramError(text)), [])
    shown = capsys.readouterr().err
    assert is_harmless(shown)
    assert shown.count("\n") == 1 + text.count("\n")
    assert ("rank" in shown) == (ranks != "1")


def test_an_error_of_a_process_without_a_rank_names_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SystemExit):
        exit_codes.run(lambda arguments: _raise(BigramError("why")), [])
    assert capsys.readouterr().err == "error: why\n"


@pytest.mark.parametrize("said", ["", "x\ny"])
def test_memory_that_runs_out_is_told_of_whatever_the_error_says(
    said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        exit_codes.run(lambda arguments: _raise(MemoryError(said)), [])
    assert stopped.value.code == 3
    shown = capsys.readouterr().err
    assert shown == f"error: there is not enough memory{': x' if said else ''}\n"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("a view may not share memory with its base"), False),
    ],
)
def test_only_a_lack_of_memory_is_reported_as_one(error: Exception, is_memory: bool) -> None:
    with pytest.raises(SystemExit if is_memory else RuntimeError) as stopped:
        exit_codes.run(lambda arguments: _raise(error), [])
    assert stopped.value.args == ((3,) if is_memory else error.args)


@contextlib.contextmanager
def unwritable(kind: str) -> Iterator[TextIO]:
    """Yield a stream that can't be written: its disk is full, or its reader has gone."""
    if kind == "full":
        with Path("/dev/full").open("w", encoding="utf-8") as stream:
            yield stream
    else:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123  it is a number
            yield stream


unwritable_streams = pytest.mark.parametrize(
    "kind",
    [
        "reader gone",
        pytest.param(
            "full",
            marks=pytest.mark.skipif(
                not Path("/dev/full").exists(), reason="this system has no /dev/full"
            ),
        ),
    ],
)


@unwritable_streams
def test_an_error_that_cannot_be_shown_keeps_its_exit_code(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["generate", "--model", "no/such"], ["check", "--no-such-option"]):
        with unwritable(kind) as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            with pytest.raises(SystemExit) as stopped:
                cli.main(arguments)
        assert stopped.value.code == 2


@unwritable_streams
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_message_that_cannot_be_shown_does_not_end_the_work(
    options: list[str],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vocabulary = Vocabulary("ab")
    save_model(BigramLanguageModel(2), vocabulary, tmp_path / "m", about={})
    arguments = ["generate", "--model", str(tmp_path / "m"), "--tokens", "5", *options]
    with unwritable(kind) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 0
        console = OutputConsole(as_json=True, stops=True)
        console.quiet = False  # as on a terminal
        console.print("a message")
    text = capsys.readouterr().out
    assert len(json.loads(text)["text"] if options else text.rstrip("\n")) == 1 + 5


def test_a_stream_that_was_closed_before_the_start_takes_no_file(tmp_path: Path) -> None:
    # Its number would go to the next file that is opened, and messages would end up in there.
    code = (
        "import os; from reference.cli import exit_codes\n"
        "def command(arguments):\n"
        "    with open('own', 'w') as file:\n"
        "        os.write(2, b'message'); print(file.fileno(), file=file)\n"
        "exit_codes.run(command, [])"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    command = ["sh", "-c", 'exec "$0" -c "$1" 0<&- 1>&- 2>&-', sys.executable, code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)  # noqa: S603  ours
    assert done.returncode == 0
    assert int((tmp_path / "own").read_text()) > 2


def test_an_error_that_torchrun_cannot_be_told_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "no" / "such"))
    with pytest.raises(SystemExit) as stopped:
        exit_codes.run(lambda arguments: _raise(BigramError("it is wrong")), [])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "rank 1: error: it is wrong\n"


def test_an_error_of_any_length_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exit_codes.run(lambda arguments: _raise(BigramError(f"a{'x' * 10_000}\x1bz")), [])
    shown = capsys.readouterr().err
    assert shown.startswith("error: axxx")
    assert "xx [... 8,006 characters ...] xx" in shown
    assert shown.endswith("x\\x1bz\n")


@pytest.mark.parametrize("text", STEERING)
def test_wrong_usage_is_told_as_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [text],
        ["check", "--level", text],
        ["check", "--timeout", text],
        ["check", "a:B", "--engine", "fast", "--adapter", text],
        ["check", text, "--engine", "fast"],
        ["check", f"--{text}"],
        ["spec", text],
        ["spec", "--profile", text],
        ["compare", text],
        ["vectors", "verify", text],
        ["generate", "--model", text],
        ["prepare", text, "--out", "/nowhere/x"],
        ["train", "--out", "/nowhere/x", "--data", text],
    ):
        assert run(*arguments) == 2
        shown = capsys.readouterr()
        assert is_harmless(shown.err)
        assert "\nerror: " in f"\n{shown.err}"
        assert not shown.out


def test_a_folder_s_name_is_not_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("vectors", "export", "a[/b]\x1b[31m") == 0
    assert capsys.readouterr().out.startswith(r"a[/b]\x1b[31m: ")


@pytest.fixture
def steering_model(tmp_path: Path) -> Path:
    """Save a model that says nothing but a terminal's commands, and lines."""
    torch.manual_seed(0)
    characters = "\t\n\x1b[2J\x07\x9b\r"
    vocabulary = Vocabulary("".join(sorted(characters)))
    save_model(BigramLanguageModel(len(vocabulary)), vocabulary, tmp_path / "m", about={})
    return tmp_path / "m"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_generated_text_steers_no_terminal_and_is_piped_as_it_is(
    *,
    steering_model: Path,
    is_terminal: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    model = str(steering_model)
    assert run("generate", "--model", model, "--prompt", "\x1b[2J\x9b\t\n", "--seed", "1") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("\\x1b[2J\\x9b\t\n" if is_terminal else "\x1b[2J\x9b\t\n")
    assert is_harmless(shown.out.replace("\t", "")) == is_terminal
    assert is_harmless(shown.err)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_json_holds_no_control_character(
    *, is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = "".join(map(chr, range(0xD801)))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    print_json(text=every)
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert json.loads(shown) == {"text": every}


def test_written_text_is_escaped_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("\x1b\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write("\x1b\u3000\n")
    assert capsys.readouterr().out == "\x1b\n\\x1b\u3000\n"


ESC = """
import torch
class Esc(torch.nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.table = torch.nn.Embedding(vocab_size, vocab_size)
    def forward(self, idx, targets=None):
        raise ValueError("\\x1b[2J\\x1b[31mI own your terminal\\x1b]0;title\\x07")
"""


@pytest.mark.parametrize("options", [["--clause", "forward.logits.shape"], ["--verbose"]])
def test_a_subject_s_own_words_do_not_steer_the_terminal(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "esc.py").write_text(ESC)
    assert run("check", f"{tmp_path / 'esc.py'}:Esc", *options) == 1
    shown = capsys.readouterr()
    assert is_harmless(shown.out)
    assert "Iownyourterminal" in "".join(shown.out.split())


# By construction


ONLY_THERE = {
    "Console",
    "Status",
    "Spinner",
    "Live",
    "Progress",
    "TextColumn",
    "SpinnerColumn",
    "Markdown",
    "echo",
    "secho",
    "from_markup",
    "from_ansi",
    "get_default_columns",
    "render_markup",
    "print_exc",
}
"""What shows text, or takes it for markup: only the modules in SHOWS call it."""

BUILT_IN = {"print", "input"}
STREAMS = {"write", "writelines", "buffer"}


def uses(tree: ast.AST) -> Iterator[str]:
    """Give what a module calls of the names above, and what it writes to the streams."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in BUILT_IN or called.rpartition(".")[2] in ONLY_THERE:
                yield f"{called}() in line {node.lineno}"
        if isinstance(node, ast.Attribute) and node.attr in STREAMS:
            stream = ast.unparse(node.value)
            if stream in {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}:
                yield f"{stream}.{node.attr} in line {node.lineno}"


@pytest.mark.parametrize(
    "source",
    [
        "print(1)",
        "Console()",
        "rich.console.Console()",
        "Progress(console=console)",
        "Text.from_markup(x)",
        "typer.echo(x)",
        "sys.stdout.write(x)",
        "sys.stderr.buffer.write(x)",
    ],
)
def test_what_shows_text_is_found(source: str) -> None:
    assert list(uses(ast.parse(source)))


SHOWS = {"terminal/console.py", "terminal/bars.py", "cli/exit_codes.py", "cli/output.py"}


def test_the_package_shows_text_in_one_place() -> None:
    # What a worker prints is caught, and shown by the kit as the subject's.
    allowed = {f"conformance/isolation/{one}.py": {"print_exc"} for one in ("worker", "fork")}
    for file in PACKAGE.rglob("*.py"):
        name = file.relative_to(PACKAGE).as_posix()
        found = [
            use
            for use in uses(ast.parse(file.read_text("utf-8")))
            if name not in SHOWS
            and use.split("(")[0].rpartition(".")[2] not in allowed.get(name, ())
        ]
        assert not found, (name, found)


def test_the_commands_console_is_safe() -> None:
    assert issubclass(OutputConsole, SafeConsole)
    console = OutputConsole(as_json=False, stops=True)
    assert isinstance(console.render_str("[b]"), Text)
    assert console.render_str("[b]").plain == "[b]"


def test_typer_s_usage_errors_are_known() -> None:
    assert exit_codes.USAGE_ERROR.__name__ == "UsageError"
    assert re.fullmatch(console.CONTROL, "\x1b")
