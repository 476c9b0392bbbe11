"""A trained model in one file: the table as safetensors, and all else in its JSON header.

Nothing is pickled, so that loading a file from somebody else runs no code of theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct, convert
from torch import Tensor, nn

from reference.errors import ModelFileError, printable
from reference.files.atomic import make_writable, writing
from reference.files.tensors import Kind, read_tensors, write_tensors
from reference.model import BigramLanguageModel
from reference.shapes import Table
from reference.vocabulary import Vocabulary

FILE = "model.safetensors"
"""The name of the file in a model's directory."""

FORMAT = 1
"""The version of what the header holds: a file of another one is refused."""

_TABLE = "token_embedding_table.weight"
_KIND = Kind(
    header="bigram-reference",
    format=FORMAT,
    what="model of bigram-reference",
    error=ModelFileError,
    missing="Give a directory that `bigram train --out` wrote",
    damaged="Train and save it again",
)


class _Header(Struct):
    format: int
    characters: str
    about: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedModel:
    """A model, the vocabulary that its tokens stand for, and what was said of its training."""

    model: BigramLanguageModel
    vocabulary: Vocabulary
    about: Mapping[str, Any] = field(default_factory=dict)


def check_can_save(directory: str | Path, *, overwrite: bool = False) -> None:
    """Find out before the work whether a model could be saved after it.

    Raises: ModelFileError where a model is there already; OutputError where the directory cannot be
        written.
    """
    file = Path(directory) / FILE
    with writing(file):  # which may have too long a name, say
        is_there, is_folder = file.exists(), file.is_dir()
    if is_folder or (is_there and not overwrite):
        raise ModelFileError(
            f"{file} exists already; give another directory"
            + ("" if is_folder else ", or --overwrite (overwrite=True)")
        )
    make_writable(Path(directory))


def save_model(
    model: BigramLanguageModel,
    vocabulary: Vocabulary,
    directory: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model into a directory, whole or not at all, and give the file's path.

    `about` is anything that JSON can hold, such as how the model was trained.

    Shape: the table (C, C), for a vocabulary of C characters.
    Raises: ModelFileError if a model is there already, if JSON, or a file's header, cannot hold
        `about`, or unless the table is (C, C), finite, and float32 or float64; OutputError if the
        file cannot be written.
    """
    table = model.token_embedding_table.weight.detach().cpu().contiguous()
    _check_table(table, len(vocabulary), f"the model for {directory}")
    fields = {"format": FORMAT, "characters": vocabulary.characters, "about": about or {}}
    try:
        json.dumps(about, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"`about` cannot be written as JSON: {error}") from error
    check_can_save(directory, overwrite=overwrite)
    file = Path(directory) / FILE
    try:
        write_tensors(file, {_TABLE: table}, fields, _KIND)
    except ValueError as error:
        raise ModelFileError(f"`about` cannot be written: {error}") from error
    return file


def load_model(directory: str | Path) -> SavedModel:
    """Read back what `save_model` wrote: the same table, bit for bit, on the CPU.

    Shape: the table (C, C), for a vocabulary of C characters.
    Raises: ModelFileError where there is no model, or the file is damaged or of another kind.
    """
    file = Path(directory) / FILE
    fields, tensors = read_tensors(file, _KIND)
    try:
        header = convert(fields, _Header)
        vocabulary, table = Vocabulary(header.characters), tensors[_TABLE]
        _check_table(table, len(vocabulary), str(file))
    except (KeyError, ValueError) as error:
        raise ModelFileError(
            f"{file} was not written by `save_model`: {printable(error)}"
        ) from error
    return SavedModel(model=model_of(table), vocabulary=vocabulary, about=header.about)


def model_of(table: Table) -> BigramLanguageModel:
    """Make the model of a table, which is not copied; torch's random stream stays where it is.

    Shape: (C, C).
    """
    with torch.random.fork_rng(devices=[]):
        model = BigramLanguageModel(1)  # a small one, as its table is drawn
    model.vocab_size = len(table)
    model.token_embedding_table = nn.Embedding.from_pretrained(table, freeze=False)
    return model


def _check_table(table: Tensor, C: int, what: str) -> None:
    if table.dtype not in {torch.float32, torch.float64}:
        raise ModelFileError(f"{what} has a table of {table.dtype}; it must be float32 or float64")
    if table.shape != (C, C):
        raise ModelFileError(f"{what} has a table of {tuple(table.shape)} for {C} characters")
    if not table.isfinite().all():
        raise ModelFileError(f"{what} has a table that is not finite; train a new one")
