"""Which device and which engine a command computes with."""

import copy
from collections.abc import Callable
from importlib.util import find_spec

import torch

from reference import fast
from reference.corpus import Corpus
from reference.errors import DeviceError
from reference.fast import compiling, cuda
from reference.fast.trainer import FastTrainer
from reference.model import BigramLanguageModel
from reference.runs.trainer import NewTrainer, ReferenceTrainer
from reference.shapes import Ids
from reference.training import TrainConfig


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


def find_trainer(engine: str) -> NewTrainer:
    """Return what trains: the "reference", or the "fast" engine."""
    return FastTrainer if engine == "fast" else ReferenceTrainer


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


def compile_engine(model: BigramLanguageModel, corpus: Corpus, config: TrainConfig) -> None:
    """Take a step on a copy, so that the time of a first compilation is not taken for training's.

    Raises: MissingExtraError, and what else `fast.train` raises before its first step.
    """
    there = corpus.to(model.token_embedding_table.weight.device)
    next(fast.train(copy.deepcopy(model), there, config, generator=torch.Generator(), block=1))
