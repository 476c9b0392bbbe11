"""The order of the notes, up to their training loop."""

from collections.abc import Iterator

import torch

from reference.walkthrough.data import batch_rows, index_rows, library_rows
from reference.walkthrough.examples import sentence_rows, softmax_rows, word_rows
from reference.walkthrough.model import (
    class_rows,
    generate_rows,
    logits_rows,
    main_rows,
    optimizer_rows,
    sample_rows,
)
from reference.walkthrough.rows import Row, Setting


def before_training(setting: Setting) -> Iterator[Row]:
    """Go through the notes in their order, up to the training loop.

    The notes' PRE-TRAIN comes last in them, but is what m says before it is trained.
    torch's global random stream, which the notes use, is left as it was found.
    """
    with torch.random.fork_rng(devices=[]):
        yield from library_rows(setting)
        yield from batch_rows(setting)
        yield from index_rows(setting)
        yield from word_rows(setting.figures)
        yield from sentence_rows(setting.figures)
        yield from logits_rows(setting)
        yield from softmax_rows(setting.figures)
        yield from class_rows(setting)
        yield from generate_rows(setting)
        yield from main_rows(setting)
        yield from sample_rows(setting)
        yield from optimizer_rows(setting)
