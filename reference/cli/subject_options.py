"""The options that say what is to be judged, for the commands that judge."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from reference.conformance.target import Target


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


def part(option: str, is_what: str) -> Any:  # noqa: ANN401  what typer gives
    """Make an option that names one more part of the subject."""
    return typer.Option(
        option,
        metavar="NAME",
        help=f"{is_what}: a name in the subject's file, or path/to/other.py:NAME.",
        rich_help_panel="Parts of the subject",
    )


GetBatch = Annotated[str | None, part("--get-batch", "get_batch(data, ...) or (split)")]
Generate = Annotated[
    str | None, part("--generate", "generate(model, idx, n), where it is no method")
]
Words = Annotated[str | None, part("--vocabulary", "vocabulary(text) with encode and decode")]
Softmax = Annotated[str | None, part("--softmax", "softmax(logits)")]
TrainStep = Annotated[
    str | None, part("--train-step", "train_step(model), which gives step(xb, yb)")
]
GetTable = Annotated[str | None, part("--get-table", "get_table(model), the (C, C) table")]
SetTable = Annotated[str | None, part("--set-table", "set_table(model, table)")]
Forward = Annotated[
    str | None,
    part("--forward", "forward(state, idx, targets), with --adapter arrays, if no method"),
]
Gradient = Annotated[
    str | None,
    part("--gradient", "gradient(state, idx, targets) of the loss by the table, likewise"),
]
PlainGenerate = Annotated[
    str | None,
    part("--plain-generate", "generate(model, idx, n) without a cache, to hold a fast one to"),
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


def target_of(
    target: str | None,
    engine: Own,
    command: str | None,
    *,
    adapter: str,
    define: list[str] | None,
    **parts: str | None,
) -> "Target":
    """Put together what is to be judged.

    Raises: typer.BadParameter where a command is given together with what is said of Python only.
    """
    from reference.conformance.target import Target

    check_alone(command, parts, adapter, define)
    return Target(
        target=target,
        engine=engine.value,
        parts={name: value for name, value in parts.items() if value is not None},
        adapter=adapter,
        define=tuple(define or ()),
        command=command,
    )


def check_one_subject(target: str | None, engine: Own, command: str | None) -> None:
    """Refuse a subject of the user's together with one of ours, or with another of theirs.

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


def check_alone(
    command: str | None, parts: dict[str, str | None], adapter: str, define: list[str] | None
) -> None:
    """Refuse a command together with what is said of Python code only.

    Raises: typer.BadParameter.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in parts.items() if value is not None]
    given += ["--adapter"] if adapter != "pair" else []
    given += ["--define"] if define else []
    if command is not None and given:
        raise typer.BadParameter(
            f"what the command can do it says itself; leave out {', '.join(given)}",
            param_hint="--command",
        )
