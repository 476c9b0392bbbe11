"""A training run in progress, kept so that it goes on bit for bit as if it had not stopped.

A checkpoint is one safetensors file: the table and AdamW's means as tensors, the states of the
random generators as bytes, and all else as JSON in its header. Each is written whole or not at all,
and the last few are kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Float, UInt8
from msgspec import Meta, Struct, convert
from torch import Tensor

from reference.checks import check_count
from reference.corpus import AT_ONCE, Corpus
from reference.errors import (
    CheckpointError,
    MismatchError,
    ModelFileError,
    OutOfRangeError,
    printable,
)
from reference.files.atomic import make_writable
from reference.files.tensors import Kind, read_tensors, write_tensors
from reference.model import BigramLanguageModel
from reference.runs.saved_model import check_can_save
from reference.tokens.format import DTYPES, PieceDigests, smallest_dtype
from reference.tokens.load import FiledCorpus
from reference.training import TrainConfig
from reference.vocabulary import Vocabulary

FOLDER = "checkpoints"
"""Where they are, in the directory that the model is to be saved in."""

FORMAT = 2
"""Version of what the header holds; a file of a different version is rejected."""

KEEP = 3
"""How many are kept, unless it is said."""

_NAME = "checkpoint-{:010d}.safetensors"
_PATTERN = "checkpoint-" + "[0-9]" * 10 + ".safetensors"
_STREAM = "generator."

PATTERN = f"{FOLDER}/{_PATTERN}"
"""Pattern of a run's checkpoints, relative to the directory of the model."""

_KIND = Kind(
    header="bigram-reference-checkpoint",
    format=FORMAT,
    what="checkpoint of bigram-reference",
    error=CheckpointError,
    missing="Give a directory that `bigram train --out` wrote",
    damaged="Remove it, and --resume continues from the one before",
)


class _Header(Struct):
    format: int
    step: Annotated[int, Meta(ge=0)]
    config: dict[str, Any]
    seed: int
    engine: str
    characters: str
    corpus: str
    fingerprint: str
    generators: list[str]
    notes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What decides every step of a run, and so must be the same where it goes on.

    `steps` may differ: it says when to stop, and not what a step does.
    """

    config: TrainConfig
    seed: int
    engine: str
    vocabulary: Vocabulary
    corpus: str
    """The corpus' name, for people; another text with the same name has another fingerprint."""
    fingerprint: str

    @classmethod
    def of(cls, corpus: Corpus, config: TrainConfig, *, seed: int, engine: str) -> "Run":
        """Describe the run on a corpus."""
        return cls(
            config=config,
            seed=seed,
            engine=engine,
            vocabulary=corpus.vocabulary,
            corpus=corpus.name,
            fingerprint=fingerprint(corpus),
        )

    def check_same(self, other: "Run", where: Path) -> None:
        """Refuse to go on with what another run has left.

        Raises: MismatchError, which names each difference.
        """
        here, there = (
            {**vars(run.config), "seed": run.seed, "engine": run.engine} for run in (self, other)
        )
        differences = [
            f"{name} is {value}, and was {printable(there[name])}"
            for name, value in here.items()
            if name != "steps" and value != there[name]
        ]
        if self.vocabulary != other.vocabulary:
            differences.append(_difference(self.vocabulary, other.vocabulary))
        elif self.fingerprint != other.fingerprint:
            differences.append(
                f"the text is another: {self.corpus}, SHA-256 {self.fingerprint[:12]}..., and was "
                f"{printable(other.corpus)}, {printable(other.fingerprint[:12])}..."
            )
        if differences:
            raise MismatchError(
                f"{where} belongs to another run: {'; '.join(differences)}. Say the same as then, "
                "or give another --out, or --overwrite to begin anew"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A run after `step` steps.

    Shape: table, mean, square (C, C): the model, and AdamW's exp_avg and exp_avg_sq.
    Units: step counts from 1; 0 is a run that has not begun.
    """

    run: Run
    step: int
    table: Float[Tensor, "C C"]
    mean: Float[Tensor, "C C"]
    square: Float[Tensor, "C C"]
    generators: Mapping[str, UInt8[Tensor, "S"]]
    """The states of the random generators, by what each is for."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the trainer wants back, as JSON holds it."""


def fingerprint(corpus: Corpus) -> str:
    """Return the SHA-256, in hex, of the characters and the tokens of both splits.

    It is the same for a text, and for the same text in files.
    """
    dtype = smallest_dtype(len(corpus.vocabulary))
    pieces = corpus.files.pieces if isinstance(corpus, FiledCorpus) else None
    if pieces is None:
        digests = PieceDigests()
        for split in ("train", "val"):
            for begin in range(0, len(corpus.split(split)), AT_ONCE):
                tokens = corpus.read(split, begin, begin + AT_ONCE).astype(DTYPES[dtype])
                digests.update(tokens.data.cast("B"))
        pieces = digests.all()
    N, N_train = len(corpus.train) + len(corpus.val), len(corpus.train)
    content = [corpus.vocabulary.characters, N, N_train, dtype, pieces]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def save_checkpoint(checkpoint: Checkpoint, directory: Path, *, keep: int = KEEP) -> Path:
    """Write a checkpoint, then remove all but the last `keep`; give the file's path.

    Raises: OutputError if it cannot be written, and then all that were there are left;
        CheckpointError if JSON, or a file's header, cannot hold the notes; NotAnIntegerError,
        OutOfRangeError for `keep`.
    """
    check_count("keep", keep, minimum=1)
    folder = directory / FOLDER
    make_writable(folder)
    run = checkpoint.run
    tensors = {"table": checkpoint.table, "mean": checkpoint.mean, "square": checkpoint.square}
    header = {
        "format": FORMAT,
        "step": checkpoint.step,
        "config": vars(run.config),
        "seed": run.seed,
        "engine": run.engine,
        "characters": run.vocabulary.characters,
        "corpus": run.corpus,
        "fingerprint": run.fingerprint,
        "torch": torch.__version__,
        "generators": sorted(checkpoint.generators),
        "notes": checkpoint.notes,
    }
    for name, state in checkpoint.generators.items():
        tensors[_STREAM + name] = state
    file = checkpoint_file(directory, checkpoint.step)
    try:
        write_tensors(file, tensors, header, _KIND)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the notes cannot be written as JSON: {error}") from error
    remove_old(directory, keep=keep)
    return file


def remove_old(directory: Path, *, keep: int) -> None:
    """Remove all of a run's checkpoints but the last `keep`."""
    for old in checkpoints(directory)[:-keep]:
        old.unlink(missing_ok=True)


def checkpoint_file(directory: Path, step: int) -> Path:
    """Return the path of a run's checkpoint after so many steps."""
    return directory / FOLDER / _NAME.format(step)


def checkpoints(directory: Path) -> list[Path]:
    """Give the checkpoints of a run, the last one last."""
    return sorted((directory / FOLDER).glob(_PATTERN))


def load_checkpoint(file: Path) -> Checkpoint:
    """Read back what `save_checkpoint` wrote, bit for bit, on the CPU.

    Raises: CheckpointError where the file cannot be read, is damaged or of another kind.
    """
    fields, tensors = read_tensors(file, _KIND)
    try:
        header = convert(fields, _Header)
        run = Run(
            config=TrainConfig(**header.config),
            seed=header.seed,
            engine=header.engine,
            vocabulary=Vocabulary(header.characters),
            corpus=header.corpus,
            fingerprint=header.fingerprint,
        )
        C = len(run.vocabulary)
        return Checkpoint(
            run=run,
            step=header.step,
            table=_square(tensors, "table", C),
            mean=_square(tensors, "mean", C),
            square=_square(tensors, "square", C),
            generators={name: _state(tensors, name) for name in header.generators},
            notes=header.notes,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} was not written by `save_checkpoint`: {printable(error)}"
        ) from error


def restore_generator(
    generator: torch.Generator, checkpoint: Checkpoint, name: str, file: Path
) -> None:
    """Set a generator to the state that was kept under that name.

    Raises: CheckpointError where there is none, or it is of another kind of generator.
    """
    try:
        generator.set_state(checkpoint.generators[name])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{file} holds no state of this torch's generator {name!r}: {error}. It was written "
            "by another version of torch, or for another device"
        ) from error


def new_table(model: BigramLanguageModel, checkpoint: Checkpoint) -> None:
    """Give a model the checkpoint's table."""
    with torch.no_grad():
        model.token_embedding_table.weight.copy_(checkpoint.table)


def _difference(here: Vocabulary, there: Vocabulary) -> str:
    new = sorted(set(here.characters) - set(there.characters))
    gone = sorted(set(there.characters) - set(here.characters))
    told = [
        f"{word} {''.join(characters)!r:.60}"
        for word, characters in (("has", new), ("lacks", gone))
        if characters
    ]
    return (
        f"the vocabulary is another: {len(here)} characters, and was {len(there)}; "
        f"it now {' and '.join(told)}"
    )


def _state(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    state = tensors[_STREAM + name]
    if state.dtype != torch.uint8 or state.ndim != 1:
        raise ValueError(
            f"generator {name!r} is {state.dtype}, {tuple(state.shape)}; it must be uint8, (S,)"
        )
    return state


def _square(tensors: Mapping[str, Tensor], name: str, C: int) -> Tensor:
    tensor = tensors[name]
    if tensor.dtype not in {torch.float32, torch.float64} or tensor.shape != (C, C):
        raise ValueError(
            f"{name} is {tensor.dtype}, {tuple(tensor.shape)}; it must be float32 or float64, "
            f"({C}, {C})"
        )
    return tensor


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
            f"{directory} holds a run already, up to {last.stem}; --resume continues it, "
            "--overwrite starts a new one, or give another directory"
        )
    checkpoint = load_checkpoint(last)
    run.check_same(checkpoint.run, last)
    if checkpoint.step > run.config.steps:
        raise OutOfRangeError(
            f"steps is {run.config.steps}, and {last} was written after step {checkpoint.step}; "
            f"it must be {checkpoint.step} or more to go on from there"
        )
    return checkpoint
