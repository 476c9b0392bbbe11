r"""Every code sample of the site and of the README is run; this is the pytest plugin that does it.

    pytest -c docs/pytest.ini --rootdir . docs README.md

The rules for whoever writes a page. These plain fences may stand in it, each opened by three
backticks and one of these words; every other fence is a Sphinx directive, as {note}:

- python: is run. All samples of a page share their names and a temporary working folder. Each page
  begins anew, and what it draws at random moves no other page; a page that shows draws seeds first.
  Where the first line is a comment that is a file's name, as "# my_model.py", the sample is written
  to that file instead, and a later sample of the page has to use it.
- text: what the python sample just before it printed. A sample that prints needs one.
- console: lines that begin with "$ " are commands (a "\" at the end goes on in the next line), run
  by one bash in the page's folder; the lines after a command are what it prints, errors included.
  Where no line is shown, none is compared. The exit code must be 0, unless the next command is
  "echo $?" with its answer.
- yaml, toml: are written to the file that the first line names, "# .github/workflows/x.yml", and
  must parse.
- javascript: is written to the file that the first line names, "// my_model.mjs"; a later sample of
  the page has to use it.
- sh: in the README alone, one command that installs. `.ci/run` takes it from there and runs it.

In what is printed "..." stands for anything, and spaces at the end of a line do not count; more
than "..." has to be shown. A sample that speaks of tinyshakespeare finds it downloaded already, and
is skipped where the shared copy is missing. A fence of another word, one of "~", an indented block
and a directive that shows code of its own, as {code-block}, would be samples that nobody runs: they
stop the collection. {literalinclude} is welcome.
"""

import contextlib
import doctest
import importlib
import io
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.doctest import OutputChecker
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.region import Lexeme
from sybil.typing import Evaluator

REAL_TEXT = Path(__file__).parents[3] / "shared/data/tinyshakespeare.txt"
PAGE = "__page__"  # where the names of a page keep its state
TIME = 600  # seconds, after which a console is given up

LANGUAGES = {"python", "text", "console", "yaml", "toml", "javascript", "sh"}
WRITTEN = {"yaml", "toml", "javascript"}
"""Of these, the languages whose samples are files only."""
SHOWS_CODE = {"code", "code-block", "code-cell", "sourcecode", "parsed-literal", "prompt"}
SHOWS_CODE |= {"doctest", "testcode", "testsetup", "testoutput"}
NOT_MARKDOWN = {"eval-rst", "math", "raw", "toctree"}

OPENING = re.compile(r"[ \t]*```(\w+)")
DIRECTIVE = re.compile(r"\{([^}\s]+)\}")
# A literal block, one of the directives that show code, or a doctest, in reStructuredText.
RST_CODE = re.compile(
    rf"^(?!\s*\.\. ).*::$|^\s*\.\. ({'|'.join(sorted(SHOWS_CODE))})::|^\s*>>> ", re.MULTILINE
)
# Each part of the path begins with a letter or with one dot: it stays in the page's folder.
FILE = re.compile(r"(?:#|//) ((?:\.?\w[\w-]*/)*\.?\w[\w.-]*\.(?:py|toml|ya?ml|mjs))")

RUN = (".py", ".mjs")
"""Ends of the names of files that do something, so that a later sample has to use them."""

LEXER = RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)(?:\n|\Z)"))
MARKDOWN = create_md_parser(
    MdParserConfig(enable_extensions={"colon_fence", "deflist", "dollarmath"}), RendererHTML
)
PYTHON = PythonEvaluator()
torch.set_num_threads(1)  # samples are small: several threads would wait for one another
CHECKER = OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE | doctest.DONT_ACCEPT_TRUE_FOR_1


# What stands on a page


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A fence as it stands; `line` is that of its opening, counted from 1."""

    language: str
    line: int
    source: str
    start: int
    end: int

    @property
    def file(self) -> str | None:
        """The file that it is to be written to, if it names one."""
        named = FILE.fullmatch(self.source.partition("\n")[0].rstrip())
        return named[1] if named and self.language in WRITTEN | {"python"} else None

    @property
    def runs_python(self) -> bool:
        """Whether it is run here, and so may print."""
        return self.language == "python" and self.file is None


def parse(document: Document) -> Iterable[Region]:
    """Give Sybil the samples of a page, each with what evaluates it, or refuse the page."""
    samples, problems = read(document)
    problems += misplaced(samples)
    if problems:
        told = "\n".join(f"  line {line}: {what}" for line, what in sorted(problems))
        raise pytest.Collector.CollectError(f"{document.path} has what nobody runs:\n{told}")
    for number, sample in enumerate(samples):
        answered = [after.language for after in samples[number + 1 : number + 2]] == ["text"]
        source = Lexeme(sample.source, 0, 0)
        yield Region(sample.start, sample.end, source, evaluator(sample, answered=answered))


Problem = tuple[int, str]


def read(document: Document) -> tuple[list[Sample], list[Problem]]:
    """Find the samples, and whatever shows code and is none."""
    samples: list[Sample] = []
    problems: list[Problem] = []
    seen: set[int] = set()
    for region in sorted(LEXER(document), key=lambda region: region.start):
        line = document.text.count("\n", 0, region.start) + 1
        seen.add(line)
        lines = document.text[region.start : region.end].split("\n")
        named = OPENING.fullmatch(lines[0].rstrip())
        if DIRECTIVE.match(region.lexemes["info"].strip()):
            continue  # judged below, as Markdown sees it
        if named is None or named[1] not in LANGUAGES:
            problems.append((line, f"a stray fence, {lines[0].strip()!r}"))
        elif len(lines) == 1 or lines[-1].strip() != "```":
            problems.append((line, "a fence that is never closed"))
        else:
            indent = len(lines[0]) - len(lines[0].lstrip())
            source = "".join(inner[indent:] + "\n" for inner in lines[1:-1])
            samples.append(
                Sample(
                    language=named[1],
                    line=line,
                    source=source,
                    start=region.start,
                    end=region.end,
                )
            )
    return samples, problems + list(unseen(document.text, seen))


def unseen(text: str, seen: set[int]) -> Iterator[Problem]:
    """Find the code that Markdown shows, and that is not among the fences at the lines `seen`."""
    shown: set[int] = set()
    for line, token in blocks(text):
        directive = DIRECTIVE.match(token.info.strip())
        if token.type == "fence":
            shown.add(line)
        if token.type == "code_block":
            yield line, "a stray fence, or rather an indented block of code"
        elif token.markup.startswith("~") or (directive is None and token.type == "colon_fence"):
            yield line, f"a stray fence, '{token.markup}{token.info}'"
        elif directive is not None and directive[1] in SHOWS_CODE:
            yield line, f"a stray fence, the directive {directive[0]}"
        elif (
            directive is not None and directive[1] == "eval-rst" and RST_CODE.search(token.content)
        ):
            yield line, "a stray fence, or rather code in reStructuredText"
    for line in sorted(shown ^ seen):
        yield line, "a stray fence: Markdown and Sybil do not agree that one opens here"


def blocks(text: str, first: int = 1) -> Iterator[tuple[int, Token]]:
    """Give every block of code or directive of a text, with its line, those in directives too."""
    for token in MARKDOWN.parse(text):
        if token.type in {"fence", "colon_fence", "code_block"} and token.map is not None:
            line = first + token.map[0]
            yield line, token
            directive = DIRECTIVE.match(token.info.strip())
            if directive is not None and directive[1] not in NOT_MARKDOWN | SHOWS_CODE:
                yield from blocks(token.content, line + 1)


def misplaced(samples: list[Sample]) -> Iterator[Problem]:
    """Find the samples that cannot be run where they stand, or as they stand."""
    for number, sample in enumerate(samples):
        before, after = samples[:number][-1:], samples[number + 1 :]
        if sample.language == "text":
            if not (before and before[0].runs_python):
                yield sample.line, "a text fence with no python sample just before it"
            if not set(sample.source.split()) - {"..."}:
                yield sample.line, "a text fence that any output would match"
        elif sample.language == "console" and not sample.source.startswith("$ "):
            yield sample.line, "a console fence that does not begin with a command, '$ ...'"
        elif sample.language in WRITTEN and sample.file is None:
            yield sample.line, f"a {sample.language} fence whose first line names no file"
        elif sample.file and sample.file.endswith(RUN) and not used(Path(sample.file), after):
            yield sample.line, f"{sample.file} is written, and no later sample uses it"


def used(file: Path, after: list[Sample]) -> bool:
    """Whether a later sample names a file or its module, or runs pytest, which finds its own."""
    word = file.stem
    if word == "conftest" or word.startswith("test_"):
        word = rf"pytest\b|{word}"
    return any(
        re.search(rf"\b(?:{word})\b", sample.source)
        for sample in after
        if sample.language in {"python", "console"}
    )


def evaluator(sample: Sample, *, answered: bool) -> Evaluator:
    """Choose what is done with a sample; `answered` says that a text fence follows."""
    if sample.language == "python" and sample.file is None:
        return partial(run_python, answered=answered)
    if sample.file is not None:
        return partial(write, file=sample.file)
    return {"text": compare, "console": run_console, "sh": check_install}[sample.language]


# What is done with it


class Page:
    """What the samples of one page share while it is run, besides their names."""

    def __init__(self) -> None:
        self.printed: str | None = None  # by the last python sample, where it came to its end
        self.ending = contextlib.ExitStack()
        new = tempfile.TemporaryDirectory(prefix="page-")
        outer = Path(self.ending.enter_context(new)).resolve()
        self.folder = outer / "work"
        self.cache = outer / "cache"
        self.folder.mkdir()
        self.ending.enter_context(torch.random.fork_rng(devices=[]))
        sys.path.insert(0, str(self.folder))  # as it is for a script that is started there
        self.ending.callback(sys.path.remove, str(self.folder))
        self.ending.callback(self.forget)

    def forget(self) -> None:
        """Let what was imported from the page's folder be imported anew."""
        importlib.invalidate_caches()
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(f"{self.folder}{os.sep}"):
                del sys.modules[name]

    def environment(self, source: str) -> Mapping[str, str]:
        """Give what a sample needs in its environment: Tiny Shakespeare, if it speaks of it."""
        if "tinyshakespeare" not in source:
            return {}
        if not REAL_TEXT.exists():
            pytest.skip("the real Tiny Shakespeare is not at ../shared/data")
        kept = self.cache / "bigram-reference"  # as reference.tinyshakespeare.download names it
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REAL_TEXT, kept / REAL_TEXT.name)
        return {"XDG_CACHE_HOME": str(self.cache)}


def begin(names: dict[str, Any]) -> None:
    """Make a page ready, before its first sample."""
    names |= {"__name__": "__main__", PAGE: Page()}


def end(names: dict[str, Any]) -> None:
    """Leave nothing of a page behind, after its last sample."""
    names[PAGE].ending.close()


def run_python(example: Example, *, answered: bool) -> str | None:
    """Run a sample as a part of its page, and keep what it printed."""
    page: Page = example.namespace[PAGE]
    page.printed = None
    out = io.StringIO()
    try:
        with (
            contextlib.chdir(page.folder),
            mock.patch.dict(os.environ, page.environment(example.parsed)),
            contextlib.redirect_stdout(out),
        ):
            PYTHON(example)
    finally:
        print(out.getvalue(), end="")  # noqa: T201  pytest shows it where the sample fails
    page.printed = out.getvalue()
    if page.printed and not answered:
        return f"It printed, and no text fence follows it:\n{page.printed}"
    return None


def compare(example: Example) -> str | None:
    """Compare a text fence with what the sample before it printed."""
    printed = example.namespace[PAGE].printed
    if printed is None:
        return "The sample before it did not come to its end."
    if not printed:
        return f"The sample before it printed nothing. Expected:\n{example.parsed}"
    return difference(example.parsed, printed)


def difference(expected: str, seen: str) -> str | None:
    """Say how an output differs from the one shown, or nothing where it does not."""
    expected, seen = f"{expected.rstrip()}\n", f"{seen.rstrip()}\n"
    if CHECKER.check_output(expected, seen, FLAGS):
        return None
    return CHECKER.output_difference(doctest.Example("", expected), seen, FLAGS)


def write(example: Example, *, file: str) -> str | None:
    """Write a sample to the file that it names; it must be what its name says."""
    try:
        if file.endswith(".py"):
            compile("\n" * example.line + example.parsed, example.path, "exec")
        elif file.endswith(".toml"):
            tomllib.loads(example.parsed)
        elif file.endswith((".yml", ".yaml")):
            yaml.safe_load(example.parsed)
    except (SyntaxError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        return f"{file} does not parse: {error}"
    page: Page = example.namespace[PAGE]
    path = page.folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example.parsed, encoding="utf-8")
    page.forget()
    return None


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a console, and what it is shown to print."""

    line: int
    text: str
    expected: str


def commands(source: str, first: int) -> Iterator[Command]:
    """Take a console apart; its first line is line `first` of the page."""
    lines = source.splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        output = start + 1
        while lines[output - 1].endswith("\\") and output < stop:
            output += 1
        yield Command(
            line=first + start,
            text="\n".join(lines[start:output]).removeprefix("$ "),
            expected="\n".join(lines[output:stop]).rstrip(),
        )


def run_console(example: Example) -> str | None:
    """Run the commands of a console in one shell, and compare each."""
    listed = list(commands(example.parsed, example.line + 1))
    page: Page = example.namespace[PAGE]
    outcomes = session(listed, page, page.environment(example.parsed))
    failures: list[str] = []
    for number, (command, (seen, code)) in enumerate(zip(listed, outcomes, strict=True)):
        following = listed[number + 1 : number + 2]
        asked = any(after.text.strip() == "echo $?" and after.expected for after in following)
        what = difference(command.expected, seen) if command.expected else None
        if code is None:
            what = f"It was not run to its end; the shell said:\n{seen}"
        elif code != 0 and not asked:
            what = f"Exit code {code}, and no '$ echo $?' after it.\n{what or seen}"
        if what:
            failures.append(f"line {command.line}: $ {command.text}\n{what}")
    return "\n".join(failures) or None


def session(
    listed: list[Command], page: Page, more: Mapping[str, str]
) -> list[tuple[str, int | None]]:
    """Run commands in one shell; give the output and the exit code of each, None if it has none."""
    mark = f"mark-{secrets.token_hex(16)}"  # ends each command's output, and keeps $? as it is
    script = "".join(
        f"{command.text}\n_code=$?; echo {mark} $_code; (exit $_code)\n" for command in listed
    )
    environment = {**os.environ, **more, "NO_COLOR": "1", "COLUMNS": "80", "TERM": "dumb"}
    environment.setdefault("OMP_NUM_THREADS", "1")  # pages run side by side, each on a core
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for name in ("FORCE_COLOR", "PYTEST_ADDOPTS"):  # of the run that we are in
        environment.pop(name, None)
    done = subprocess.run(  # noqa: S603  our own pages' commands
        ["bash", "-c", script],  # noqa: S607  as found by whoever reads the page
        cwd=page.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIME,
        check=False,
    )
    *ended, rest = re.split(rf"{mark} (\d+)\n", done.stdout)
    outcomes = [(seen, int(code)) for seen, code in zip(ended[::2], ended[1::2], strict=True)]
    unended = len(listed) - len(outcomes)
    return [*outcomes, *[(rest, None)] * unended]


def check_install(example: Example) -> str | None:
    """See that `.ci/run`, beside the page, takes this very command from it and runs it."""
    run = Path(example.path).parent / ".ci/run"
    if not run.exists():
        return "Only a page with a .ci/run beside it may have a sh fence."
    command = example.parsed.strip()
    if "\n" in command:
        return "A sh fence holds one command."
    script = "\n".join(
        line
        for line in run.read_text(encoding="utf-8").splitlines()
        if not line.lstrip().startswith("#")
    )
    name = re.escape(Path(example.path).name)
    taken = re.findall(rf"\bgrep\b[^'\n]*'([^'\n]+)' {name}", script)
    if not any(re.search(pattern, command) for pattern in taken):
        return f"No line of {run} takes this from the page, as grep -E '^...' would:\n{command}"
    if not re.search(r'^ *bash -c "\$\w+"', script, re.MULTILINE):
        return f'{run} takes the command from the page, and never runs it by bash -c "$..."'
    return None


pytest_collect_file = Sybil(
    [parse], pattern="*.md", exclude="notes/*.md", path="/", setup=begin, teardown=end
).pytest()
