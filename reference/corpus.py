"""A text as tokens, in a part to train on and a part to validate on, and where texts come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
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
from reference.shapes import Ids, TokenStream
from reference.vocabulary import Vocabulary

TWIN = "twin"
"""The embedded corpus: Tiny Shakespeare's bigram counts, and no download."""

TINYSHAKESPEARE = "tinyshakespeare"
"""The real text, downloaded once."""

TRAIN_SHARE = 0.9
"""The share of a text, from its start, that is trained on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A vocabulary, and the tokens of both splits.

    Shape: train (N_train,), val (N_val,), int64.
    Source: notes, TRAINING > [ Data ] > train_data > val_data.
    """

    name: str
    vocabulary: Vocabulary
    train: Int64[Tensor, "N_train"]
    val: Int64[Tensor, "N_val"]

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
        n = int(TRAIN_SHARE * len(tokens))
        return cls(name=name, vocabulary=vocabulary, train=tokens[:n], val=tokens[n:])

    def split(self, name: str) -> TokenStream:
        """Give the tokens of the split named "train" or "val".

        The notes' `else` takes any other name for "val", so that a misspelt "train" would
        quietly train on the validation text. Here it raises.

        Shape: (N_train,) or (N_val,), int64.
        Raises: UnknownSplitError.
        Source: notes, get_batch > if split == "train" > val_data.
        """
        if name == "train":
            return self.train
        if name == "val":
            return self.val
        raise UnknownSplitError(f'split is {name!r}; it must be "train" or "val"')

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
        """Give the same corpus with its tokens on a device."""
        return Corpus(
            name=self.name,
            vocabulary=self.vocabulary,
            train=self.train.to(device),
            val=self.val.to(device),
        )


def load_corpus(
    source: str | Path = TWIN, *, progress: Callable[[int, int], None] | None = None
) -> Corpus:
    """Give the corpus of that name, or of that UTF-8 text file.

    "twin" is embedded and needs no file. "tinyshakespeare" is downloaded once and kept;
    `progress` is then called with the bytes that have arrived and the bytes in all.

    Raises: TextFileError where a file is missing or is no UTF-8 text; EmptyError where it is
        empty; DownloadError where the download fails; NotTextError where source is no name or path.
    Source: notes, TRAINING > [ Data ].
    """
    if source == TWIN:
        from reference.twin import load_twin  # noqa: PLC0415  a name that is not asked for costs nothing

        twin = load_twin()
        return Corpus(
            name="the embedded twin of Tiny Shakespeare",
            vocabulary=Vocabulary(twin.characters),
            train=torch.from_numpy(twin.train),
            val=torch.from_numpy(twin.val),
        )
    if source == TINYSHAKESPEARE:
        from reference.download import fetch_tinyshakespeare  # noqa: PLC0415  likewise

        return Corpus.from_text(
            read_text(fetch_tinyshakespeare(progress=progress)), name="Tiny Shakespeare"
        )
    if not isinstance(source, (str, Path)):
        raise NotTextError(f"source is {source!r:.60}; it must be a name or a path")
    path = Path(source)
    return Corpus.from_text(read_text(path), name=path.name)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file as it stands: line ends are kept, a byte order mark is not text.

    Raises: TextFileError, which names the file and, in text that is not UTF-8, the first bad byte.
    """
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else error
        raise TextFileError(
            f"{path} cannot be read: {reason}. Give the path of a UTF-8 text file, "
            f'"{TWIN}" (embedded) or "{TINYSHAKESPEARE}" (a download)'
        ) from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextFileError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} "
            f"({error.reason}). Convert it to UTF-8 first"
        ) from error
    return text.removeprefix("\ufeff")
