"""The commands of the vectors: `bigram vectors export` writes them, `verify` checks them."""

from pathlib import Path
from typing import Annotated

import typer

from reference.cli.exit_codes import USAGE_ERROR
from reference.cli.options import to_folder
from reference.cli.output import OutputConsole, print_json
from reference.errors import MissingExtraError

REMOVED = (
    *("--subject", "--command", "--engine", "--adapter", "--define", "--timeout", "--get-batch"),
    *("--generate", "--vocabulary", "--softmax", "--train-step", "--get-table", "--set-table"),
    *("--forward", "--gradient", "--part"),
)
"""Options with which `verify` once judged a model."""


vectors = typer.Typer(
    name="vectors",
    help="Questions with their right answers, as JSON: for a model in any language, with nothing "
    "of ours installed.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@vectors.command()
def export(
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", parser=to_folder, help="Where to write them.")
    ],
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write into a folder that holds other things, too."),
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Make them from the clauses again, and hold each against exact arithmetic, the "
            "oracle and the reference: a minute. The bytes are those that come with the package.",
        ),
    ] = False,
) -> None:
    """Write the vectors of every clause that questions and answers can show.

    The files are the same to the byte wherever they are made.
    """
    console = OutputConsole(as_json=False, stops=True)
    with console.status("loading torch") as status:
        from reference.conformance.vectors import files
        from reference.files.atomic import make_writable

        make_writable(folder)
        contents = files.shipped()
        if anew:
            try:
                from reference.conformance.vectors.making.make import made
            except ModuleNotFoundError as error:
                raise MissingExtraError(
                    "--anew needs what makes the vectors, which is not in the installed package: "
                    "run it in a clone of the repository"
                ) from error
            contents = made(status.update)
        files.write(folder, contents, overwrite=overwrite)
        read = files.read(folder)
    size = sum(map(len, contents.values()))
    clauses = len({vector.clause for vector in read.vectors})
    console.print(
        f"{folder}: {len(read.vectors)} vectors of {clauses} clauses, {size:,} bytes in "
        f"{len(contents)} files",
        soft_wrap=True,
    )


def _refuse(value: str | None) -> None:
    """Raise if one of the removed options is given."""
    if value is not None:
        raise USAGE_ERROR(
            "`vectors verify` checks vectors, not a model. Check a model with `bigram check`, "
            "and one in another language with `bigram check --command`"
        )


@vectors.command()
def verify(
    *,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            parser=to_folder,
            help="A folder of vectors; without it, those that come with this package.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    removed: Annotated[str | None, typer.Option(*REMOVED, hidden=True, callback=_refuse)] = None,
) -> None:
    """Check a folder of vectors: every byte, and that every answer is right.

    Each vector is checked against exact arithmetic, the oracle and the reference.

    Exit codes: 0 every vector holds; 2 wrong usage, or the folder is missing or damaged; 3 could
    not finish; 130 interrupted; 141 broken pipe; 143 terminated (SIGTERM).
    """
    del removed
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch") as status:
        from reference.conformance.vectors import files, verifying

        read = files.read(folder or files.SHIPPED)
        for number, vector in enumerate(verifying.check_ours(read.vectors)):
            status.update(f"{vector.id}, {number} of {len(read.vectors)}")
    if as_json:
        print_json(ok=True, vectors=len(read.vectors), contract=read.manifest.contract)
    console.print(
        f"{read.path}: {len(read.vectors)} vectors, contract {read.manifest.contract}\n"
        "Every byte is as the manifest says.\n"
        "Every vector holds of exact arithmetic, of the oracle and of the reference.",
        soft_wrap=True,
    )
