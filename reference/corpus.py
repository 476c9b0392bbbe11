"""A text as tokens, in a part to train on and a part to validate on, and where texts come from."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from reference import data
from reference.checks import check_text
from reference.errors import (
    EmptyError,
    NotTextError,
    TextFileError,
    TooShortError,
    UnknownSplitError,
)
from reference.files.text import STDIN, read_text
from reference.notes import train_length
from reference.oracle.counts import bigram_counts
from reference.shapes import Ids, StoredStream
from reference.tokens.folder import WHOLE, Share, TokenFiles, open_token_files
from reference.tokens.format import DTYPES, PieceDigests, smallest_dtype
from reference.tokens.stream import FileTokens, check_part, read_part
from reference.vocabulary import Vocabulary

TWIN = "twin"
"""The embedded corpus: Tiny Shakespeare's bigram counts, and no download."""

TINYSHAKESPEARE = "tinyshakespeare"
"""The real text, downloaded once."""

AT_ONCE = 2**20
"""Tokens that are counted, or hashed, at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A vocabulary, and the tokens of both splits: in memory, or in files that are read as needed.

    Shape: train (N_train,), val (N_val,), int64; over files, of the type that they have.
    Source: notes, TRAINING > [ Data ] > train_data > val_data.
    """

    name: str
    vocabulary: Vocabulary
    train: Integer[Tensor, "N_train"]
    val: Integer[Tensor, "N_val"]
    files: TokenFiles | None = None
    """Where the tokens stand, if they are not in memory."""

    @classmethod
    def from_text(cls, text: str, *, name: str = "text") -> "Corpus":
        """Encode a text and split it: the first 90% to train on, the rest to validate on.

        Raises: EmptyError where the text is empty; NotTextError where it is no str.
        Source: notes, TRAINING > [ Data ].
        """
        check_text("text", text)
        if not text:
            raise EmptyError(f"{name} is empty; a corpus needs at least one character")
        vocabulary = Vocabulary.from_text(text)
        tokens = vocabulary.encode(text)
        n = train_length(len(tokens))
        return cls(name=name, vocabulary=vocabulary, train=tokens[:n], val=tokens[n:])

    @property
    def verified(self) -> bool:
        """Whether every token was found to be one of the vocabulary when its file was opened."""
        return self.files is not None and self.files.verified

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256, in hex, of the characters and the tokens of both splits.

        It is the same for a text, and for the same text in files.
        """
        dtype = smallest_dtype(len(self.vocabulary))
        if self.files is not None and self.files.pieces is not None:
            pieces = self.files.pieces
        else:
            digests = PieceDigests()
            for stream in (self.stream("train"), self.stream("val")):
                for begin in range(0, len(stream), AT_ONCE):
                    tokens = read_part(stream, begin, begin + AT_ONCE).astype(DTYPES[dtype])
                    digests.update(tokens.data.cast("B"))
            pieces = digests.all()
        N, N_train = len(self.train) + len(self.val), len(self.train)
        content = [self.vocabulary.characters, N, N_train, dtype, pieces]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def split(self, name: str) -> StoredStream:
        """Give the tokens of the split named "train" or "val".

        The notes' `else` takes any other name for "val", so that a misspelt "train" would
        quietly train on the validation text. Here it raises.

        Shape: (N_train,) or (N_val,).
        Raises: UnknownSplitError.
        Source: notes, get_batch > if split == "train" > val_data.
        """
        if name == "train":
            return self.train
        if name == "val":
            return self.val
        raise UnknownSplitError(f'split is {name!r}; it must be "train" or "val"')

    def stream(self, split: str) -> StoredStream | FileTokens:
        """Give what is read from beginning to end: the tokens, or the file where they stand.

        A pass over a tensor that is mapped from a file counts all of it as this process's memory.

        Shape: (N_train,) or (N_val,).
        Raises: UnknownSplitError.
        """
        tokens = self.split(split)
        if self.files is None:
            return tokens
        return self.files.train if split == "train" else self.files.val

    def pair_counts(
        self,
        split: str,
        *,
        begin: int = 0,
        end: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Int64[np.ndarray, "C C"]:
        """Count the pairs of neighbours in one split whose first token is at begin to end - 1.

        So the counts of the parts of a split, each up to where the next begins, add up to those of
        the whole. `progress` is told the places done, and all.

        Shape: -> (C, C): row = current token. N - 1 pairs, where end is N or is left out.
        Raises: UnknownSplitError; NotAnIntegerError, OutOfRangeError where begin to end is no part
            of the split; TokenFileError where its file is gone.
        """
        stream, C = self.stream(split), len(self.vocabulary)
        begin, end = check_part(len(stream), begin, end)
        counts = np.zeros((C, C), np.int64)
        step = min(max(AT_ONCE, C**2), 4 * AT_ONCE)  # each makes a table of C**2 anew
        for at in range(begin, end, step):
            upto = min(at + step, end)
            # With the token that follows, as far as there is one.
            counts += bigram_counts(read_part(stream, at, upto + 1), C)
            if progress is not None:
                progress(upto - begin, end - begin)
        return counts

    def get_batch(
        self,
        split: str,
        block_size: int,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Ids, Ids]:
        """Draw inputs and targets from one split; see `reference.data.get_batch`.

        Shape: x (B, T), y (B, T), int64, where B = batch_size and T = block_size.
        Raises: UnknownSplitError, and what `reference.data.get_batch` raises.
        Source: notes, get_batch > returns > inputs > targets.
        """
        tokens = self.split(split)
        try:
            return data.get_batch(tokens, block_size, batch_size, generator=generator)
        except TooShortError as error:
            raise TooShortError(f"the {split} split of {self.name}: {error}") from None

    def check_length(self, split: str, block_size: int) -> None:
        """Refuse a split that is too short for one window, before get_batch has to.

        Raises: TooShortError, which names the split; UnknownSplitError.
        Source: notes, get_batch > torch.randint(len(data) - block_size - 1.
        """
        try:
            data.check_length(len(self.split(split)), block_size)
        except TooShortError as error:
            raise TooShortError(f"the {split} split of {self.name}: {error}") from None

    def to(self, device: torch.device) -> "Corpus":
        """Give the same corpus with its tokens on a device, and so in its memory."""
        return replace(self, train=_on(self.train, device), val=_on(self.val, device))


def _on(tokens: Integer[Tensor, "N"], device: torch.device) -> Integer[Tensor, "N"]:
    if device.type == "cuda" and tokens.dtype == torch.uint16:  # with which it can do little
        tokens = tokens.int()
    return tokens.to(device)


def load_corpus(
    source: str | Path = TWIN,
    *,
    verify: bool = True,
    share: Share = WHOLE,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Give the corpus of that name, of that UTF-8 text file, or in that directory.

    "twin" is embedded and needs no file. "tinyshakespeare" is downloaded once and kept;
    `progress` is then called with the bytes that have arrived and the bytes in all.

    A directory is one that `bigram prepare` wrote, or holds nanoGPT's train.bin and val.bin of a
    character-level dataset. Its tokens stay in their files, which must not change meanwhile, and
    every byte is verified first, of which `progress` is told; not so without `verify`, and with a
    `share` only as `open_token_files` says. nanoGPT's
    meta.pkl is not read, because unpickling runs whatever code the file says: put the vocabulary
    beside it, in vocabulary.json (one JSON string) or vocabulary.txt (the bare characters, sorted).

    Raises: TextFileError where a file is missing or is no UTF-8 text; EmptyError where it is
        empty; TokenFileError where a directory holds no tokens, or damaged ones; DownloadError
        where the download fails; NotTextError where source is no name or path.
    Source: notes, TRAINING > [ Data ].
    """
    if source == TWIN:
        from reference.tinyshakespeare.twin import load_twin  # noqa: PLC0415  a name that is not asked for costs nothing

        twin = load_twin()
        return Corpus(
            name="the embedded twin of Tiny Shakespeare",
            vocabulary=Vocabulary(twin.characters),
            train=torch.from_numpy(twin.train),
            val=torch.from_numpy(twin.val),
        )
    if source == TINYSHAKESPEARE:
        from reference.tinyshakespeare.download import fetch_tinyshakespeare  # noqa: PLC0415  likewise

        return Corpus.from_text(
            read_text(fetch_tinyshakespeare(progress=progress)), name="Tiny Shakespeare"
        )
    if not isinstance(source, (str, Path)):
        raise NotTextError(f"source is {source!r:.60}; it must be a name or a path")
    if source == "":
        raise TextFileError('source is empty; give a file, a folder, "twin" or "tinyshakespeare"')
    if source == STDIN:
        raise TextFileError(
            f"source is {STDIN}, standard input: `bigram prepare {STDIN} --out DIR` reads it. Then "
            "give DIR in its place"
        )
    path = Path(source)
    try:
        is_folder = path.is_dir()
    except OSError:  # the name is too long, say: reading it will tell
        is_folder = False
    if is_folder:
        files = open_token_files(path, verify=verify, share=share, progress=progress)
        return Corpus(
            name=path.resolve().name,
            vocabulary=files.vocabulary,
            train=files.train.mapped(),
            val=files.val.mapped(),
            files=files,
        )
    return Corpus.from_text(read_text(path), name=path.name)
