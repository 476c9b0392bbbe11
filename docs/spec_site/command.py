"""The `bigram` command and the options of pytest's plugin, listed from the programs themselves."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from reference.cli import exit_codes as terminal
from reference.cli.main import app
from reference.conformance import plugin
from reference.terminal import console
from spec_site.docstrings import inline, to_rst

UNBOUNDED = {str(2**31 - 1), str(2**63 - 1)}
"""Upper bounds that are there for the machine, and tell a reader nothing."""

DETAILS = re.compile(
    r"(?P<text>.*?)(?:\s*\[(?P<details>(?:default|required|[\d.x]).*)\])?", re.DOTALL
)
"""The help of an option, and in brackets at its end what typer knows of its value."""

RANGE = re.compile(r"(?:(?P<least>[\d.]+)<=)?x(?:<=(?P<most>[\d.]+)|>=(?P<floor>[\d.]+))?")

CODES = re.compile(r"Exit codes: (?P<codes>.*)\.", re.DOTALL)
KNOWN_CODES = {
    0,
    terminal.FAILED,
    terminal.BAD_INPUT,
    terminal.UNFINISHED,
    terminal.INTERRUPTED,
    console.CLOSED,
    terminal.TERMINATED,
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option or argument, as its program tells of it."""

    form: str
    """As it is typed: `--steps N`."""
    help: str
    panel: str = ""
    """The heading under which the program lists it."""


class CommandDirective(SphinxDirective):
    """Lists every subcommand with its help and its options, each in a section of its own."""

    def run(self) -> list[nodes.Node]:
        """Walk the tree of commands."""
        group: Any = typer.main.get_command(app)  # typer's click, whichever it has
        context = typer.Context(group, info_name=group.name)
        before = [
            *paragraphs(group.help),
            *option_list(group.name, list(options_of(group, context))),
            ".. rubric:: Exit codes",
            "",
            *exit_codes(group.epilog),
        ]
        parts = [part for name in group.commands for part in self._section(group, context, name)]
        return [*self._parsed(before), *parts]

    def _section(self, group: Any, context: typer.Context, name: str) -> list[nodes.Node]:  # noqa: ANN401  as above
        command = group.commands[name]
        inner = typer.Context(command, info_name=name, parent=context)
        title = f"{group.name} {name}"
        section = nodes.section(
            ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)]
        )
        section += nodes.title(title, "", nodes.literal(title, title))
        usage = " ".join([title, *command.collect_usage_pieces(inner)])
        lines = [
            *(".. code-block:: text", "", f"   {usage}", ""),
            *paragraphs(command.help),
            *option_list(title, list(options_of(command, inner))),
        ]
        section += self._parsed(lines)
        self.state.document.note_implicit_target(section, section)
        return [section]

    def _parsed(self, lines: list[str]) -> list[nodes.Node]:
        holder = nodes.Element()
        source, line = self.get_source_info()
        self.state.nested_parse(StringList(lines, source=f"{source}:{line}"), 0, holder)
        return list(holder.children)


class PluginOptionsDirective(CommandDirective):
    """Lists what pytest's plugin adds to pytest's own options."""

    def run(self) -> list[nodes.Node]:
        """Ask the plugin."""
        asked = AskedOptions()
        plugin.pytest_addoption(asked)  # type: ignore[arg-type]  # it takes what has its two methods
        return self._parsed(option_list("pytest", asked.options))


class AskedOptions:
    """Stands where pytest's parser does, and keeps the options that are added to it."""

    def __init__(self) -> None:
        self.options: list[Option] = []

    def getgroup(self, _name: str, _description: str) -> "AskedOptions":
        """Take options of any group."""
        return self

    def addoption(self, form: str, *, help: str, metavar: str = "", **more: object) -> None:  # noqa: A002  pytest's own name
        """Keep one."""
        default = more.get("default")
        value = metavar or form.rpartition("-")[2].upper()
        told = "" if default in (None, []) else f" Default: `{default}`."
        self.options.append(Option(form=f"{form} {value}", help=sentence(help) + told))


def options_of(command: Any, context: typer.Context) -> Iterator[Option]:  # noqa: ANN401  as above
    """Give the arguments and options of one command."""
    for parameter in command.get_params(context):
        form, told = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            form = parameter.metavar or form
        found = DETAILS.fullmatch(told)
        assert found is not None  # noqa: S101  every text matches
        details = (found["details"] or "").split("; ")
        yield Option(
            form=form.replace(" range>", ">"),
            help=" ".join([sentence(found["text"]), *filter(None, map(detail, details))]),
            panel=getattr(parameter, "rich_help_panel", None) or "",
        )


def sentence(text: str) -> str:
    """End a text with a full stop, and begin it as it is."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def detail(text: str) -> str:
    """Say what typer has in brackets: whether it is needed, its default, its range."""
    if text == "required":
        return "Required."
    if text.startswith("default: "):
        return f"Default: `{text.removeprefix('default: ')}`."
    bounds = RANGE.fullmatch(text)
    if bounds is None:
        return f"{text}." if text else ""
    least, most = bounds["least"] or bounds["floor"], bounds["most"]
    if most is None or most in UNBOUNDED:
        return f"At least {least}."
    whole = most.removesuffix(".0")
    return f"From {least} to {int(whole):,}." if whole.isdigit() else f"From {least} to {most}."


def option_list(program: str, options: list[Option]) -> list[str]:
    """Write options so that `{option}` finds them, those of a panel below its heading."""
    lines = [f".. program:: {program}", ""]
    panel = ""
    for option in sorted(options, key=lambda one: bool(one.panel)):
        if option.panel != panel:
            panel = option.panel
            lines += [f".. rubric:: {panel}", ""]
        lines += [f".. option:: {option.form}", "", f"   {inline(option.help)}", ""]
    return lines


def paragraphs(text: str) -> list[str]:
    """Write a command's help; where it tells of exit codes, they become a list."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        codes = CODES.fullmatch(paragraph)
        lines += to_rst(paragraph.splitlines(), {}) if codes is None else exit_codes(paragraph)
    return lines


def exit_codes(text: str) -> list[str]:
    """Write the exit codes as a list.

    Raises: ValueError where one of them is none that the command has.
    """
    found = CODES.fullmatch(" ".join(text.split()))
    if found is None:
        raise ValueError(f"no exit codes in {text!r}")
    lines = []
    for one in found["codes"].split("; "):
        code, _, meaning = one.partition(" ")
        if int(code) not in KNOWN_CODES:
            raise ValueError(f"exit code {code} is none of {sorted(KNOWN_CODES)}")
        lines.append(f"- ``{code}``: {inline(sentence(meaning))}")
    return [*lines, ""]
