"""What the commands have in common: a device, a corpus, and training that can be watched."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import DownloadColumn, Progress
from rich.text import Text

from reference import fast
from reference.corpus import Corpus, load_corpus
from reference.curve import LossCurve
from reference.errors import DeviceError
from reference.fast import cuda
from reference.fast.compiling import check_there
from reference.model import BigramLanguageModel
from reference.plots import loss_figure, save, tables_figure
from reference.render import training_progress
from reference.shapes import Ids
from reference.training import TrainConfig, TrainStep, train

SMALL = 2**20
"""Logits in a batch, up to which a second thread gains nothing; the notes' loop has 16,640."""

LOG_LINES = 10
"""Of a training run, where there is no terminal to show a bar."""


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
    """Give "reference" or "fast"; "auto" is the latter where what compiles it is installed."""
    if wanted != "auto":
        return wanted
    compiler = "triton" if device.type == "cuda" else "numba"
    return "reference" if find_spec(compiler) is None else "fast"


def check_can_compile(device: torch.device) -> None:
    """Find out before the work whether the engine can train on this device.

    Raises: MissingExtraError, which says what to install.
    """
    if device.type == "cuda":
        cuda.kernels()
    else:
        check_there()


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


def load(source: str, console: Console, *, splits: Sequence[str], block_size: int = 8) -> Corpus:
    """Load a corpus, under a progress bar where it is downloaded.

    Raises: TooShortError where one of the splits is too short for a window, so that it is said
        before the work and not in the midst of it; what `load_corpus` raises.
    """
    with Progress(
        *Progress.get_default_columns(),
        DownloadColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("downloading", total=None, visible=False)

        def show(arrived: int, total: int) -> None:
            bar.update(task, completed=arrived, total=total, visible=True)

        corpus = load_corpus(source, progress=show)
    for split in splits:
        corpus.check_length(split, block_size)
    return corpus


def watch_training(  # noqa: PLR0913  a training run has this much to be told
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    seed: int,
    console: Console,
    *,
    engine: str = "reference",
) -> tuple[LossCurve, bool]:
    """Train under a progress bar; give the curve, and whether Ctrl-C ended it early."""
    curve = LossCurve(model, corpus, steps=config.steps)
    there = corpus.to(model.token_embedding_table.weight.device)
    generator = torch.Generator().manual_seed(seed)
    next_line = config.steps / LOG_LINES
    with (
        _without_waste(model, config.batch_size * config.block_size * model.vocab_size, engine),
        training_progress(console) as bar,
    ):
        loss = f"{curve.loss():.4f}"
        task = bar.add_task("", total=config.steps, floor=f"{curve.floor:.4f}", loss=loss)
        try:
            if engine == "fast":
                steps = _fast_steps(model, there, config, generator, curve.every)
            else:
                steps = train(model, there, config, generator=generator)
            for step in steps:
                if not curve.add(step):
                    continue
                loss = f"{curve.points[-1].loss:.4f}"
                bar.update(task, completed=step.step, loss=loss)
                if not console.is_terminal and step.step >= next_line:
                    console.print(f"step {step.step:,}: loss {loss}, floor {curve.floor:.4f}")
                    next_line += config.steps / LOG_LINES
        except KeyboardInterrupt:
            return curve, True
    return curve, False


def _fast_steps(
    model: BigramLanguageModel,
    corpus: Corpus,
    config: TrainConfig,
    generator: torch.Generator,
    every: int,
) -> Iterator[TrainStep]:
    """Hand the engine's blocks out step by step; the model is `every` steps on at the last one."""
    taken = 0
    for block in fast.train(model, corpus, config, generator=generator, block=every):
        for loss in block.losses.tolist():
            taken += 1
            yield TrainStep(taken, loss)


def compile_engine(model: BigramLanguageModel, corpus: Corpus, config: TrainConfig) -> None:
    """Take a step on a copy, so that the time of a first compilation is not taken for training's.

    Raises: MissingExtraError, and what else `fast.train` raises before its first step.
    """
    there = corpus.to(model.token_embedding_table.weight.device)
    next(fast.train(copy.deepcopy(model), there, config, generator=torch.Generator(), block=1))


@contextmanager
def _without_waste(model: BigramLanguageModel, logits: int, engine: str) -> Iterator[None]:
    """Train small batches on one thread, and without checking tokens that come from the corpus.

    More threads would not be faster, and where something else wants the core they would wait for
    each other at every operation: the notes' loop then takes minutes.
    """
    threads, validate = torch.get_num_threads(), model.validate
    if logits <= SMALL and engine == "reference":
        torch.set_num_threads(1)
    model.validate = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        model.validate = validate


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
