"""Make the embedded corpus's tables again from the real text.

    python -m reference.tinyshakespeare.make_twin tinyshakespeare.txt [twin.npz]

writes the counts of both splits and the windows that the notes' seed draws, under the notes'
bound and under the lecture's (which also draws the last window), and prints the SHA-256 of the
twin that is rebuilt from them. Without the second argument, nothing is written.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from reference.corpus import Corpus
from reference.errors import BigramError, printable
from reference.files.atomic import check_outputs
from reference.notes import Figures
from reference.terminal.console import write
from reference.tinyshakespeare.twin import Tables, build_twin
from reference.tokens.load import load_corpus


def count_tables(corpus: Corpus) -> Tables:
    """Reduce a corpus to its counts, and to the windows that the notes' figures rest on.

    Shape: see `reference.tinyshakespeare.twin.Tables`; each window is block_size + 1 tokens.
    Source: notes, ( **4 * 8** , 65 ).
    """
    figures = Figures()
    corpus.check_length("train", figures.block_size)
    length = figures.block_size + 1
    train = corpus.train.numpy()
    offsets: list[int] = []
    for bound in (len(train) - length, len(train) - length + 1):  # the notes', the lecture's
        generator = torch.Generator().manual_seed(figures.seed)
        offsets += torch.randint(bound, (len(figures.batch),), generator=generator).tolist()
    offsets.sort()
    return Tables(
        characters=corpus.vocabulary.characters,
        train=corpus.pair_counts("train"),
        val=corpus.pair_counts("val"),
        offsets=np.array(offsets),
        windows=np.stack([train[i : i + length] for i in offsets]).astype(np.int64),
    )


def main(arguments: list[str]) -> None:
    """Make the tables of the file that the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="Tiny Shakespeare, or another UTF-8 text file")
    parser.add_argument("tables", type=Path, nargs="?", help="file to write the tables into")
    chosen = parser.parse_args(arguments)
    try:
        check_outputs({"tables": chosen.tables}, [chosen.text])
        tables = count_tables(load_corpus(chosen.text))
        digest = build_twin(tables).sha256()
        if chosen.tables is not None:
            tables.save(chosen.tables)
    except (BigramError, OSError) as error:
        parser.error(printable(error))
    write(f"{digest}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
