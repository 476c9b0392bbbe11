"""A script or a notebook as a list of top-level statements, each with the place where it stands.

Notebooks hold lines that are not Python: `%magic`, `!command`, `help?`. Scripts that were exported
from one often keep them. Such a line is found where the parser stumbles over it, so that a line of
a string or of a longer expression that merely looks like one is left alone.
"""

import ast
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reference.conformance.loading.errors import LoadError
from reference.errors import reason

MAGIC = re.compile(r"\s*([%!?]|(pip|conda|cd|ls)\s)|[^#]*\?\s*$|\s*[\w.,\s]+=\s*[%!]")
"""A line that IPython understands and Python does not."""

TIMERS = {"capture", "prun", "time", "timeit"}
"""The cell magics below which Python stands; below another one stands something else."""

TEXT_LENGTH = 60
"""How much of a statement's first line is shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Statement:
    """One top-level statement, and how a person finds it: "line 12", or "cell 3, line 2"."""

    node: ast.stmt
    source: str
    where: str
    filename: str

    @property
    def text(self) -> str:
        """The first line, shortened."""
        return shorten(self.source.split("\n", maxsplit=1)[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Script:
    """The statements of one file in their order, and a sentence for each part left out."""

    path: Path
    statements: tuple[Statement, ...]
    notes: tuple[str, ...]


def shorten(text: str, *, length: int = TEXT_LENGTH) -> str:
    """Cut a text to one line of a given length."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."


def read(path: Path) -> Script:
    """Read a script, or a notebook where the name ends in .ipynb.

    Raises: LoadError.
    """
    text = _read_text(path)
    return _notebook(path, text) if path.suffix == ".ipynb" else _script(path, text)


def _read_text(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise LoadError(f"{path} is a folder; name a .py or .ipynb file in it")
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise LoadError(f"{path} is not a regular file; name a .py or .ipynb file")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise LoadError(f"there is no file {path}") from error
    except UnicodeDecodeError as error:
        raise LoadError(
            f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise LoadError(f"{path} cannot be read: {reason(error)}") from error


def _script(path: Path, text: str) -> Script:
    try:
        source, magics = _without_magics(text)
    except SyntaxError as error:
        raise LoadError(f"{path}, line {error.lineno}: {error.msg}") from error
    places = tuple(f"line {line}" for line in magics)
    statements = tuple(_statements(source, filename=str(path), cell=""))
    return Script(path=path, statements=statements, notes=_note_of(places))


def _notebook(path: Path, text: str) -> Script:
    statements: list[Statement] = []
    notes: list[str] = []
    places: list[str] = []
    for number, cell in enumerate(_cells(path, text), start=1):
        first = cell.lstrip().split("\n", maxsplit=1)[0]
        if first.startswith("%%"):
            name = first[2:].split(maxsplit=1)[:1]
            if not TIMERS.intersection(name):
                notes.append(f"cell {number} was skipped: `{shorten(first)}` makes it no Python.")
                continue
        try:
            source, magics = _without_magics(cell)
        except SyntaxError as error:
            notes.append(f"cell {number} was skipped: line {error.lineno} of it: {error.msg}.")
            continue
        places += [f"cell {number}, line {line}" for line in magics]
        prefix = f"cell {number}, "
        statements += _statements(source, filename=f"{path}, cell {number}", cell=prefix)
    return Script(path=path, statements=tuple(statements), notes=(*notes, *_note_of(tuple(places))))


def _note_of(magics: tuple[str, ...]) -> tuple[str, ...]:
    if not magics:
        return ()
    lines = "1 line is" if len(magics) == 1 else f"{len(magics)} lines are"
    return (f"{lines} for a notebook only (% ! ?), and left out: {'; '.join(magics)}.",)


def _cells(path: Path, text: str) -> Iterator[str]:
    """Yield the source of each code cell, of nbformat 4 or of 3 with its worksheets."""
    try:
        book = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path} is no notebook: it is not JSON ({error})") from error
    try:
        cells = book["cells"] if "cells" in book else book["worksheets"][0]["cells"]
        for cell in cells:
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                yield source if isinstance(source, str) else "".join(source)
    except (KeyError, IndexError, TypeError) as error:
        raise LoadError(
            f"{path} is JSON, but no notebook: it has no list of cells, each with its source"
        ) from error


def _without_magics(source: str) -> tuple[str, list[int]]:
    """Put `pass` in place of the lines that are for IPython, and give their numbers.

    Raises: SyntaxError where what is left is not Python.
    """
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    magics: list[int] = []
    while True:
        try:
            _check("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not (0 <= at < len(lines) and MAGIC.match(lines[at])):
                raise
            magics.append(at + 1)
            indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
            goes_on, lines[at] = lines[at].endswith("\\"), f"{indent}pass"
            while goes_on and at + 1 < len(lines):
                at += 1
                goes_on, lines[at] = lines[at].endswith("\\"), ""
        else:
            return "\n".join(lines), magics


def _check(source: str) -> None:
    """Compile, for what the parser alone lets through: a `return` at the top level, say."""
    try:
        compile(source, "", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; too deep a nesting
        reason = f"{type(error).__name__} {error}".strip()
        raise SyntaxError(reason, ("", 1, 0, "")) from error


def _statements(source: str, *, filename: str, cell: str) -> Iterator[Statement]:
    lines = source.split("\n")
    for node in ast.parse(source).body:
        where = f"{cell}line {node.lineno}"
        if isinstance(node, ast.Import):  # one by one, so that the first may fail alone
            for alias in node.names:
                one = ast.copy_location(ast.Import(names=[alias]), node)
                yield Statement(node=one, source=ast.unparse(one), where=where, filename=filename)
        else:
            segment = _segment(lines, node)
            yield Statement(node=node, source=segment, where=where, filename=filename)


def _segment(lines: list[str], node: ast.stmt) -> str:
    """Cut a statement's own text out, its decorators too; columns count bytes."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    text = [line.encode() for line in lines[first - 1 : node.end_lineno]]
    text[-1] = text[-1][: node.end_col_offset]
    text[0] = text[0][0 if decorators else node.col_offset :]
    return b"\n".join(text).decode()
