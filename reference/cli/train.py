"""The commands that learn from a text: `bigram train` by steps, `bigram fit` by counting."""

from pathlib import Path
from typing import Annotated

import typer

from reference.cli.exit_codes import exit_code
from reference.cli.options import (
    MOST,
    MOST_BATCH,
    MOST_WINDOWS,
    DataOption,
    Device,
    DeviceOption,
    Engine,
    JsonOption,
    OutOption,
    OverwriteOption,
    PlotOption,
    SeedOption,
    to_folder,
)
from reference.cli.output import OutputConsole

MOST_RATE = 1e6
"""Largest learning rate, as TrainConfig has it."""


def train(
    *,
    out: OutOption,
    data: DataOption = "twin",
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=MOST, help="Training steps.")
    ] = 100_000,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=1,
            max=MOST_WINDOWS,
            help="B, windows in a batch; several ranks divide it between them.",
        ),
    ] = 32,
    block_size: Annotated[
        int, typer.Option("--block-size", min=1, max=MOST_WINDOWS, help="T, tokens in a window.")
    ] = 8,
    learning_rate: Annotated[
        float,
        typer.Option("--lr", min=0.0, max=MOST_RATE, help="AdamW's learning rate, above 0."),
    ] = 1e-3,
    seed: SeedOption = 1337,
    device: DeviceOption = Device.AUTO,
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine",
            help="What trains: the reference, or the fast engine, whose table differs by rounding; "
            "'auto' takes that where bigram-reference[fast] is installed.",
        ),
    ] = Engine.REFERENCE,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the last checkpoint in DIR, bit for bit; where there is none yet, "
            "begin. --steps may be more than before.",
        ),
    ] = False,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            "--checkpoint-every",
            min=0,
            max=MOST,
            help="Steps from one checkpoint to the next, with one more at the end; 0 for none.",
        ),
    ] = 10_000,
    keep: Annotated[
        int, typer.Option("--keep", min=1, max=MOST, help="Checkpoints to keep, the last ones.")
    ] = 3,
    estimate_every: Annotated[
        int,
        typer.Option(
            "--estimate-every",
            min=0,
            max=MOST,
            help="Steps from one estimate of both splits' losses, on 200 batches each, to the "
            "next; the exact losses are told too. 0 for none.",
        ),
    ] = 0,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Add a JSON object a line to this file."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            "--tensorboard",
            metavar="DIR",
            parser=to_folder,
            help="Write TensorBoard's event files.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Train a model on a text, and save it; the defaults are the notes' values.

    Ctrl-C (exit code 130) and SIGTERM (143) stop early: a checkpoint is written, and the model is
    saved as trained so far. --resume continues a run that was stopped or killed.

    Several processes train together under `torchrun --nproc-per-node N -m reference train ...`.
    """
    console = OutputConsole(as_json=as_json, stops=False)
    with console.status("loading torch"):
        from reference.cli.engine import find_device, find_engine
        from reference.cli.training_job import TrainJob, do
        from reference.runs.distributed import joined
        from reference.runs.progress import Outputs
        from reference.training import TrainConfig

    if resume and overwrite:
        raise typer.BadParameter(
            "--resume continues a run, --overwrite starts a new one: give one of them"
        )
    if batch_size * block_size > MOST_BATCH:
        raise typer.BadParameter(
            f"--batch-size {batch_size} times --block-size {block_size} is "
            f"{batch_size * block_size:,} tokens; a batch may have {MOST_BATCH:,} at most"
        )
    config = TrainConfig(
        steps=steps, batch_size=batch_size, block_size=block_size, learning_rate=learning_rate
    )
    where = find_device(device)
    with joined(where) as ranks:
        where = ranks.device if ranks.size > 1 else where
        console.quiet = console.quiet or not ranks.is_first
        job = TrainJob(
            out=out,
            data=data,
            config=config,
            seed=seed,
            engine=find_engine(engine, where),
            device=where,
            resume=resume,
            overwrite=overwrite,
            checkpoint_every=checkpoint_every,
            keep=keep,
            estimate_every=estimate_every,
            outputs=Outputs(log=log, tensorboard=tensorboard),
            plot=plot,
            as_json=as_json,
        )
        ended_by = do(job, console, ranks)
    if ended_by:
        raise typer.Exit(exit_code(ended_by))
