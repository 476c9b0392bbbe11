"""The commands of the vectors: `bigram vectors export` writes them, `verify` checks with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from reference.cli.options import TimeoutOption, to_folder
from reference.cli.subject_options import (
    OURS,
    Adapter,
    Command,
    Define,
    GetBatch,
    Own,
    PartOption,
    check_one_subject,
    parts_of,
    target_of,
)
from reference.cli.terminal import FAILED, OutputConsole, print_json
from reference.conformance.isolation.server import Server

if TYPE_CHECKING:
    from reference.conformance.vectors.vector import Vector
    from reference.conformance.vectors.verifying import Summary

MOST_SHOWN = 3
"""Vectors of a clause that are shown where they fail."""

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
        from reference.conformance.vectors.making.make import made
        from reference.files.atomic import make_writable

        make_writable(folder)
        contents = made(status.update) if anew else files.shipped()
        files.write(folder, contents, overwrite=overwrite)
        read = files.read(folder)
    size = sum(map(len, contents.values()))
    clauses = len({vector.clause for vector in read.vectors})
    console.print(
        f"{folder}: {len(read.vectors)} vectors of {clauses} clauses, {size:,} bytes in "
        f"{len(contents)} files",
        soft_wrap=True,
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
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="SUBJECT",
            help="path/to/file.py:Name of a model, as for `bigram check`. Without it, and without "
            "--command or --engine, the vectors themselves are checked.",
        ),
    ] = None,
    get_batch: GetBatch = None,
    part: PartOption = None,
    adapter: Adapter = "pair",
    define: Define = None,
    command: Command = None,
    engine: Annotated[
        Own | None, typer.Option("--engine", help="Ask our own code, as a subject.")
    ] = None,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a folder of vectors, or a model with them.

    Without a subject: the manifest, every byte, and each vector against exact arithmetic, the
    oracle and the reference. With one: each answer that is not as expected, by clause.

    Exit codes: 0 all is as it should be; 1 an answer of the subject is not; 2 wrong usage, a folder
    that is damaged or none, or a subject that cannot be loaded; 3 could not finish; 130
    interrupted; 141 nobody reads the output any more; 143 told to end (SIGTERM).
    """
    check_one_subject(subject, engine or Own.REFERENCE, command)
    console = OutputConsole(as_json=as_json, stops=True)
    with console.status("loading torch") as status, Server() as server:
        from reference.conformance.vectors import files, running, verifying

        read = files.read(folder or files.SHIPPED)
        if subject is None and command is None and engine is None:
            for number, vector in enumerate(verifying.check_ours(read.vectors)):
                status.update(f"{vector.id}, {number} of {len(read.vectors)}")
            said = None
        else:
            target = target_of(
                subject,
                engine or Own.REFERENCE,
                command,
                parts_of(part, get_batch),
                adapter=adapter,
                define=define,
            )
            outcomes = []
            for outcome in running.run_vectors(
                target, read.path, read.vectors, seconds=timeout, server=server
            ):
                outcomes.append(outcome)
                status.update(f"{outcome.vector}, {len(outcomes)} of {len(read.vectors)}")
            said = verifying.summary(read.vectors, outcomes)
    if said is None:
        if as_json:
            print_json(ok=True, vectors=len(read.vectors), contract=read.contract)
        console.print(
            f"{read.path}: {len(read.vectors)} vectors, contract {read.contract}\n"
            "Every byte is as the manifest says.\n"
            "Every vector holds of exact arithmetic, of the oracle and of the reference.",
            soft_wrap=True,
        )
        return
    if as_json:
        print_json(**as_fields(said, command or subject or OURS[engine or Own.REFERENCE]))
    print_summary(console, said, read.vectors)
    if said.wrong:
        raise typer.Exit(FAILED)


def as_fields(said: "Summary", subject: str) -> dict[str, object]:
    """Write outcomes for machines."""
    from dataclasses import asdict

    return {
        "subject": subject,
        "ok": not said.wrong,
        "planned": said.planned,
        "kept": said.kept,
        "wrong": said.wrong,
        "skipped": said.skipped,
        "outcomes": [asdict(outcome) for outcome in said.outcomes],
    }


def print_summary(console: Console, said: "Summary", every: "tuple[Vector, ...]") -> None:
    """Show what failed, clause by clause, then the count."""
    from collections import Counter

    from rich.text import Text

    by_id = {vector.id: vector for vector in every}
    for clause, outcomes in said.broken.items():
        vector = by_id[outcomes[0].vector]
        console.print(Text(f"✗ {clause}: {len(outcomes)} vectors", "bold red"))
        console.print(Text(vector.sentence))
        for outcome in outcomes[:MOST_SHOWN]:
            wrong = outcome.mismatch
            assert wrong is not None  # noqa: S101  it is among the wrong ones
            where = f"step {wrong.step}, {wrong.operation}" if wrong.step >= 0 else "it ended"
            console.print(Text(f"  {outcome.vector}  {where}"))
            console.print(Text(f"    expected: {wrong.expected}\n    saw:      {wrong.seen}"))
        console.print()
    if said.resting:
        more = sum(map(len, said.resting.values()))
        console.print(
            Text(f"{more} more fail of clauses that need these: {', '.join(said.resting)}")
        )
    skipped = Counter(outcome.skipped for outcome in said.outcomes if outcome.skipped)
    for reason, count in skipped.items():
        console.print(Text(f"{count} skipped: {reason}", "dim"))
    console.print(
        Text(f"{said.planned} vectors: {said.kept} kept, {said.wrong} not, {said.skipped} skipped")
    )
