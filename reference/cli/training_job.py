"""All that `bigram train` does: load, go on or begin, train, save, and say what came of it."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import reference
from reference.cli import loading, plots
from reference.cli.engine import check_can_compile, compile_engine, find_trainer
from reference.cli.output import print_json
from reference.corpus import Corpus
from reference.files.atomic import make_writable, only_writer
from reference.model import BigramLanguageModel
from reference.runs.checkpoint import PATTERN, Checkpoint, Run, find_checkpoint
from reference.runs.curve import LossCurve, exact_loss
from reference.runs.distributed import Ranks, check_shares
from reference.runs.progress import Outputs
from reference.runs.saved_model import FILE, save_model
from reference.runs.session import Keeping, Watching, watch_training
from reference.terminal.console import SafeConsole
from reference.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What was asked for."""

    out: Path
    data: str
    config: TrainConfig
    seed: int
    engine: str
    device: torch.device
    resume: bool
    overwrite: bool
    checkpoint_every: int
    keep: int
    estimate_every: int
    outputs: Outputs
    plot: Path | None
    as_json: bool


def do(job: TrainJob, console: SafeConsole, ranks: Ranks) -> int:
    """Do a training job, together with the other ranks; give the signal that ended it, or 0.

    Raises: what `load`, `find_checkpoint` and `watch_training` raise; OutputError where
        something could not be written, InUseError where another process writes there.
    """
    ranks.check_same(_settings(job) if ranks.size > 1 else {})
    if job.engine == "fast":
        check_can_compile(job.device)
    else:
        check_shares(job.config.batch_size, ranks)
    splits = ("train", "val") if job.estimate_every else ("train",)
    corpus = loading.load(
        job.data, console, splits=splits, block_size=job.config.block_size, ranks=ranks
    )
    run = Run.of(corpus, job.config, seed=job.seed, engine=job.engine)
    with ExitStack() as stack:
        resumed = ranks.from_first(lambda: _claim(job, run, stack))
        least = 0 if job.engine == "fast" else loading.MANY
        counts = loading.count_pairs(corpus, "train", console, ranks=ranks, least=least)
        torch.manual_seed(job.seed)
        model = BigramLanguageModel(len(corpus.vocabulary)).to(job.device)
        if job.engine == "fast":
            with console.status("compiling the engine, if it is not yet"):
                compile_engine(model, corpus, job.config)
        first = resumed.step if resumed is not None else 0
        if job.resume:
            console.print(
                f"going on after step {first:,} of {job.config.steps:,}"
                if resumed is not None
                else f"there is no checkpoint in {job.out} yet: beginning at step 0",
                soft_wrap=True,
            )
        keeping = Keeping(
            run=run,
            directory=job.out,
            every=job.checkpoint_every,
            keep=job.keep,
            resumed=resumed,
            replaces=job.overwrite,
        )
        started = time.perf_counter()
        curve, ended_by = watch_training(
            model,
            corpus,
            job.config,
            job.seed,
            console,
            new_trainer=find_trainer(job.engine),
            ranks=ranks,
            keeping=keeping,
            watching=Watching(
                outputs=job.outputs, estimate_every=job.estimate_every, train_counts=counts
            ),
        )
        seconds = time.perf_counter() - started
        val_loss = None
        if len(corpus.val) > 1:
            val_counts = loading.count_pairs(corpus, "val", console, ranks=ranks, least=least)
            val_loss = exact_loss(model, val_counts)
        if ranks.is_first:
            about = {
                **_about(job, corpus, curve, first, seconds),
                "ranks": ranks.size,
                "val_loss": val_loss,
            }
            # The folder has been this process' own since it was seen that nothing gets lost.
            file = save_model(model, corpus.vocabulary, job.out, about=about, overwrite=True)
            _tell(job, console, file, about)
            if job.plot is not None:
                plots.draw(job.plot, model, curve, corpus, console)
    return ended_by


def _settings(job: TrainJob) -> dict[str, object]:
    """Return all that has to be the same on every rank, or they would train different models.

    Such settings decide a step, or after which steps the ranks exchange something.
    """
    settings = {
        **vars(job.config),
        "seed": job.seed,
        "engine": job.engine,
        "checkpoint_every": job.checkpoint_every,
        "estimate_every": job.estimate_every,
        "overwrite": job.overwrite,
        "bigram-reference": reference.__version__,
        "torch": torch.__version__,
    }
    if job.engine == "fast":
        settings["numba"] = _version("numba")
    return settings


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _claim(job: TrainJob, run: Run, stack: ExitStack) -> Checkpoint | None:
    """Make sure that all can be written, that nobody else does, and that nothing gets lost."""
    make_writable(job.out)
    stack.enter_context(only_writer(job.out, writes=(FILE, PATTERN)))
    job.outputs.check()
    if job.plot is not None:
        plots.check_can_plot(job.plot)
    return find_checkpoint(job.out, run, resume=job.resume, overwrite=job.overwrite)


def _about(
    job: TrainJob, corpus: Corpus, curve: LossCurve, first: int, seconds: float
) -> dict[str, Any]:
    tokens = (curve.taken - first) * job.config.batch_size * job.config.block_size
    return {
        "corpus": corpus.name,
        "config": vars(job.config),
        "seed": job.seed,
        "device": job.device.type,
        "engine": job.engine,
        "interrupted": curve.taken < job.config.steps,
        "steps_taken": curve.taken,
        "resumed_after": first,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "loss": curve.loss(),
        "entropy_floor": curve.floor,
    }


def _tell(job: TrainJob, console: SafeConsole, file: Path, about: dict[str, Any]) -> None:
    if job.as_json:
        print_json(model=str(file), **about)
    interrupted, rate = about["interrupted"], about["tokens_per_second"]
    go_on = ""
    if interrupted and job.checkpoint_every:
        instead = " in place of --overwrite" if job.overwrite else ""
        go_on = f"continue with the same command and --resume{instead}, or "
    console.print(
        f"{'interrupted, and saved' if interrupted else 'saved'} after "
        f"{about['steps_taken']:,} steps: {file}\n"
        f"loss over the train split {about['loss']:.4f}, "
        f"{about['loss'] - about['entropy_floor']:.4f} above its entropy floor "
        f"{about['entropy_floor']:.4f}\n"
        f"{about['seconds'] * rate:,.0f} tokens in {about['seconds']:.1f} s on the "
        f"{job.engine} engine: {rate:,.0f} tokens per second\n"
        f"next: {go_on}bigram generate --model {job.out}",
        soft_wrap=True,
    )
