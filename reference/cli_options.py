"""The options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MOST = 2**31 - 1


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
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of every random draw.")
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where to compute; 'auto' takes CUDA if it is there.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for machines when done.")
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="DIR", help="Draw pictures into this folder (matplotlib)."),
]
