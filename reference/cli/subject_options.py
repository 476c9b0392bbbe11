"""The options that say what `bigram check` is to judge."""

from enum import StrEnum
from typing import Annotated

import typer


class Own(StrEnum):
    """What of ours is checked, where nothing else is."""

    REFERENCE = "reference"
    FAST = "fast"
    SAMPLER = "sampler"


OURS = {
    Own.REFERENCE: "the reference",
    Own.FAST: "the fast engine",
    Own.SAMPLER: "the fast engine's sampler",
}


GetBatch = Annotated[
    str | None,
    typer.Option(
        "--get-batch",
        metavar="PLACE",
        help="Short for --part get_batch=PLACE.",
        rich_help_panel="Parts of the subject",
    ),
]
PartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="NAME[=PLACE]",
        help="A function besides the model: get_batch(data, ...) or get_batch(split); "
        "generate(model, idx, n), if it is not a method; vocabulary(text) with encode and decode; "
        "softmax(logits); train_step(model), which returns step(xb, yb); get_table(model) and "
        "set_table(model, table), of the (C, C) table; plain_generate(model, idx, n), without a "
        "cache; with --adapter arrays, if they are not methods, forward(state, idx, targets) and "
        "gradient(state, idx, targets). PLACE is what the subject's file calls it, or "
        "path/to/other.py:NAME. Repeatable.",
        rich_help_panel="Parts of the subject",
    ),
]
Adapter = Annotated[
    str,
    typer.Option(
        "--adapter",
        help="What forward returns: pair, (logits, loss); logits alone; output, an object "
        "with .logits and .loss; or nanogpt, a pair with logits of the last position only "
        "where there are no targets. Or arrays: a model over NumPy's or JAX's arrays; or "
        "transformers: a model of that library, which shifts its labels inside.",
        rich_help_panel="Parts of the subject",
    ),
]
Define = Annotated[
    list[str] | None,
    typer.Option(
        "--define",
        metavar="NAME=VALUE",
        help="Supply a global that the subject's file lacks, say block_size=8; repeatable.",
        rich_help_panel="Parts of the subject",
    ),
]
Command = Annotated[
    str | None,
    typer.Option(
        "--command",
        metavar="COMMAND",
        help='A model in any language instead: this command, say "node my_bigram.mjs", is started, '
        "without a shell, and asked over a pipe (`bigram pipe` tells how).",
        rich_help_panel="Parts of the subject",
    ),
]


def check_subject(
    target: str | None,
    engine: Own,
    command: str | None,
    parts: dict[str, str],
    *,
    adapter: str,
    define: list[str] | None,
) -> None:
    """Raise if two subjects are given, or a command with what is said of Python code only.

    Raises: typer.BadParameter.
    """
    if command is not None and (target is not None or engine is not Own.REFERENCE):
        raise typer.BadParameter(
            f"{target or engine} is given too; leave one out", param_hint="--command"
        )
    if target is not None and engine is not Own.REFERENCE:
        raise typer.BadParameter(
            f"{engine} is ours, and {target} is given too; leave one out", param_hint="--engine"
        )
    of_python = [f"--part {name}" for name in parts]
    of_python += ["--adapter"] if adapter != "pair" else []
    of_python += ["--define"] if define else []
    if command is not None and of_python:
        raise typer.BadParameter(
            f"what the command can do it says itself; leave out {', '.join(of_python)}",
            param_hint="--command",
        )
