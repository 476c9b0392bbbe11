"""Load a corpus and count its pairs, under a progress bar."""

from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.progress import DownloadColumn

from reference import fast
from reference.corpus import Corpus
from reference.fast import compiling
from reference.files.text import carriage_returns
from reference.oracle.counts import Counts
from reference.runs.checkpoint import fingerprint
from reference.runs.distributed import ALONE, Ranks
from reference.terminal.bars import advancing
from reference.terminal.console import SafeConsole
from reference.tokens.load import TINYSHAKESPEARE, FiledCorpus, load_corpus

MANY = 2**26
"""Pairs, from which on loading Numba is worth while to count them: they take half a second."""


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
    doing = "downloading" if source == TINYSHAKESPEARE else "verifying"
    with advancing(console, doing, DownloadColumn()) as show:
        corpus = load_corpus(source, share=ranks.local, progress=show)
    ranks.check_same({"the corpus": fingerprint(corpus)} if ranks.size > 1 else {})
    # Of what is in files, `bigram prepare` has said it.
    if (
        ranks.is_first
        and not isinstance(corpus, FiledCorpus)
        and "\r" in corpus.vocabulary.characters
    ):
        note = f"note: {carriage_returns(source)}"
        SafeConsole(stderr=True, soft_wrap=True).print(note)
    for split in splits:
        corpus.check_length(split, block_size)
    return corpus


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
    C = len(corpus.vocabulary)
    if share.start == share.stop:  # more ranks than pairs
        counts: Counts = np.zeros((C, C), np.int64)
    else:
        with advancing(console, "counting") as show:
            places = {"begin": share.start, "end": share.stop}
            if share.stop - share.start >= least and compiling.is_there():
                # A pass over tokens that are mapped would count all of them as memory in use.
                stream = (
                    corpus.stream(split) if isinstance(corpus, FiledCorpus) else corpus.split(split)
                )
                counts = fast.count(stream, C, progress=show, **places)
            else:
                counts = corpus.pair_counts(split, progress=show, **places)
    return ranks.add_up(torch.from_numpy(counts)).numpy()
