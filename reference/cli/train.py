"""The commands that learn from a text: `bigram train` by steps, `bigram fit` by counting."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from reference.cli.options import (
    MOST,
    MOST_BATCH,
    MOST_WINDOWS,
    DataOption,
    Device,
    DeviceOption,
    Engine,
    JsonOption,
    PlotOption,
    SeedOption,
    to_folder,
)
from reference.terminal import OutputConsole, exit_code, print_json

MOST_RATE = MOST_ADDED = 1e6
"""Largest learning rate, and most that is added to a count: as TrainConfig and Additive have it."""

OutOption = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", parser=to_folder, help="Folder to write the model into."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model, and a run, that is in DIR already.")
]


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
    saved as trained so far. A run that was stopped, or killed, goes on with --resume.

    Several processes train together under `torchrun --nproc-per-node N -m reference train ...`.
    """
    console = OutputConsole(as_json=as_json, stops=False)
    with console.status("loading torch"):
        from reference.cli import engine as jobs
        from reference.cli.training_job import TrainJob, do
        from reference.distributed import joined
        from reference.training import TrainConfig
        from reference.watching import Outputs

    if resume and overwrite:
        raise typer.BadParameter("--resume goes on, --overwrite begins anew: give one of them")
    if batch_size * block_size > MOST_BATCH:
        raise typer.BadParameter(
            f"--batch-size {batch_size} times --block-size {block_size} is "
            f"{batch_size * block_size:,} tokens; a batch may have {MOST_BATCH:,} at most"
        )
    config = TrainConfig(
        steps=steps, batch_size=batch_size, block_size=block_size, learning_rate=learning_rate
    )
    where = jobs.find_device(device)
    with joined(where) as ranks:
        where = ranks.device if ranks.size > 1 else where
        console.quiet = console.quiet or not ranks.is_first
        job = TrainJob(
            out=out,
            data=data,
            config=config,
            seed=seed,
            engine=jobs.find_engine(engine, where),
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


def fit(
    *,
    out: OutOption,
    data: DataOption = "twin",
    add: Annotated[
        float,
        typer.Option(
            "--add",
            metavar="K",
            min=0.0,
            max=MOST_ADDED,
            help="Above 0. Added to the count of every pair, so that none is impossible.",
        ),
    ] = 1.0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Count a text's pairs, and save the table with the least loss: what training comes near to.

    With Numba installed it counts about as fast as the text can be read. Several processes count
    together under `torchrun --nproc-per-node N -m reference fit ...`: each its part, and the sum is
    exact.
    """
    console = OutputConsole(as_json=as_json, stops=False)
    with console.status("loading torch"):
        import torch

        from reference.checkpoint import checkpoints
        from reference.checks import check_positive
        from reference.cli import engine as jobs
        from reference.curve import exact_loss
        from reference.distributed import joined
        from reference.errors import ModelFileError
        from reference.fast.fitting import Additive, table_of
        from reference.files import only_writer
        from reference.model_file import FILE, check_can_save, model_of, save_model
        from reference.oracle.counts import entropy_floor

    check_positive("--add", add, maximum=MOST_ADDED)
    smoothing = Additive(k=add)
    with ExitStack() as stack:
        ranks = stack.enter_context(joined(torch.device("cpu")))
        console.quiet = console.quiet or not ranks.is_first
        corpus = jobs.load(data, console, splits=("train",), block_size=1, ranks=ranks)

        def prepare() -> None:
            check_can_save(out, overwrite=overwrite)
            stack.enter_context(only_writer(out, writes=(FILE,)))
            if checkpoints(out) and not overwrite:
                raise ModelFileError(
                    f"{out} has checkpoints of a training run; give another directory, or "
                    "--overwrite to remove them"
                )

        ranks.from_first(prepare)
        started = time.perf_counter()
        counts = jobs.count_pairs(corpus, "train", console, ranks=ranks)
        seconds = time.perf_counter() - started
        val_counts = None
        if len(corpus.val) > 1:
            val_counts = jobs.count_pairs(corpus, "val", console, ranks=ranks)
        if not ranks.is_first:
            raise typer.Exit
        model = model_of(table_of(counts, smoothing))
        loss, floor = exact_loss(model, counts), entropy_floor(counts)
        pairs = int(counts.sum())
        about = {
            "corpus": corpus.name,
            "fitted": {"add": add},
            "ranks": ranks.size,
            "seconds": seconds,
            "tokens_per_second": pairs / seconds,
            "loss": loss,
            "entropy_floor": floor,
            "val_loss": None if val_counts is None else exact_loss(model, val_counts),
        }
        file = save_model(model, corpus.vocabulary, out, about=about, overwrite=overwrite)
        for old in checkpoints(out):  # or --resume would continue a run that is overwritten
            old.unlink(missing_ok=True)
        if as_json:
            print_json(model=str(file), **about)
        console.print(
            Text(
                f"saved: {file}\n"
                f"loss over the train split {loss:.4f}, {loss - floor:.4f} above its entropy floor "
                f"{floor:.4f}\n"
                f"{pairs:,} pairs counted in {seconds:.1f} s: {pairs / seconds:,.0f} per second\n"
                f"next: bigram generate --model {out}"
            ),
            soft_wrap=True,
        )


def add_commands(app: typer.Typer) -> None:
    """Put both commands on the app."""
    app.command()(train)
    app.command()(fit)
