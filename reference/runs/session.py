"""A training run that can be watched, and that goes on where it stopped."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from rich.console import Console

from reference.checks import check_finite, diverged
from reference.corpus import Corpus
from reference.errors import CheckpointError
from reference.model import BigramLanguageModel
from reference.oracle.counts import Counts
from reference.runs.checkpoint import (
    KEEP,
    Checkpoint,
    Run,
    checkpoint_file,
    checkpoints,
    new_table,
    remove_old,
    restore_generator,
    save_checkpoint,
)
from reference.runs.curve import LossCurve, exact_loss
from reference.runs.distributed import ALONE, Ranks, Stopping
from reference.runs.progress import NOWHERE, Outputs, Watcher
from reference.runs.signals import UNWRITTEN, Stop, listening
from reference.runs.trainer import NewTrainer, ReferenceTrainer
from reference.training import TrainConfig, estimate_loss


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Where a run's checkpoints go, and how often; and the one that it resumes from."""

    run: Run
    directory: Path
    every: int
    """Steps from one to the next, and there is one more at the end; 0 for none at all."""
    keep: int = KEEP
    resumed: Checkpoint | None = None
    replaces: bool = False
    """Whether the run takes the place of one that is there.

    That one's checkpoints are removed after the first step, when all that can be wrong with a
    command is found, and when the new run's first checkpoint is on disk.
    """

    def is_due(self, taken: int, *, or_now: bool) -> bool:
        """Return whether a checkpoint is to be written after so many steps."""
        or_now = or_now or (self.replaces and taken == 1)
        return self.every > 0 and (or_now or _is_due(taken, self.every))


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is told of a run while it lasts."""

    outputs: Outputs = NOWHERE
    estimate_every: int = 0
    """Steps from one estimate of both splits' losses to the next; 0 for none."""
    train_counts: Counts | None = None
    """The pairs of the train split, where they have been counted already."""


def watch_training(  # noqa: PLR0913  a training run has this much to be told
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    seed: int,
    console: Console,
    *,
    new_trainer: NewTrainer = ReferenceTrainer,
    ranks: Ranks = ALONE,
    keeping: Keeping | None = None,
    watching: Watching = Watching(),
) -> tuple[LossCurve, int]:
    """Train under a progress bar; return the curve, and the signal that ended it early, or 0.

    Ctrl-C and SIGTERM end it after the step that is being taken; a second Ctrl-C breaks off. So
    does a log that cannot be written any more: then UNWRITTEN is returned.

    Raises: what the trainer raises; NonFiniteLossError before a table that is not finite is looked
        at or kept; OutputError if a checkpoint cannot be written, or the log from the start;
        CheckpointError if the one to resume from does not fit.
    """
    session = _Session(model, corpus, config, seed, new_trainer, ranks, keeping, watching)
    with (
        _without_waste(model, one_thread=session.trainer.wants_one_thread),
        listening(patient=ranks.size > 1) as stop,
        Watcher(
            console,
            config,
            floor=session.curve.floor,
            loss=session.curve.loss(),
            taken=session.trainer.taken,
            outputs=watching.outputs if ranks.is_first else NOWHERE,
        ) as watcher,
    ):
        ended_by = session.go(stop, watcher)
    if watcher.failed is not None:  # which may be at the last line
        ended_by = UNWRITTEN
    return session.curve, ended_by


class _Session:
    """All that a run is made of while it lasts."""

    def __init__(  # noqa: PLR0913, PLR0917  as said
        self,
        model: BigramLanguageModel,
        corpus: Corpus,
        config: TrainConfig,
        seed: int,
        new_trainer: NewTrainer,
        ranks: Ranks,
        keeping: Keeping | None,
        watching: Watching,
    ) -> None:
        self.model, self.corpus, self.config = model, corpus, config
        self.ranks, self.keeping, self.watching = ranks, keeping, watching
        self.there = corpus.to(model.token_embedding_table.weight.device)
        self.streams = {
            "batches": torch.Generator().manual_seed(seed),
            "estimates": torch.Generator().manual_seed((seed + 1) % 2**63),
        }
        self.trainer = new_trainer(model, self.there, config, self.streams["batches"], ranks)
        self.curve = LossCurve(model, corpus, steps=config.steps, counts=watching.train_counts)
        if keeping is not None and keeping.resumed is not None:
            self._restore(keeping.resumed, keeping.directory)
        intervals = (
            self.curve.every,
            watching.estimate_every,
            keeping.every if keeping is not None else 0,
        )
        self.intervals = [interval for interval in intervals if interval]
        self.stopping = Stopping(ranks, self.trainer.taken)

    def go(self, stop: Stop, watcher: Watcher) -> int:
        """Take the steps that are left, or until the stop; return what stopped them, or 0."""
        self._remove_old()
        for step in self.trainer.steps(self._next_stop):
            taken = step.step
            if self.curve.is_due(taken):
                self._check_finite(taken)
            if self.curve.add(step):
                watcher.point(self.curve.points[-1])
            if taken != self.trainer.taken:
                continue  # the engine's model is some steps on
            if _is_due(taken, self.watching.estimate_every):
                self._estimate(taken, watcher)
            stopped = self.stopping.agreed(taken, UNWRITTEN if watcher.failed else stop.signal)
            last = taken == self.config.steps
            keeping = self.keeping
            if keeping is not None:
                old = self._replaced(keeping) if taken == 1 else []
                if keeping.is_due(taken, or_now=bool(last or stopped)):
                    self._keep(keeping, taken, watcher, beside=len(old))
                for file in old:
                    file.unlink(missing_ok=True)
            if stopped and not last:
                return stopped
        return 0

    def _remove_old(self) -> None:
        """Remove what the resumed run left if it was killed after it wrote its last checkpoint."""
        keeping = self.keeping
        if keeping is not None and keeping.resumed is not None and self.ranks.is_first:
            remove_old(keeping.directory, keep=keeping.keep)

    def _next_stop(self, taken: int) -> int:
        stops = [taken + every - taken % every for every in self.intervals]
        if self.ranks.size > 1:
            stops.append(self.stopping.next)
        if self.keeping is not None and self.keeping.replaces and not taken:
            stops.append(1)
        return min(self.config.steps, *stops)

    def _replaced(self, keeping: Keeping) -> list[Path]:
        """Return the old run's checkpoints that are to be removed after the first step."""
        if not (keeping.replaces and self.ranks.is_first):
            return []
        new = checkpoint_file(keeping.directory, 1) if keeping.every else None
        return [file for file in checkpoints(keeping.directory) if file != new]

    def _check_finite(self, taken: int) -> None:
        """Raise NonFiniteLossError unless the table is finite.

        The next step's loss tells of it only if its batch has a token with such a row.
        """
        table = self.model.token_embedding_table.weight
        check_finite(table, taken, self.config.learning_rate)

    def _estimate(self, taken: int, watcher: Watcher) -> None:
        self._check_finite(taken)
        estimated = estimate_loss(
            self.model, self.there, self.config, generator=self.streams["estimates"]
        )
        for split, loss in estimated.items():
            if not math.isfinite(loss):
                raise diverged(
                    f"the estimated loss of the {split} split is {loss} after step {taken}",
                    self.config.learning_rate,
                )
        exact = {"train": self.curve.loss(), "val": exact_loss(self.model, self._val_counts)}
        watcher.estimate(taken, estimated, exact)

    @cached_property
    def _val_counts(self) -> Counts:
        return self.corpus.pair_counts("val")

    def _keep(self, keeping: Keeping, taken: int, watcher: Watcher, *, beside: int) -> None:
        """Write a checkpoint, and leave `beside` others of an old run."""
        self._check_finite(taken)
        mean, square = self.trainer.means()  # of all ranks
        if not self.ranks.is_first:
            return
        checkpoint = Checkpoint(
            run=keeping.run,
            step=taken,
            table=self.model.token_embedding_table.weight,
            mean=mean,
            square=square,
            generators={name: stream.get_state() for name, stream in self.streams.items()},
            notes={"curve": self.curve.state()},
        )
        file = save_checkpoint(checkpoint, keeping.directory, keep=keeping.keep + beside)
        watcher.kept(taken, file)

    def _restore(self, resumed: Checkpoint, directory: Path) -> None:
        new_table(self.model, resumed)
        self.trainer.restore(resumed.step, resumed.mean, resumed.square)
        for name, stream in self.streams.items():
            restore_generator(stream, resumed, name, directory)
        try:
            self.curve.restore(resumed.step, resumed.notes["curve"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint after step {resumed.step} in {directory} does not hold its loss "
                f"curve: {error}. It was not written by `bigram train`"
            ) from error


def _is_due(taken: int, every: int) -> bool:
    return every > 0 and taken % every == 0


@contextmanager
def _without_waste(model: BigramLanguageModel, *, one_thread: bool) -> Iterator[None]:
    """Train small batches on one thread, and without checking tokens that come from the corpus.

    More threads would not be faster, and where something else wants the core they would wait for
    each other at every operation: the notes' loop then takes minutes.
    """
    threads, validate = torch.get_num_threads(), model.validate
    if one_thread:
        torch.set_num_threads(1)
    model.validate = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        model.validate = validate
