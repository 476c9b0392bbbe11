"""`bigram fit`: learn from a text by counting its pairs."""

import time
from contextlib import ExitStack
from typing import Annotated

import typer

from reference.cli.options import DataOption, JsonOption, OutOption, OverwriteOption
from reference.cli.output import OutputConsole, print_json

MOST_ADDED = 1e6
"""Most that is added to a count, as Additive has it."""


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

        from reference.checks import check_positive
        from reference.cli import loading
        from reference.errors import ModelFileError
        from reference.fast.fitting import Additive, table_of
        from reference.files.atomic import only_writer
        from reference.oracle.counts import entropy_floor
        from reference.runs.checkpoint import checkpoints
        from reference.runs.curve import exact_loss
        from reference.runs.distributed import joined
        from reference.runs.saved_model import FILE, check_can_save, model_of, save_model

    check_positive("--add", add, maximum=MOST_ADDED)
    smoothing = Additive(k=add)
    with ExitStack() as stack:
        ranks = stack.enter_context(joined(torch.device("cpu")))
        console.quiet = console.quiet or not ranks.is_first
        corpus = loading.load(data, console, splits=("train",), block_size=1, ranks=ranks)

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
        counts = loading.count_pairs(corpus, "train", console, ranks=ranks)
        seconds = time.perf_counter() - started
        val_counts = None
        if len(corpus.val) > 1:
            val_counts = loading.count_pairs(corpus, "val", console, ranks=ranks)
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
            f"saved: {file}\n"
            f"loss over the train split {loss:.4f}, {loss - floor:.4f} above its entropy floor "
            f"{floor:.4f}\n"
            f"{pairs:,} pairs counted in {seconds:.1f} s: {pairs / seconds:,.0f} per second\n"
            f"next: bigram generate --model {out}",
            soft_wrap=True,
        )
