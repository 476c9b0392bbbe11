"""One target, fuzzed in this process, which libFuzzer ends; `run.py` starts one for each.

`python tests/fuzz/one.py TARGET -runs=N -seed=1` takes libFuzzer's options, and the file of a
crash, to see it again.
"""

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from random import Random

import atheris
import torch

with atheris.instrument_imports(include=["reference"]):
    from fuzz_targets import MAKERS

from fuzz_json import changed, dumped


def mutated(data: bytes, max_size: int, seed: int, *, seeds: list[bytes]) -> bytes:
    """Change JSON so that it stays JSON; sometimes, and all else, as libFuzzer does."""
    random = Random(seed)
    try:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):  # what an earlier change has left no JSON
            value = json.loads(seeds[0])
        for _ in range(random.choice((1, 1, 2, 4))):
            value = changed(value, random)
        text = dumped(value).encode()
    except (ValueError, RecursionError, OverflowError):
        return bytes(atheris.Mutate(data, max_size))
    if len(text) > max_size or random.random() < 0.02:
        return bytes(atheris.Mutate(text[:max_size], max_size))
    return text


def main() -> None:
    """Make the seeds, then fuzz; what came of each input is a line in $FUZZ_TOLD."""
    name, *options = sys.argv[1:]
    torch.set_num_threads(1)
    told = os.open(os.environ.get("FUZZ_TOLD", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with tempfile.TemporaryDirectory() as temporary:
        folder, corpus = Path(temporary, "files"), Path(temporary, "corpus")
        folder.mkdir()
        corpus.mkdir()
        target = dict(MAKERS[name](folder))[name]
        for number, seed in enumerate(target.seeds):
            (corpus / str(number)).write_bytes(seed)

        def once(data: bytes) -> None:
            os.write(told, f"{target.run(data)}\n".encode())

        arguments = ["one.py", *options, f"-max_len={target.max_len}"]
        replayed = any(not option.startswith("-") for option in options)
        if not replayed:
            arguments.append(str(corpus))
        if target.is_json:
            atheris.Setup(arguments, once, custom_mutator=partial(mutated, seeds=target.seeds))
        else:
            atheris.Setup(arguments, once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
