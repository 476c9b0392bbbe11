"""The `bigram` command: walk through the notes, train a model, let it speak, hold one to the spec.

torch takes over a second to import, so it is imported inside the commands: `--help` does without.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from reference import __version__
from reference.cli.check import check
from reference.cli.compare import compare
from reference.cli.exit_codes import FAILED, UNFINISHED, USAGE_ERROR, run
from reference.cli.fit import fit
from reference.cli.generate import generate
from reference.cli.options import check_arguments
from reference.cli.pipe import pipe
from reference.cli.prepare import prepare
from reference.cli.spec import spec
from reference.cli.train import train
from reference.cli.vectors import vectors
from reference.cli.walkthrough import walkthrough
from reference.conformance.subjects.parts import NAMES as PARTS
from reference.terminal.console import CLOSED, write

app = typer.Typer(
    name="bigram",
    help="The bigram language model of the notes on nn.Module: every documented figure "
    "reproduced, and the model to train and to talk to.",
    epilog="Exit codes: 0 done; 1 a documented figure did not come back, or a model does not "
    "conform; 2 wrong usage or input; 3 could not finish; 130 interrupted; 141 nobody reads the "
    "output any more; 143 told to end (SIGTERM).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def bigram(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before a command."""
    if version:
        write(f"{__version__}\n")
        raise typer.Exit


# In the order in which the help lists them.
for _command in (
    walkthrough,
    generate,
    check,
    spec,
    compare,
    pipe,
    prepare,
    train,
    fit,
):
    app.command()(_command)
app.add_typer(vectors)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with these arguments, or with the shell's."""
    run(_called, arguments)


def _called(arguments: Sequence[str] | None) -> None:
    """Call the app, which hands wrong usage to `run` and does not print it itself."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    check_arguments(given)
    try:
        code = app(given, standalone_mode=False)
    except USAGE_ERROR as error:
        _suggest_part(error)
        raise
    except typer.Abort:
        raise SystemExit(UNFINISHED) from None
    except SystemExit as stopped:
        if stopped.code == FAILED:  # typer and rich raise this if the reader of the help has gone
            raise SystemExit(CLOSED) from None
        raise
    raise SystemExit(code or 0)


def _suggest_part(error: Any) -> None:  # noqa: ANN401  its class has another name in each typer
    """Name the part to someone who asks for one by an option of its own, say --vocabulary."""
    part = getattr(error, "option_name", "").removeprefix("--").replace("-", "_")
    if part in PARTS and error.ctx is not None and error.ctx.info_name == check.__name__:
        error.possibilities = [f"--part {part}=NAME"]
