"""The options that several commands have, and the limits of them all."""

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reference.cli.output import print_json
from reference.errors import BigramError, brief

MOST = 2**31 - 1
"""Largest number of steps, tokens or files."""

MOST_SEED = 2**63 - 1
"""Largest seed."""

MOST_WINDOWS, MOST_BATCH = 2**20, 2**28
"""Largest batch size and block size, and most tokens in a batch."""

MOST_SECONDS = 604_800.0
"""Longest time that a clause may take: a week."""

LEAST_MEMORY, MOST_MEMORY = 64, 2**24
"""MiB that a subject may take: up to 16 TiB."""

LONGEST = 2**17
"""Most characters in an argument: what Linux passes on at most."""


class ArgumentError(BigramError, ValueError):
    """An argument that no command can take."""


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise if an argument is too long, or holds a null, which no file's name can hold.

    Raises: ArgumentError.
    """
    for argument in arguments:
        if len(argument) > LONGEST:
            raise ArgumentError(
                f"the argument {brief(argument)} has {len(argument):,} characters; it may have "
                f"{LONGEST:,} at most"
            )
        if "\0" in argument:
            raise ArgumentError(
                f"the argument {brief(argument)} has a null character; leave it out"
            )


def _finite(value: float) -> float:
    """Return a number that is one: NaN is in no range, and not outside it for some readers."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def to_folder(name: str) -> Path:
    """Return the path of a folder; an empty name, as of a variable that is not set, is not `.`.

    Raises: typer.BadParameter.
    """
    if not name:
        raise typer.BadParameter("the name is empty; give the name of a folder, or . for this one")
    return Path(name)


class Device(StrEnum):
    """Where tensors live."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Engine(StrEnum):
    """What trains."""

    AUTO = "auto"
    REFERENCE = "reference"
    FAST = "fast"


class Voice(StrEnum):
    """What generates."""

    AUTO = "auto"
    REFERENCE = "reference"
    FAST = "fast"
    SAMPLER = "sampler"


DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help="A UTF-8 text file; or a folder that `bigram prepare` wrote, for text of any size; or "
        "'twin', embedded, with the bigram counts of Tiny Shakespeare; or 'tinyshakespeare', the "
        "real text, downloaded once (1.1 MB).",
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of every random draw.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.1,
        max=MOST_SECONDS,
        callback=_finite,
        help="Seconds that one clause may take.",
    ),
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where to compute; 'auto' takes CUDA if it is there.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for machines when done.")
]


def schema_option(name: str) -> Any:  # noqa: ANN401  as typer.Option
    """Return the option that prints the JSON Schema of a report or a comparison, and exits."""

    def show(*, wanted: bool) -> bool:
        if wanted:
            from reference.conformance.reports.schemas import schema

            print_json(**schema(name))
            raise typer.Exit
        return wanted

    return typer.Option(
        "--schema", is_eager=True, callback=show, help="Print the JSON Schema of --json instead."
    )


PlotOption = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="DIR",
        parser=to_folder,
        help="Draw pictures into this folder (matplotlib).",
    ),
]


OutOption = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", parser=to_folder, help="Folder to write the model into."),
]


OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model, and a run, that is in DIR already.")
]
