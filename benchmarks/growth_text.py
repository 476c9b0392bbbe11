"""Write text of any size, by the law of the embedded twin: python -m benchmarks.growth_text.

    python -m benchmarks.growth_text FILE BYTES

Memory does not grow with it. `--machine` prints, as JSON, what decides speed here.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info

from benchmarks.conftest import pytest_benchmark_update_machine_info
from reference import fast, load_corpus

ROWS, LENGTH = 2**8, 2**16
"""Of a piece: so many texts, each begun anew, of so many characters."""

SEED = 1337

TOLD = (
    "cpu",
    "devices",
    "machine",
    "packages",
    "python_implementation",
    "python_version",
    "system",
    "threads",
)
"""What is kept of a machine's facts."""


def pieces(size: int) -> Iterator[np.ndarray]:
    """Give the tokens of a text of so many characters, piece by piece, as uint8."""
    corpus = load_corpus()
    C = len(corpus.vocabulary)
    sampler = fast.Sampler(fast.fit(corpus.train, C, smoothing=fast.Exact()))
    begin = corpus.vocabulary.encode("\n").expand(ROWS, 1)  # (B, 1)
    for number in range(-(-size // (ROWS * LENGTH))):
        rows = sampler.generate(begin, LENGTH, seed=SEED, first_row=number * ROWS)[:, 1:]
        tokens = rows.to(torch.uint8).numpy().reshape(-1)  # (B, T) -> (B T,)
        yield tokens[: size - number * ROWS * LENGTH]


def characters() -> np.ndarray:
    """Give the byte of each token: all of them are ASCII."""
    return np.frombuffer(load_corpus().vocabulary.characters.encode("ascii"), np.uint8)


def write_text(file: Path, size: int) -> None:
    """Write a text, and wait until it is on disk: what is timed next has that to itself."""
    byte_of = characters()
    with file.open("wb") as out:
        for tokens in pieces(size):
            out.write(byte_of[tokens].data)
        out.flush()
        os.fsync(out.fileno())


def machine() -> dict[str, Any]:
    facts = pytest_benchmark_generate_machine_info()  # type: ignore[no-untyped-call]  # pytest-benchmark's
    pytest_benchmark_update_machine_info(facts)
    facts["cpu"] = {name: facts["cpu"].get(name) for name in ("brand_raw", "count")}
    return {name: facts[name] for name in TOLD}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write generated text, or tell of the machine")
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("size", type=int, nargs="?", default=10**6, metavar="BYTES")
    parser.add_argument("--machine", action="store_true")
    asked = parser.parse_args()
    if asked.machine:
        print(json.dumps(machine()))
    if asked.file is not None:
        write_text(asked.file, asked.size)


if __name__ == "__main__":
    main()
