"""What the commands have in common: a device, a corpus, and training that can be watched."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TimeRemainingColumn
from rich.text import Text

from reference import fast
from reference.checkpoint import Checkpoint, Run, checkpoints, load_checkpoint
from reference.cli.plots import loss_figure, save, tables_figure
from reference.corpus import TINYSHAKESPEARE, Corpus, load_corpus
from reference.curve import LossCurve
from reference.distributed import ALONE, Ranks
from reference.errors import DeviceError, ModelFileError, OutOfRangeError
from reference.fast import compiling, cuda
from reference.model import BigramLanguageModel
from reference.model_file import check_can_save
from reference.oracle.counts import Counts
from reference.shapes import Ids
from reference.terminal import SafeConsole, Words, bar
from reference.text_input import carriage_returns
from reference.training import TrainConfig

MANY = 2**26
"""Pairs, from which on loading Numba is worth while to count them: they take half a second."""


def find_device(wanted: str) -> torch.device:
    """Give the device of that name; "auto" is CUDA where there is one, and else the CPU.

    Raises: DeviceError where CUDA is asked for and is not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--device is cuda, which torch does not find here; it must be auto or cpu, or torch "
            "must be installed with CUDA"
        )
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def find_engine(wanted: str, device: torch.device) -> str:
    """Return "reference" or "fast"; "auto" is the latter if what compiles it can be used."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "reference" if find_spec("triton") is None else "fast"
    return "fast" if compiling.is_there() else "reference"


def check_can_compile(device: torch.device) -> None:
    """Find out before the work whether the engine can train on this device.

    Raises: MissingExtraError, which says what to install.
    """
    if device.type == "cuda":
        cuda.kernels()
    else:
        compiling.check_there()


def find_voice(
    engine: str, model: BigramLanguageModel
) -> Callable[[Ids, int, torch.Generator], Ids]:
    """Give what continues a text: the "reference", the "fast" engine, or its "sampler".

    Raises: MissingExtraError for the sampler, where Numba is not installed.
    """
    table = model.token_embedding_table.weight
    prompt = torch.zeros((1, 1), dtype=torch.int64, device=table.device)
    # The first call compiles, or asks torch how it draws: before anyone looks at the clock.
    if engine == "sampler":
        sampler = fast.Sampler(table)
        sampler.generate(prompt, 1, seed=0)
        return lambda idx, n, generator: sampler.generate(idx, n, generator=generator)
    if engine == "fast":
        fast.generate(table, prompt, 1, generator=torch.Generator(table.device))
        return lambda idx, n, generator: fast.generate(table, idx, n, generator=generator)
    return lambda idx, n, generator: model.generate(idx, n, generator=generator)


def load(
    source: str,
    console: Console,
    *,
    splits: Sequence[str],
    block_size: int = 8,
    ranks: Ranks = ALONE,
) -> Corpus:
    """Load a corpus, under a progress bar where it is downloaded, or verified in its files.

    The ranks of one machine divide the verifying between them, and each waits for all.

    Raises: TooShortError where one of the splits is too short for a window, so that it is said
        before the work and not in the midst of it; MismatchError where the ranks' corpora differ,
        LostRankError where one could not load it; what `load_corpus` raises.
    """
    columns = Words("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with bar(console, *columns, DownloadColumn()) as progress:
        doing = "downloading" if source == TINYSHAKESPEARE else "verifying"
        task = progress.add_task(doing, total=None, visible=False)

        def show(arrived: int, total: int) -> None:
            progress.update(task, completed=arrived, total=total, visible=True)

        corpus = load_corpus(source, share=ranks.local, progress=show)
    ranks.check_same({"the corpus": corpus.fingerprint})
    # Of what is in files, `bigram prepare` has said it.
    if ranks.is_first and corpus.files is None and "\r" in corpus.vocabulary.characters:
        note = f"note: {carriage_returns(source)}"
        SafeConsole(stderr=True, soft_wrap=True).print(note)
    for split in splits:
        corpus.check_length(split, block_size)
    return corpus


def find_checkpoint(
    directory: Path, run: Run, *, resume: bool, overwrite: bool
) -> Checkpoint | None:
    """Return the checkpoint to resume from, or None if the run is to start.

    Raises: ModelFileError if there is a run, or a model, and neither `resume` nor `overwrite` is
        set; MismatchError if the run is a different one; CheckpointError if its checkpoint is
        damaged; OutputError.
    """
    found = checkpoints(directory)
    if not found or overwrite:
        check_can_save(directory, overwrite=overwrite)
        return None
    last = found[-1]
    if not resume:
        raise ModelFileError(
            f"{directory} holds a run already, up to {last.stem}; --resume goes on with it, "
            "--overwrite begins anew, or give another directory"
        )
    checkpoint = load_checkpoint(last)
    run.check_same(checkpoint.run, last)
    if checkpoint.step > run.config.steps:
        raise OutOfRangeError(
            f"steps is {run.config.steps}, and {last} was written after step {checkpoint.step}; "
            f"it must be {checkpoint.step} or more to go on from there"
        )
    return checkpoint


def count_pairs(
    corpus: Corpus, split: str, console: Console, *, ranks: Ranks = ALONE, least: int = 0
) -> Counts:
    """Count a split's pairs under a progress bar.

    Where Numba is installed, the engine counts, from `least` pairs on: for few, loading it takes
    longer. Each rank counts its part, and the sum of the parts is exact.

    Shape: (C, C), summing to N - 1.
    Raises: LostRankError; what reading the tokens raises.
    """
    share = ranks.share(len(corpus.split(split)) - 1)
    if share.start == share.stop:  # more ranks than pairs
        C = len(corpus.vocabulary)
        counts: Counts = np.zeros((C, C), np.int64)
    else:
        with _bar(console, "counting") as show:
            places = {"begin": share.start, "end": share.stop}
            if share.stop - share.start >= least and compiling.is_there():
                stream, C = corpus.stream(split), len(corpus.vocabulary)
                counts = fast.count(stream, C, progress=show, **places)
            else:
                counts = corpus.pair_counts(split, progress=show, **places)
    return ranks.add_up(torch.from_numpy(counts)).numpy()


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something has come, where there is a terminal: call it with the done, and all.

    What takes no longer than a blink is not shown.
    """
    columns = Words("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with bar(console, *columns) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def compile_engine(model: BigramLanguageModel, corpus: Corpus, config: TrainConfig) -> None:
    """Take a step on a copy, so that the time of a first compilation is not taken for training's.

    Raises: MissingExtraError, and what else `fast.train` raises before its first step.
    """
    there = corpus.to(model.token_embedding_table.weight.device)
    next(fast.train(copy.deepcopy(model), there, config, generator=torch.Generator(), block=1))


def draw(
    directory: Path,
    model: BigramLanguageModel,
    curve: LossCurve,
    corpus: Corpus,
    console: Console,
) -> None:
    """Draw the loss curve and the tables into a folder."""
    save(loss_figure(curve), directory / "loss.png")
    save(tables_figure(model, curve, corpus.vocabulary), directory / "tables.png")
    console.print(Text(f"drawn: loss.png and tables.png in {directory}"), soft_wrap=True)
