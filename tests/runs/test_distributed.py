"""However many ranks there are, they do what one does: in forks on loopback, and by torchrun."""

import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

import reference
from reference import fast
from reference.cli import loading, main as cli, training_job
from reference.cli.engine import find_trainer
from reference.cli.training_job import TrainJob
from reference.corpus import Corpus
from reference.errors import (
    LostRankError,
    MismatchError,
    NonFiniteLossError,
    OutOfRangeError,
    TooShortError,
)
from reference.fast.trainer import FastTrainer
from reference.fast.training import Stepper
from reference.model import BigramLanguageModel
from reference.runs.checkpoint import Run, checkpoints, load_checkpoint
from reference.runs.curve import LossCurve
from reference.runs.distributed import ALONE, Ranks, differences, joined
from reference.runs.progress import NOWHERE
from reference.runs.saved_model import load_model
from reference.runs.session import Keeping, watch_training
from reference.terminal.console import SafeConsole
from reference.training import TrainConfig, TrainStep
from tests.children import Raised, fork, in_ranks, wait

SEED = 1337
SIZES = (2, 4)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork, and no gloo")


TINY_TEXT = "the cat sat on the mat. " * 20
TINY = Corpus.from_text(TINY_TEXT)
TINY_C = len(TINY.vocabulary)
TINY_CONFIG = TrainConfig(steps=201, batch_size=4, block_size=5)


def trained(
    ranks: Ranks, corpus: Corpus, config: TrainConfig, engine: str = "reference"
) -> tuple[Tensor, Tensor, list[float]]:
    torch.manual_seed(SEED)
    model = BigramLanguageModel(len(corpus.vocabulary))
    generator = torch.Generator().manual_seed(SEED)
    trainer = find_trainer(engine)(model, corpus, config, generator, ranks)
    losses = [step.loss for step in trainer.steps(lambda taken: taken + 50)]
    return model.token_embedding_table.weight.detach(), trainer.means()[0], losses


def from_all(results: list[Any]) -> list[Any]:
    for result in results:
        assert not isinstance(result, Raised), result
    return results


# ----------------------------------------------------------------------------- who does what


@given(st.integers(0, 1000), st.integers(1, 20))
def test_the_parts_of_all_ranks_are_the_whole(whole: int, size: int) -> None:
    parts = [Ranks(rank=rank, size=size).share(whole) for rank in range(size)]
    taken = [place for part in parts for place in range(part.start, part.stop)]
    assert taken == list(range(whole))
    assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 1


def test_alone_nothing_is_asked_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", None)
    rows = torch.ones(3, 2)
    ALONE.exchange_rows(rows)
    assert torch.equal(ALONE.add_up(rows), rows)
    assert ALONE.greatest(7, 8) == (7, 8)
    assert ALONE.from_first(lambda: "it") == "it"
    ALONE.check_same({"the text": "a"})
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(torch.device("cpu")) as ranks:
        assert ranks is ALONE


def test_ranks_agree_to_the_last_bit(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        r = ranks.rank
        big = torch.tensor([2**53 + 1 + r, -r])
        rows = torch.full((7, 2), math.nan)
        rows[r :: ranks.size] = torch.tensor([-0.0, 1e-45]) + 0.0 * r
        rows[r :: ranks.size, 0] = -0.0
        ranks.exchange_rows(rows)
        return (
            ranks.add_up(big).tolist(),
            big.tolist(),
            rows.view(torch.int32).tolist(),
            ranks.greatest(10 * r, -r),
            ranks.from_first(lambda: f"from {r}"),
            ranks.is_first,
        )

    results = from_all(in_ranks(3, work, tmp_path))
    zero = torch.tensor([-0.0, 1e-45]).view(torch.int32).tolist()
    for rank, (total, own, rows, greatest, told, first) in enumerate(results):
        assert total == [3 * 2**53 + 6, -3]
        assert own == [2**53 + 1 + rank, -rank]  # as it was
        assert rows == [zero] * 7
        assert (greatest, told, first) == ((20, 0), "from 0", rank == 0)


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=4))
def test_each_rank_that_differs_from_rank_0_is_named_with_its_value(values: list[str]) -> None:
    lines = differences([{"seed": value, "steps": "9"} for value in values])
    others = [f"{value} on rank {r}" for r, value in enumerate(values) if value != values[0]]
    assert lines == ([f"seed is {values[0]} on rank 0, and {', '.join(others)}"] if others else [])


JOB = TrainJob(
    out=Path("unused"),
    data="twin",
    config=TrainConfig(steps=5),
    seed=SEED,
    engine="reference",
    device=torch.device("cpu"),
    resume=False,
    overwrite=False,
    checkpoint_every=10,
    keep=3,
    estimate_every=0,
    outputs=NOWHERE,
    plot=None,
    as_json=False,
)
OTHER_SETTINGS: dict[str, tuple[TrainJob, str]] = {
    "steps": (replace(JOB, config=TrainConfig(steps=6)), "5 on rank 0, and 6 on rank 1"),
    "batch_size": (
        replace(JOB, config=TrainConfig(steps=5, batch_size=4)),
        "32 on rank 0, and 4 on rank 1",
    ),
    "block_size": (
        replace(JOB, config=TrainConfig(steps=5, block_size=9)),
        "8 on rank 0, and 9 on rank 1",
    ),
    "learning_rate": (
        replace(JOB, config=TrainConfig(steps=5, learning_rate=0.5)),
        "0.001 on rank 0, and 0.5 on rank 1",
    ),
    "seed": (replace(JOB, seed=2), "1337 on rank 0, and 2 on rank 1"),
    "engine": (replace(JOB, engine="fast"), "reference on rank 0, and fast on rank 1"),
    "checkpoint_every": (replace(JOB, checkpoint_every=0), "10 on rank 0, and 0 on rank 1"),
    "estimate_every": (replace(JOB, estimate_every=2), "0 on rank 0, and 2 on rank 1"),
    "overwrite": (replace(JOB, overwrite=True), "False on rank 0, and True on rank 1"),
}
OTHER_VERSIONS = ("bigram-reference", "torch", "numba")


def test_ranks_with_different_settings_are_told_of_each_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(ranks: Ranks) -> dict[str, str]:
        told = {}
        for name, (other, _message) in OTHER_SETTINGS.items():
            with pytest.raises(MismatchError) as caught:
                training_job.do(other if ranks.rank else JOB, SafeConsole(quiet=True), ranks)
            told[name] = str(caught.value)
        for name in OTHER_VERSIONS:
            if ranks.rank:
                pretend_version(name, monkeypatch)
            with pytest.raises(MismatchError) as caught:
                training_job.do(replace(JOB, engine="fast"), SafeConsole(quiet=True), ranks)
            told[name] = str(caught.value)
            monkeypatch.undo()
        return told

    def load(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the settings are compared before the work")

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", load)
        first, second = from_all(in_ranks(2, work, tmp_path))
    assert first == second
    for name, (_other, message) in OTHER_SETTINGS.items():
        assert f"{name} is {message}" in first[name]
        assert first[name].endswith("Give every rank the same")
    for name in OTHER_VERSIONS:
        assert re.match(rf"{name} is .* on rank 0, and another on rank 1\.", first[name])


def pretend_version(name: str, patch: pytest.MonkeyPatch) -> None:
    if name == "torch":
        patch.setattr(torch, "__version__", "another")
    elif name == "numba":
        patch.setattr(training_job, "version", lambda _name: "another")
    else:
        patch.setattr(reference, "__version__", "another")


def test_a_command_with_another_seed_on_one_rank_ends_with_2_on_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("WORLD_SIZE", "2")

    def train(rank: int) -> None:
        os.environ["RANK"] = str(rank)
        cli.main(["train", "--out", str(tmp_path / "m"), "--seed", str(rank)])

    pids = [fork(partial(train, rank), output=tmp_path / f"{rank}.txt") for rank in (0, 1)]
    assert [wait(pid) for pid in pids] == [2, 2]
    for rank in (0, 1):
        told = (tmp_path / f"{rank}.txt").read_text()
        assert f"rank {rank}: error: seed is 0 on rank 0, and 1 on rank 1" in told
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x'; it must be 1 to 1000000"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is ''"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
        ({"WORLD_SIZE": "2"}, "RANK is missing; it must be 0 to 1"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK is '2'; it must be 0 to 1"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK is '-1'"),
        ({"RANK": "1", "LOCAL_RANK": "1"}, "LOCAL_RANK is '1'; it must be 0 to 0"),
        ({"RANK": "1", "LOCAL_WORLD_SIZE": "9"}, "LOCAL_WORLD_SIZE is '9'; it must be 1 to 2"),
        ({"RANK": "1"}, "MASTER_PORT is missing"),
        ({"RANK": "1", "MASTER_PORT": "80000"}, "MASTER_PORT is '80000'; it must be 0 to 65535"),
        ({"RANK": "1", "MASTER_PORT": "9"}, "MASTER_ADDR is missing"),
    ],
)
def test_a_variable_of_torchrun_that_is_missing_or_invalid_is_named(
    variables: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in ({"WORLD_SIZE": "2"} | variables).items():
        monkeypatch.setenv(name, value)
    for command in ("train", "fit"):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main([command, "--out", str(tmp_path / "m")])
        assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert f"error: {message}" in told
    assert "torchrun sets it; to train with one process, unset WORLD_SIZE" in told
    assert told.startswith("rank 1: " if variables.get("RANK") == "1" else ("error", "rank"))
    assert told.count("\n") == 1


def test_what_the_first_cannot_do_stops_all(tmp_path: Path) -> None:
    def refuse() -> None:
        raise TooShortError("the text is too short")

    first, *others = in_ranks(3, lambda ranks: ranks.from_first(refuse), tmp_path)
    assert isinstance(first.error, TooShortError)
    assert all(isinstance(other.error, LostRankError) for other in others)


def test_a_rank_that_ends_is_noticed_by_the_others_at_once(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> float:
        ranks.greatest(1)
        if ranks.rank == 1:
            raise TooShortError("rank 1's own reason")
        began = time.perf_counter()
        with pytest.raises(LostRankError, match="another rank has ended.* --resume"):
            ranks.greatest(1)
        return time.perf_counter() - began

    first, gone, third = in_ranks(3, work, tmp_path)
    assert isinstance(gone.error, TooShortError)
    assert max(first, third) < 900  # and not gloo's half an hour, after which it gives up by itself


# ----------------------------------------------------------------------------- counting


@pytest.mark.parametrize("size", [2, 3, 4])
def test_any_number_of_ranks_counts_exactly_the_same(
    size: int, tmp_path: Path, twin: Corpus
) -> None:
    tiny = Corpus.from_text("abcab")  # fewer pairs in a split than ranks

    def work(ranks: Ranks) -> Any:
        console = SafeConsole(quiet=True)
        return [
            loading.count_pairs(corpus, split, console, ranks=ranks)
            for corpus, split in ((twin, "train"), (twin, "val"), (tiny, "train"))
        ]

    expected = [twin.pair_counts("train"), twin.pair_counts("val"), tiny.pair_counts("train")]
    # What compiles is loaded once, for all.
    loading.count_pairs(tiny, "train", SafeConsole(quiet=True))
    for result in from_all(in_ranks(size, work, tmp_path)):
        for counts, whole in zip(result, expected, strict=True):
            assert counts.dtype == np.int64
            assert np.array_equal(counts, whole)


def test_a_share_is_counted_and_not_the_whole(
    tmp_path: Path, twin: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ranks, "add_up", lambda _self, tensor: tensor)
    console = SafeConsole(quiet=True)
    loading.count_pairs(twin, "train", console)  # what compiles is loaded once, for all

    def work(ranks: Ranks) -> int:
        return int(loading.count_pairs(twin, "train", console, ranks=ranks).sum())

    parts = from_all(in_ranks(4, work, tmp_path))
    assert sum(parts) == len(twin.train) - 1
    assert max(parts) - min(parts) <= 1


# ----------------------------------------------------------------------------- training


@pytest.mark.parametrize("size", SIZES)
def test_the_reference_on_ranks_is_one_rank_with_the_whole_batch(
    size: int, tmp_path: Path, twin: Corpus
) -> None:
    config = TrainConfig(steps=200)  # 32 sequences: 16 or 8 for each rank
    table, mean, losses = trained(ALONE, twin, config)
    results = from_all(in_ranks(size, lambda ranks: trained(ranks, twin, config), tmp_path))
    for theirs, their_mean, their_losses in results:
        assert (theirs - table).abs().max() < 1e-6
        assert torch.equal(theirs, results[0][0])  # every rank has the same, to the bit
        assert (their_mean - mean).abs().max() < 1e-8
        assert their_losses == pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_the_engine_on_ranks_is_the_engine_bit_for_bit(
    size: int, tmp_path: Path, twin: Corpus
) -> None:
    config = TrainConfig(steps=200)
    table, mean, losses = trained(ALONE, twin, config, "fast")
    results = from_all(in_ranks(size, lambda ranks: trained(ranks, twin, config, "fast"), tmp_path))
    for theirs, their_mean, their_losses in results:
        assert torch.equal(theirs, table)
        assert torch.equal(their_mean, mean)
        assert their_losses == losses


def test_each_rank_of_the_engine_takes_its_own_rows_only(
    tmp_path: Path, twin: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep_apart(_ranks: Ranks, rows: Tensor) -> None:
        if rows.shape[1] == 5:  # the losses, of which the others' are not set
            rows.zero_()

    monkeypatch.setattr(Ranks, "exchange_rows", keep_apart)
    torch.manual_seed(SEED)
    before = BigramLanguageModel(65).token_embedding_table.weight.detach()

    def work(ranks: Ranks) -> Tensor:
        torch.manual_seed(SEED)
        model = BigramLanguageModel(65)
        stepper = Stepper(model, learning_rate=1e-3, ranks=ranks)
        offsets = torch.randint(1000, (5, 32), generator=torch.Generator().manual_seed(SEED))
        _losses, state = stepper._try(stepper.prepared(twin.train), offsets, 8)
        return (state[0, :, :65] != before).any(dim=1)

    for rank, changed in enumerate(from_all(in_ranks(4, work, tmp_path))):
        assert changed.nonzero().flatten().tolist() == list(range(rank, 65, 4))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system lists no threads")
def test_a_rank_that_has_left_has_none_of_the_groups_threads() -> None:
    # Threads that live on until Python ends can abort the process, after all of its work. A process
    # of its own is needed: only the first import of torch's module can keep the group.
    code = (
        "import os, torch\n"
        "from reference.runs.distributed import joined\n"
        "with joined(torch.device('cpu')):\n"
        "    weight = torch.nn.Parameter(torch.ones(3))\n"
        "    weight.sum().backward()\n"
        "    torch.optim.AdamW([weight]).step()\n"
        "tasks = [f'/proc/self/task/{task}/comm' for task in os.listdir('/proc/self/task')]\n"
        "left = [open(task).read() for task in tasks]\n"
        "assert not [name for name in left if 'gloo' in name], left\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    with launched(*launcher, "--standalone", "--no-python", sys.executable, "-c", code) as process:
        _shown, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors


def test_a_batch_need_not_divide_evenly(tmp_path: Path, twin: Corpus) -> None:
    config = TrainConfig(steps=50, batch_size=7)
    table, _mean, _losses = trained(ALONE, twin, config)
    for theirs, *_ in from_all(in_ranks(3, lambda ranks: trained(ranks, twin, config), tmp_path)):
        assert (theirs - table).abs().max() < 1e-6


def test_more_ranks_than_sequences_are_refused(tmp_path: Path, twin: Corpus) -> None:
    config = TrainConfig(steps=5, batch_size=2)
    for result in in_ranks(3, lambda ranks: trained(ranks, twin, config), tmp_path):
        assert isinstance(result.error, OutOfRangeError)
        assert "batch_size is 2, for 3 ranks; it must be 3 or more" in str(result.error)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_a_loss_that_is_not_finite_ends_every_rank_at_the_same_step(
    engine: str, tmp_path: Path, twin: Corpus
) -> None:
    config = TrainConfig(steps=200, batch_size=4, block_size=4, learning_rate=1e6)
    with pytest.raises(NonFiniteLossError) as caught:
        trained(ALONE, twin, config, engine)
    for result in in_ranks(2, lambda ranks: trained(ranks, twin, config, engine), tmp_path):
        assert isinstance(result.error, NonFiniteLossError)
        assert str(result.error) == str(caught.value)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_a_run_goes_on_with_another_number_of_ranks(
    engine: str, tmp_path: Path, twin: Corpus
) -> None:
    config = TrainConfig(steps=250)

    def watch(ranks: Ranks, steps: int, folder: Path) -> Tensor:
        torch.manual_seed(SEED)
        model = BigramLanguageModel(65)
        short = TrainConfig(steps=steps)
        run = Run.of(twin, short, seed=SEED, engine=engine)
        found = ranks.from_first(
            lambda: load_checkpoint(checkpoints(folder)[-1]) if checkpoints(folder) else None
        )
        keeping = Keeping(run=run, directory=folder, every=70, resumed=found)
        console = SafeConsole(quiet=True)
        watch_training(
            model,
            twin,
            short,
            SEED,
            console,
            new_trainer=find_trainer(engine),
            ranks=ranks,
            keeping=keeping,
        )
        return model.token_embedding_table.weight.detach()

    folder = tmp_path / "run"
    from_all(in_ranks(2, lambda ranks: watch(ranks, 100, folder), tmp_path))
    from_all(in_ranks(3, lambda ranks: watch(ranks, 170, folder), tmp_path))
    results = from_all(in_ranks(1, lambda ranks: watch(ranks, 250, folder), tmp_path))
    table, _mean, _losses = trained(ALONE, twin, config, engine)
    if engine == "fast":
        assert torch.equal(results[0], table)
    else:
        assert (results[0] - table).abs().max() < 1e-6


def test_asked_to_stop_one_rank_all_stop_after_the_same_step(tmp_path: Path, twin: Corpus) -> None:
    folder = tmp_path / "run"

    def watch(ranks: Ranks) -> tuple[int, int, list[str]]:
        config = TrainConfig(steps=100_000)
        run = Run.of(twin, config, seed=SEED, engine="reference")
        keeping = Keeping(run=run, directory=folder, every=50)
        if ranks.rank == 1:
            fork_to_stop(folder, os.getpid())
        torch.manual_seed(SEED)
        model = BigramLanguageModel(65)
        console = SafeConsole(quiet=True)
        curve, ended_by = watch_training(
            model, twin, config, SEED, console, ranks=ranks, keeping=keeping
        )
        return ended_by, curve.taken, [file.name for file in checkpoints(folder)]

    first, second = from_all(in_ranks(2, watch, tmp_path))
    assert first[0] == second[0] == signal.SIGTERM
    assert first[1] == second[1]
    assert load_checkpoint(checkpoints(folder)[-1]).step == first[1]


def test_slow_steps_are_stopped_long_before_torchrun_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    add = LossCurve.add

    def watch(ranks: Ranks) -> int:
        def add_slowly(curve: LossCurve, step: TrainStep) -> bool:
            nonlocal now
            now += 0.5
            if step.step == 20 and ranks.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return add(curve, step)

        monkeypatch.setattr(LossCurve, "add", add_slowly)
        monkeypatch.setattr(time, "perf_counter", lambda: now)
        model, console = BigramLanguageModel(TINY_C), SafeConsole(quiet=True)
        return watch_training(model, TINY, TINY_CONFIG, SEED, console, ranks=ranks)[0].taken

    trained(ALONE, TINY, TINY_CONFIG)  # what training imports is loaded once, for all
    first, second = from_all(in_ranks(2, watch, tmp_path))
    assert first == second
    assert 20 <= first <= 24


def test_fast_steps_are_agreed_on_every_100(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    greatest = Ranks.greatest

    def counted(ranks: Ranks, *numbers: int) -> tuple[int, ...]:
        asked.append(1)
        return greatest(ranks, *numbers)

    def watch(ranks: Ranks) -> int:
        monkeypatch.setattr(Ranks, "greatest", counted)
        monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
        model, console = BigramLanguageModel(TINY_C), SafeConsole(quiet=True)
        watch_training(
            model, TINY, TINY_CONFIG, SEED, console, new_trainer=FastTrainer, ranks=ranks
        )
        return len(asked)

    trained(ALONE, TINY, TINY_CONFIG, "fast")
    assert from_all(in_ranks(2, watch, tmp_path)) == [3, 3]  # after 1, 101 and 201


def test_an_overwritten_run_stays_if_there_are_more_ranks_than_sequences(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TINY_TEXT)
    alone = replace(JOB, out=tmp_path / "m", data=str(tmp_path / "text"))
    alone = replace(alone, config=replace(JOB.config, batch_size=1))
    training_job.do(alone, SafeConsole(quiet=True), ALONE)
    before = [file.read_bytes() for file in checkpoints(tmp_path / "m")]
    again = replace(alone, overwrite=True)

    def work(ranks: Ranks) -> None:
        training_job.do(again, SafeConsole(quiet=True), ranks)

    for result in in_ranks(2, work, tmp_path):
        assert isinstance(result.error, OutOfRangeError)
    assert [file.read_bytes() for file in checkpoints(tmp_path / "m")] == before != []


def fork_to_stop(folder: Path, pid: int) -> None:
    def stop() -> None:
        while not checkpoints(folder):
            time.sleep(0.01)
        os.kill(pid, signal.SIGTERM)

    fork(stop)


# ----------------------------------------------------------------------------- torchrun


def torchrun(size: int, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)),
        *("--standalone", "-m", "reference", *arguments),
    ]


def launched(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603  our own command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_torchrun_fits_and_one_rank_alone_tells_of_it(tmp_path: Path, twin: Corpus) -> None:
    out = tmp_path / "m"
    with launched(*torchrun(4, "fit", "--out", str(out))) as process:
        shown, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert shown.count("saved: ") == 1
    assert "1,003,853 pairs counted" in shown
    assert "rank" not in errors
    saved = load_model(out)
    expected = fast.fit(twin.train, 65, smoothing=fast.Additive(k=1.0))
    assert torch.equal(saved.model.token_embedding_table.weight, expected)
    assert saved.about["ranks"] == 4


def test_a_killed_rank_stops_the_others_and_the_run_goes_on_with_more(
    tmp_path: Path, twin: Corpus
) -> None:
    out = tmp_path / "m"
    options = ["train", "--out", str(out), "--steps", "400", "--checkpoint-every", "100"]
    with launched(*torchrun(2, *options, "--steps", "1000000")) as process:
        while not checkpoints(out):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        os.kill(second_rank(process.pid), signal.SIGKILL)
        _shown, errors = process.communicate(timeout=900)
    assert process.returncode == 1
    assert re.search(r"rank +: 1 .*\n.*exitcode +: -9", errors)
    # The other one says so itself, where torchrun does not end it sooner.
    told = "rank 0: error: another rank has ended" in errors
    assert told or re.search(r"rank +: 0 .*\n.*exitcode +: -15", errors)
    assert "Traceback" not in errors.partition("ChildFailedError")[2]
    last = load_checkpoint(checkpoints(out)[-1]).step
    assert last % 100 == 0

    steps = str(max(400, last))
    with launched(*torchrun(3, *options, "--resume", "--steps", steps, "--json")) as process:
        shown, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert f'"resumed_after": {last}' in shown
    table, _mean, _losses = trained(ALONE, twin, TrainConfig(steps=int(steps)))
    theirs = load_model(out).model.token_embedding_table.weight
    assert (theirs - table).abs().max() < 1e-6 * max(1, int(steps) / 200)


def second_rank(launcher: int) -> int:
    """Find the process of rank 1 among torchrun's children."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = re.search(r"\) \S (\d+)", (folder / "stat").read_text())
                ours = b"\0RANK=1\0" in b"\0" + (folder / "environ").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if parent is not None and int(parent[1]) == launcher and ours:
                return int(folder.name)
    raise AssertionError("there is no rank 1")


def test_bad_input_is_told_by_rank(tmp_path: Path) -> None:
    options = ["train", "--out", str(tmp_path / "m"), "--data", str(tmp_path / "missing")]
    with launched(*torchrun(2, *options)) as process:
        _shown, errors = process.communicate(timeout=900)
    assert process.returncode == 1
    assert re.search(r"rank \d: error: .*missing cannot be read", errors)
    assert not (tmp_path / "m").exists()
