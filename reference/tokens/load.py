"""Where texts come from: the embedded twin, the real text, a file, or a folder of token files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Integer

from reference.corpus import Corpus
from reference.errors import NotTextError, TextFileError
from reference.files.text import STDIN, read_text
from reference.tokens.folder import WHOLE, Share, TokenFiles, open_token_files
from reference.tokens.stream import FileTokens
from reference.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class FiledCorpus(Corpus):
    """A corpus whose tokens stay in their files, and are read as needed.

    Shape: train (N_train,), val (N_val,), of the type that the files have.
    """

    files: TokenFiles

    @property
    def verified(self) -> bool:
        """Whether every token was found to be one of the vocabulary when its file was opened."""
        return self.files.verified

    def stream(self, split: str) -> FileTokens:
        """Return the file to read from beginning to end.

        A pass over a tensor that is mapped from a file counts all of it as this process's memory.

        Shape: (N_train,) or (N_val,).
        Raises: UnknownSplitError.
        """
        self.split(split)  # refuses another name
        return self.files.train if split == "train" else self.files.val

    def read(self, split: str, begin: int, end: int) -> Integer[np.ndarray, "n"]:
        """Return the tokens from begin to end - 1, or as far as there are any, in memory.

        Shape: -> (end - begin,), of the file's type.
        Raises: UnknownSplitError; TokenFileError if the file is gone or has become shorter.
        """
        return self.stream(split).read(begin, end)


TWIN = "twin"
"""The embedded corpus: Tiny Shakespeare's bigram counts, and no download."""


TINYSHAKESPEARE = "tinyshakespeare"
"""The real text, downloaded once."""


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
        return open_corpus(path, verify=verify, share=share, progress=progress)
    return Corpus.from_text(read_text(path), name=path.name)


def open_corpus(
    folder: Path,
    *,
    verify: bool = True,
    share: Share = WHOLE,
    progress: Callable[[int, int], None] | None = None,
) -> FiledCorpus:
    """Open a folder of token files as a corpus; see `load_corpus`.

    Raises: TokenFileError if the folder holds no tokens, or damaged ones.
    """
    files = open_token_files(folder, verify=verify, share=share, progress=progress)
    return FiledCorpus(
        name=folder.resolve().name,
        vocabulary=files.vocabulary,
        train=files.train.mapped(),
        val=files.val.mapped(),
        files=files,
    )
