"""Fitting by counting: NLTK, markovify, the oracle's NumPy and the engine, beside mere reading.

The split and the tokens are the notes': a million characters, C = 65. All of it is on the CPU.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.timing import Timer, Work
from reference import Corpus, fast
from reference.oracle.counts import (
    Counts,
    bigram_counts,
    counting_optimum,
    cross_entropy,
    entropy_floor,
)

C = 65
BRIEFLY = 50_000

EXCESS = 1e-9
"""In nats, of the loss over the floor. A table rounded to float32 is off by up to 5e-7 an entry,
and as the floor is a minimum, the loss by about the square of that."""

cpu = pytest.mark.parametrize("device", ["cpu"], indirect=True)


@pytest.fixture
def tokens(corpus: Corpus, *, brief: bool) -> Tensor:
    return corpus.train[:BRIEFLY] if brief else corpus.train


@pytest.fixture
def counts(tokens: Tensor) -> Counts:
    return bigram_counts(tokens.numpy(), C)


def work(variant: str, tokens: Tensor | np.ndarray, *, moved_too: int = 8 * C * C) -> Work:
    itemsize = tokens.itemsize
    return Work(
        operation="fit",
        variant=variant,
        size={"N": len(tokens), "C": C},
        tokens=len(tokens),
        moved=itemsize * len(tokens) + moved_too,  # the stream read, the counts written
    )


@cpu
def test_nltk(corpus: Corpus, tokens: Tensor, counts: Counts, timed: Timer) -> None:
    lm = pytest.importorskip("nltk.lm", reason="NLTK is a peer to compare with: group 'bench'")
    text = list(corpus.vocabulary.decode(tokens))
    models: list[Any] = []

    def fit() -> None:
        models[:] = [lm.MLE(2)]
        models[0].fit([pairwise(text)], vocabulary_text=text)

    timed(fit, work("NLTK", tokens), rounds=1)
    found = models[0].counts[2]
    characters = corpus.vocabulary.characters
    assert [[found[a,][b] for b in characters] for a in characters] == counts.tolist()


@cpu
def test_markovify(corpus: Corpus, tokens: Tensor, counts: Counts, timed: Timer) -> None:
    markovify = pytest.importorskip(
        "markovify", reason="markovify is a peer to compare with: group 'bench'"
    )
    text = list(corpus.vocabulary.decode(tokens))

    def fit() -> Any:  # noqa: ANN401  markovify is not annotated
        return markovify.Chain(corpus=[text], state_size=1)

    found = fit().model
    characters = corpus.vocabulary.characters
    assert [[found.get((a,), {}).get(b, 0) for b in characters] for a in characters] == (
        counts.tolist()
    )
    timed(fit, work("markovify", tokens))


@cpu
def test_oracle(tokens: Tensor, timed: Timer) -> None:
    stream = tokens.numpy()
    timed(lambda: counting_optimum(bigram_counts(stream, C)), work("reference, NumPy", tokens))


STREAMS: dict[str, Callable[[Tensor, Path], Tensor | np.ndarray]] = {
    "int64": lambda tokens, _path: tokens,
    "int64, 32 times": lambda tokens, _path: tokens.repeat(32),  # more than any cache holds
    "uint16": lambda tokens, _path: tokens.to(torch.uint16),
    "uint8": lambda tokens, _path: tokens.to(torch.uint8),
    "uint16 file": lambda tokens, path: mapped(tokens, path / "tokens"),
}


def mapped(tokens: Tensor, path: Path) -> np.ndarray:
    tokens.numpy().astype(np.uint16).tofile(path)
    return np.memmap(path, dtype=np.uint16, mode="r")


def array_of(stream: Tensor | np.ndarray) -> np.ndarray:
    return stream.numpy() if isinstance(stream, Tensor) else stream.view(np.ndarray)


@cpu
@pytest.mark.parametrize("stream", STREAMS)
def test_engine(stream: str, tokens: Tensor, tmp_path: Path, timed: Timer) -> None:
    pytest.importorskip("numba", reason="the engine counts with Numba: the extra 'fast'")
    given = STREAMS[stream](tokens, tmp_path)
    counts = bigram_counts(array_of(given).astype(np.int64), C)
    assert np.array_equal(fast.count(given, C), counts)
    table = fast.fit(given, C, smoothing=fast.Exact()).double().numpy()
    assert abs(cross_entropy(table, counts) - entropy_floor(counts)) < EXCESS

    from benchmarks.reading import read  # noqa: PLC0415  Numba is optional

    array = array_of(given)
    timed(
        lambda: fast.fit(given, C, smoothing=fast.Exact()),
        work(f"engine, {stream}", given),
        beside={f"reading, {stream}": lambda: read(array)},
    )


@cpu
@pytest.mark.parametrize("stream", STREAMS)
def test_reading(stream: str, tokens: Tensor, tmp_path: Path, timed: Timer) -> None:
    pytest.importorskip("numba", reason="reading is timed with a loop compiled by Numba")
    from benchmarks.reading import read  # noqa: PLC0415  Numba is optional

    given = STREAMS[stream](tokens, tmp_path)
    array = array_of(given)
    assert read(array) == array.sum(dtype=np.int64)
    timed(lambda: read(array), work(f"reading, {stream}", given, moved_too=0))
