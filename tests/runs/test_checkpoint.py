import dataclasses
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, strategies as st

from reference.corpus import Corpus
from reference.errors import CheckpointError, MismatchError, OutOfRangeError, OutputError
from reference.files import tensors as tensor_file
from reference.runs.checkpoint import (
    FOLDER,
    Checkpoint,
    Run,
    checkpoints,
    fingerprint,
    load_checkpoint,
    restore_generator,
    save_checkpoint,
)
from reference.training import TrainConfig

TEXT = "hello, world. " * 20
CORPUS = Corpus.from_text(TEXT)
C = len(CORPUS.vocabulary)
RUN = Run.of(CORPUS, TrainConfig(), seed=3, engine="reference")


def made(step: int = 7, *, seed: int = 0, run: Run = RUN) -> Checkpoint:
    generator = torch.Generator().manual_seed(seed)
    table, mean, square = torch.randn((3, C, C), generator=generator)
    return Checkpoint(
        run=run,
        step=step,
        table=table,
        mean=mean,
        square=square.abs(),
        generators={"batches": generator.get_state()},
        notes={"curve": {"points": [[1, 2.5, 2.25]]}},
    )


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.numpy().tobytes()


@given(st.integers(0, 10**9), st.integers(0, 2**32), st.floats(1e-9, 1e6))
def test_a_checkpoint_comes_back_bit_for_bit(step: int, seed: int, rate: float) -> None:
    run = dataclasses.replace(RUN, config=TrainConfig(learning_rate=rate))
    was = made(step, seed=seed, run=run)
    was.table[0, 0] = -0.0
    was.mean[0, 0] = 1e-42  # denormal
    with tempfile.TemporaryDirectory() as name:
        back = load_checkpoint(save_checkpoint(was, Path(name)))
    assert (back.run, back.step, back.notes) == (was.run, was.step, was.notes)
    for name in ("table", "mean", "square"):
        assert bits(getattr(back, name)) == bits(getattr(was, name)), name
    generator, same = torch.Generator(), torch.Generator()
    restore_generator(generator, back, "batches", Path("here"))
    same.set_state(was.generators["batches"])
    assert torch.equal(torch.rand(9, generator=generator), torch.rand(9, generator=same))


def test_the_same_checkpoint_is_the_same_bytes(tmp_path: Path) -> None:
    contents = {save_checkpoint(made(), tmp_path).read_bytes() for _ in range(20)}
    assert len(contents) == 1


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in (2, 10, 9, 100):
        save_checkpoint(made(step), tmp_path, keep=3)
    assert [load_checkpoint(file).step for file in checkpoints(tmp_path)] == [9, 10, 100]
    save_checkpoint(made(101), tmp_path, keep=1)
    assert [load_checkpoint(file).step for file in checkpoints(tmp_path)] == [101]
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    with pytest.raises(OutOfRangeError, match="keep is 0"):
        save_checkpoint(made(), tmp_path, keep=0)


def test_what_is_no_checkpoint_is_not_taken_for_one(tmp_path: Path) -> None:
    assert checkpoints(tmp_path) == []
    file = save_checkpoint(made(), tmp_path)
    for name in ("checkpoint-0000000009.safetensors.7.bigram-partial", "checkpoint-9.safetensors"):
        (file.parent / name).touch()
    assert checkpoints(tmp_path) == [file]


def test_a_write_that_fails_leaves_all_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (1, 2):
        save_checkpoint(made(step), tmp_path, keep=2)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"0000000003.safetensors .*No space left on device"):
        save_checkpoint(made(3), tmp_path, keep=2)
    assert [load_checkpoint(file).step for file in checkpoints(tmp_path)] == [1, 2]
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    for wrong in (math.nan, {1, 2}):
        with pytest.raises(CheckpointError, match="JSON"):
            save_checkpoint(dataclasses.replace(made(), notes={"x": wrong}), tmp_path)
    assert checkpoints(tmp_path) == []


def test_notes_that_are_too_long_for_a_header_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> bytes:
        raise safetensors.SafetensorError("Error while serializing: header too large")

    monkeypatch.setattr(tensor_file, "save", refuse)
    with pytest.raises(CheckpointError, match=r"the notes .* characters of JSON: .* too large"):
        save_checkpoint(made(), tmp_path)
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_what_a_checkpoint_says_does_not_command_the_terminal(tmp_path: Path) -> None:
    hostile = "a\n\x1b[2J"
    for name in ("engine", "corpus", "fingerprint"):
        changes = {"fingerprint": "0", name: hostile}
        other = dataclasses.replace(RUN, **changes)  # type: ignore[arg-type]  # fields differ
        with pytest.raises(MismatchError, match=r"a\\n\\x1b\[2J"):
            RUN.check_same(other, tmp_path)


def test_the_same_run_may_have_other_steps_and_nothing_else(tmp_path: Path) -> None:
    RUN.check_same(RUN, tmp_path)
    longer = dataclasses.replace(RUN, config=TrainConfig(steps=7))
    longer.check_same(RUN, tmp_path)
    other = Corpus.from_text("hello, world: " * 20)
    changed = Corpus.from_text(TEXT[::-1])
    cases: list[tuple[Run, str]] = [
        (dataclasses.replace(RUN, config=TrainConfig(batch_size=8)), "batch_size is 8, and was 32"),
        (dataclasses.replace(RUN, config=TrainConfig(block_size=4)), "block_size is 4, and was 8"),
        (
            dataclasses.replace(RUN, config=TrainConfig(learning_rate=0.5)),
            "learning_rate is 0.5, and was 0.001",
        ),
        (dataclasses.replace(RUN, seed=4), "seed is 4, and was 3"),
        (dataclasses.replace(RUN, engine="fast"), "engine is fast, and was reference"),
        (
            dataclasses.replace(RUN, seed=4, engine="fast"),
            "seed is 4, and was 3; engine is fast, and was reference",
        ),
        (
            Run.of(other, TrainConfig(), seed=3, engine="reference"),
            "the vocabulary is another: 10 characters, and was 10; it now has ':' and lacks '.'",
        ),
        (
            Run.of(changed, TrainConfig(), seed=3, engine="reference"),
            (
                f"the text is another: text, SHA-256 {fingerprint(changed)[:12]}..., and was text, "
                f"{fingerprint(CORPUS)[:12]}..."
            ),
        ),
    ]
    for run, differences in cases:
        with pytest.raises(MismatchError) as caught:
            run.check_same(RUN, tmp_path)
        told = str(caught.value)
        assert told.startswith(f"{tmp_path} belongs to another run: {differences}. Say the same")


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    file = save_checkpoint(made(), tmp_path)
    whole = file.read_bytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"damaged: .*Remove it, and --resume continues"):
            load_checkpoint(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError):
        load_checkpoint(file)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    file = save_checkpoint(made(), tmp_path)
    whole = file.read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        file.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            load_checkpoint(file)


def test_nothing_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no-such.* cannot be read"):
        load_checkpoint(tmp_path / "no-such")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path)


def rewrite(file: Path, *, tensors: dict[str, torch.Tensor], header: object) -> None:
    """Write a file that is whole by its digest, and yet not what `save_checkpoint` writes."""
    text = header if isinstance(header, str) else json.dumps(header)
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    metadata = {"bigram-reference-checkpoint": text, "sha256": digest.hexdigest()}
    safetensors.torch.save_file(tensors, file, metadata=metadata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 1}, "has format 1; this version .* reads 2"),
        ({"step": -1}, r">= 0 - at `\$\.step`"),
        ({"step": 1.5}, r"Expected `int`, got `float` - at `\$\.step`"),
        ({"config": {"steps": 0, "batch_size": 0}}, "batch_size is 0"),
        ({"config": {"momentum": 1}}, "momentum"),
        ({"config": [1]}, "was not written by"),
        ({"seed": "3"}, r"Expected `int`, got `str` - at `\$\.seed`"),
        ({"engine": None}, r"`null` - at `\$\.engine`"),
        ({"characters": "elho"}, "sorted"),
        ({"characters": "ehl"}, r"table is torch.float32, \(10, 10\); .* \(3, 3\)"),
        ({"fingerprint": 5}, r"`int` - at `\$\.fingerprint`"),
        ({"notes": [1]}, r"`array` - at `\$\.notes`"),
        ({"generators": ["batches", "dropout"]}, "generator.dropout"),
        ({"generators": 7}, "was not written by"),
        ({"generators": {"batches": 1}}, r"`object` - at `\$\.generators`"),
        ({"format": True}, "has format True"),
        ({"config": {"a\n\x1b[2J": 1}}, r"argument 'a\\n\\x1b\[2J'$"),
    ],
)
@pytest.mark.usefixtures("own_checks_only")
def test_a_strange_header_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    file = save_checkpoint(made(), tmp_path)
    with safetensors.safe_open(file, framework="pt") as kept:
        header = json.loads(kept.metadata()["bigram-reference-checkpoint"])
        tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118  no mapping
    rewrite(file, tensors=tensors, header=header)
    assert load_checkpoint(file).step == 7
    rewrite(file, tensors=tensors, header=header | changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(file)
    for name in changes:
        rewrite(file, tensors=tensors, header={k: v for k, v in header.items() if k != name})
        with pytest.raises(CheckpointError):
            load_checkpoint(file)


@pytest.mark.usefixtures("own_checks_only")
def test_strange_tensors_are_refused(tmp_path: Path) -> None:
    file = save_checkpoint(made(), tmp_path)
    with safetensors.safe_open(file, framework="pt") as kept:
        header = kept.metadata()["bigram-reference-checkpoint"]
        tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118  no mapping
    for name in ("table", "mean", "square"):
        for wrong in (tensors[name].long(), tensors[name][:, :3].clone(), tensors[name].half()):
            rewrite(file, tensors={**tensors, name: wrong}, header=header)
            with pytest.raises(CheckpointError, match=f"{name} is torch"):
                load_checkpoint(file)
        rewrite(file, tensors={k: v for k, v in tensors.items() if k != name}, header=header)
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(file)
    state = tensors["generator.batches"]
    for wrong in (state.view(torch.int8), state[None], state.bool()):
        rewrite(file, tensors={**tensors, "generator.batches": wrong}, header=header)
        with pytest.raises(CheckpointError, match="generator 'batches' is torch"):
            load_checkpoint(file)
    for text in ("[]", "null", "{", "[" * 100_000):
        rewrite(file, tensors=tensors, header=text)
        with pytest.raises(CheckpointError):
            load_checkpoint(file)


def test_a_generator_that_was_not_kept_is_named(tmp_path: Path) -> None:
    generator = torch.Generator()
    was = made()
    with pytest.raises(CheckpointError, match="'dropout'"):
        restore_generator(generator, was, "dropout", tmp_path)
    short = dataclasses.replace(was, generators={"batches": was.generators["batches"][:-1]})
    with pytest.raises(CheckpointError, match="'batches'"):
        restore_generator(generator, short, "batches", tmp_path)
