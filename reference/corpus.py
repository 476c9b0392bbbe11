"""A text as tokens, in a part to train on and a part to validate on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from reference import data
from reference.checks import check_part, check_text
from reference.errors import EmptyError, TooShortError, UnknownSplitError
from reference.notes import train_length
from reference.oracle.counts import bigram_counts
from reference.shapes import Ids, StoredStream
from reference.vocabulary import Vocabulary

AT_ONCE = 2**20
"""Tokens that are counted at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A vocabulary, and the tokens of both splits.

    Shape: train (N_train,), val (N_val,), int64; from files, of the type that they have.
    Source: notes, TRAINING > [ Data ] > train_data > val_data.
    """

    name: str
    vocabulary: Vocabulary
    train: Integer[Tensor, "N_train"]
    val: Integer[Tensor, "N_val"]

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

    def read(self, split: str, begin: int, end: int) -> Integer[np.ndarray, "n"]:
        """Return the tokens from begin to end - 1, or as far as there are any, in memory.

        Shape: -> (end - begin,), of the type of the split.
        Raises: UnknownSplitError.
        """
        return self.split(split)[begin:end].cpu().numpy()

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
            of the split; TokenFileError if it is in a file that is gone.
        """
        C = len(self.vocabulary)
        begin, end = check_part(len(self.split(split)), begin, end)
        counts = np.zeros((C, C), np.int64)
        step = min(max(AT_ONCE, C**2), 4 * AT_ONCE)  # each makes a table of C**2 anew
        for at in range(begin, end, step):
            upto = min(at + step, end)
            # With the token that follows, as far as there is one.
            counts += bigram_counts(self.read(split, at, upto + 1), C)
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
