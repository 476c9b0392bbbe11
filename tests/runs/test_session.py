"""A run that stops, is killed, or is watched, ends with the table of one that was left alone."""

import errno
import io
import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from reference.cli import main as cli
from reference.cli.engine import find_trainer
from reference.corpus import Corpus
from reference.errors import CheckpointError, MissingExtraError, NonFiniteLossError, OutputError
from reference.files import atomic
from reference.model import BigramLanguageModel
from reference.runs import checkpoint, progress
from reference.runs.checkpoint import FOLDER, Checkpoint, Run, checkpoints, load_checkpoint
from reference.runs.curve import LossCurve, exact_loss
from reference.runs.progress import Outputs
from reference.runs.saved_model import FILE, load_model
from reference.runs.session import Keeping, Watching, watch_training
from reference.training import TrainConfig, train
from tests.children import fork, wait
from tests.commands import run

TEXT = "the cat sat on the mat and the rat ran at the hat. " * 20
CORPUS = Corpus.from_text(TEXT)
C = len(CORPUS.vocabulary)
CONFIG = TrainConfig(steps=60, batch_size=4, block_size=5, learning_rate=0.01)
SEED = 5
ENGINES = ("reference", "fast")


def run_of(engine: str = "reference", config: TrainConfig = CONFIG) -> Run:
    return Run.of(CORPUS, config, seed=SEED, engine=engine)


def watch(  # noqa: PLR0913  a run has this much to be told
    folder: Path,
    *,
    engine: str = "reference",
    config: TrainConfig = CONFIG,
    every: int = 7,
    resume: bool = False,
    watching: Watching = Watching(),  # noqa: B008  frozen
) -> tuple[BigramLanguageModel, LossCurve, int]:
    torch.manual_seed(SEED)
    model = BigramLanguageModel(C)
    resumed = load_checkpoint(checkpoints(folder)[-1]) if resume else None
    keeping = Keeping(
        run=run_of(engine, config), directory=folder, every=every, resumed=resumed, keep=100
    )
    curve, ended_by = watch_training(
        model,
        CORPUS,
        config,
        SEED,
        Console(quiet=True),
        new_trainer=find_trainer(engine),
        keeping=keeping,
        watching=watching,
    )
    return model, curve, ended_by


def bits(model: BigramLanguageModel) -> Tensor:
    return model.token_embedding_table.weight.detach().view(torch.int32).clone()


# ----------------------------------------------------------------------------- going on


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_goes_on_bit_for_bit_from_each_of_its_checkpoints(
    engine: str, tmp_path: Path
) -> None:
    # Estimates are the same code for both, and take long.
    watching = Watching(estimate_every=20 if engine == "reference" else 0)
    whole, curve, _ = watch(tmp_path / "whole", engine=engine, watching=watching)
    last = load_checkpoint(checkpoints(tmp_path / "whole")[-1])
    files_of_whole = checkpoints(tmp_path / "whole")
    assert [load_checkpoint(file).step for file in files_of_whole] == [*range(7, 60, 7), 60]
    for file in files_of_whole:
        part = tmp_path / file.stem
        (part / FOLDER).mkdir(parents=True)
        (part / FOLDER / file.name).write_bytes(file.read_bytes())
        model, again, _ = watch(part, engine=engine, resume=True, watching=watching)
        assert torch.equal(bits(model), bits(whole)), file
        assert again.points == curve.points
        assert again.taken == curve.taken
        end = load_checkpoint(checkpoints(part)[-1])
        for name in ("table", "mean", "square"):
            assert torch.equal(getattr(end, name), getattr(last, name)), name
        assert end.generators.keys() == {"batches", "estimates"}
        for name, state in end.generators.items():
            assert torch.equal(state, last.generators[name]), name


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_kept_does_not_change_what_is_trained(engine: str, tmp_path: Path) -> None:
    kept, curve, _ = watch(tmp_path, engine=engine, every=1, watching=Watching(estimate_every=31))
    torch.manual_seed(SEED)
    plain = BigramLanguageModel(C)
    other, _ = watch_training(
        plain, CORPUS, CONFIG, SEED, Console(quiet=True), new_trainer=find_trainer(engine)
    )
    assert torch.equal(bits(kept), bits(plain))
    assert curve.points == other.points


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_can_be_made_longer(engine: str, tmp_path: Path) -> None:
    short = TrainConfig(steps=33, batch_size=4, block_size=5, learning_rate=0.01)
    watch(tmp_path, engine=engine, config=short)
    model, _, _ = watch(tmp_path, engine=engine, resume=True)
    whole, _, _ = watch(tmp_path / "whole", engine=engine)
    assert torch.equal(bits(model), bits(whole))


def test_a_run_that_is_over_is_not_trained_on(tmp_path: Path) -> None:
    whole, _, _ = watch(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in checkpoints(tmp_path)}
    again, curve, _ = watch(tmp_path, resume=True)
    assert torch.equal(bits(again), bits(whole))
    assert curve.taken == 60
    assert before == {file: file.stat().st_mtime_ns for file in checkpoints(tmp_path)}


def test_a_checkpoint_too_many_is_removed_even_if_the_run_is_over(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder, "--keep", "4")) == 0  # as if killed before it removed the fourth
    assert run(*command(folder, "--keep", "3", "--resume")) == 0
    assert [load_checkpoint(file).step for file in checkpoints(folder)] == [130, 140, 150]


def test_without_an_interval_nothing_is_kept(tmp_path: Path) -> None:
    watch(tmp_path, every=0)
    assert checkpoints(tmp_path) == []


@pytest.mark.usefixtures("own_checks_only")
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    watch(tmp_path)
    file = checkpoints(tmp_path)[-1]
    resumed = load_checkpoint(file)
    infinite = {"points": [[math.inf, 1.0, 1.0]], "since": [0.0, 0]}
    for notes in ({}, {"curve": 3}, {"curve": {"points": [[1]]}}, {"curve": infinite}):
        changed = Keeping(
            run=run_of(),
            directory=tmp_path,
            every=7,
            resumed=Checkpoint(**(vars(resumed) | {"notes": notes})),
        )
        with pytest.raises(CheckpointError, match="after step 60 .* loss curve"):
            watch_training(
                BigramLanguageModel(C), CORPUS, CONFIG, SEED, Console(quiet=True), keeping=changed
            )


# ----------------------------------------------------------------------------- being stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_signal_ends_a_run_between_two_steps(
    engine: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    add = LossCurve.add

    def add_and_ask(curve: LossCurve, step: Any) -> bool:
        if step.step == 30:
            os.kill(os.getpid(), number)
        return add(curve, step)

    with monkeypatch.context() as patch:
        patch.setattr(LossCurve, "add", add_and_ask)
        _model, curve, ended_by = watch(tmp_path, engine=engine)
    assert ended_by == number
    assert curve.taken == 30
    assert load_checkpoint(checkpoints(tmp_path)[-1]).step == 30
    assert handlers == {one: signal.getsignal(one) for one in handlers}
    model, _, ended_by = watch(tmp_path, engine=engine, resume=True)
    assert ended_by == 0
    whole, _, _ = watch(tmp_path / "whole", engine=engine)
    assert torch.equal(bits(model), bits(whole))


def test_a_signal_at_the_last_step_finds_the_run_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = LossCurve.add

    def add_and_ask(curve: LossCurve, step: Any) -> bool:
        if step.step == 60:
            os.kill(os.getpid(), signal.SIGTERM)
        return add(curve, step)

    monkeypatch.setattr(LossCurve, "add", add_and_ask)
    assert watch(tmp_path)[2] == 0


def ask(number: int, *, at: int) -> Callable[[LossCurve, Any], bool]:
    """Return a LossCurve.add that sends a signal to this process at a step."""
    add = LossCurve.add

    def add_and_ask(curve: LossCurve, step: Any) -> bool:
        if step.step == at:
            os.kill(os.getpid(), number)
        return add(curve, step)

    return add_and_ask


def test_resume_is_advised_only_if_it_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    monkeypatch.setattr(LossCurve, "add", ask(signal.SIGTERM, at=5))
    for more, advice in (
        (["--checkpoint-every", "0"], "next: bigram generate --model "),
        (
            ["--overwrite"],
            "next: continue with the same command and --resume in place of --overwrite, or ",
        ),
    ):
        assert run(*command(folder, *more)) == 143
        assert advice in capsys.readouterr().out
    assert run(*command(folder, "--resume")) == 0


def test_a_second_ctrl_c_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_twice(_curve: LossCurve, step: Any) -> bool:
        if step.step == 10:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return False

    monkeypatch.setattr(LossCurve, "add", ask_twice)
    with pytest.raises(KeyboardInterrupt):
        watch(tmp_path)
    assert [load_checkpoint(file).step for file in checkpoints(tmp_path)] == [7]


# ----------------------------------------------------------------------------- being killed

STEPS, EVERY = 150, 10


def command(folder: Path, *more: str) -> list[str]:
    text = folder.parent / "text.txt"
    if not text.exists():
        text.write_text(TEXT)
    return [
        "train",
        *("--data", str(text), "--out", str(folder), "--steps", str(STEPS), "--seed", str(SEED)),
        *("--batch-size", "4", "--block-size", "5", "--checkpoint-every", str(EVERY), *more),
    ]


def start(folder: Path, *more: str, prepare: Callable[[], object] = lambda: None) -> int:
    def work() -> None:
        prepare()
        cli.main(command(folder, *more))

    return fork(work, output=folder.parent / f"{folder.name}.txt")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tensor, float]]:
    """The table of a run that was left alone, and how long it took, by engine."""
    found = {}
    for engine in ENGINES:
        folder = tmp_path_factory.mktemp("whole") / engine
        with pytest.raises(SystemExit):
            cli.main(command(folder, "--engine", engine))  # what is loaded here is so in forks too
        began = time.perf_counter()
        assert wait(start(folder, "--engine", engine, "--overwrite")) == 0
        seconds = time.perf_counter() - began
        found[engine] = (bits(load_model(folder).model), seconds)
    return found


def resume_and_compare(folder: Path, engine: str, expected: Tensor) -> None:
    assert wait(start(folder, "--engine", engine, "--resume")) == 0, (
        folder.parent / f"{folder.name}.txt"
    ).read_text()
    assert torch.equal(bits(load_model(folder).model), expected)
    left = {file.name for file in folder.iterdir()}
    assert left <= {FILE, FOLDER, ".lock"}
    assert len(checkpoints(folder)) == 3 == len(list((folder / FOLDER).iterdir()))


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_at_a_random_moment_it_goes_on_to_the_same_table(
    engine: str, tmp_path: Path, undisturbed: dict[str, tuple[Tensor, float]]
) -> None:
    expected, seconds = undisturbed[engine]
    chance = random.Random(SEED)
    runs = 15 if engine == "reference" else 8
    killed = 0
    for number in range(runs):
        folder = tmp_path / str(number)
        for again in range(chance.randint(1, 3)):
            child = start(folder, "--engine", engine, "--resume")
            time.sleep(chance.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            if wait(child) == -signal.SIGKILL:
                killed += 1
            elif not again:  # a whole run was over sooner: the machine is less busy than it was
                seconds /= 2
        resume_and_compare(folder, engine, expected)
    assert killed >= runs // 2


WRITERS = {atomic.__file__, checkpoint.__file__}


def kill_at_line(number: int) -> None:
    """Have the process killed before the line of that number which the writing code comes to."""
    left = number

    def on_line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    sys.settrace(
        lambda frame, _event, _argument: on_line if frame.f_code.co_filename in WRITERS else None
    )


def test_killed_anywhere_inside_the_writing_it_goes_on_to_the_same_table(
    tmp_path: Path, undisturbed: dict[str, tuple[Tensor, float]]
) -> None:
    expected, _seconds = undisturbed["reference"]
    codes = []
    for number in range(0, 840, 35):
        folder = tmp_path / str(number)
        codes.append(wait(start(folder, prepare=partial(kill_at_line, number))))
        resume_and_compare(folder, "reference", expected)
    assert codes == [-signal.SIGKILL] * 24


def kill_amidst_write(number: int) -> None:
    """Have the process killed when half of the number-th file's content is on the disk."""
    left = number
    flush = atomic.flush

    def cut(out: Any) -> None:
        nonlocal left
        left -= 1
        flush(out)
        if left < 0:
            out.truncate(out.tell() // 2)
            flush(out)
            os.kill(os.getpid(), signal.SIGKILL)

    atomic.flush = cut


def test_a_half_written_checkpoint_is_none(
    tmp_path: Path, undisturbed: dict[str, tuple[Tensor, float]]
) -> None:
    for number in (0, 1, 4, 14):  # the last is the one at the end
        folder = tmp_path / str(number)
        code = wait(start(folder, prepare=partial(kill_amidst_write, number)))
        assert code == -signal.SIGKILL
        assert any(file.name.endswith(atomic.PARTIAL) for file in (folder / FOLDER).iterdir())
        assert len(checkpoints(folder)) == min(number, 3)
        resume_and_compare(folder, "reference", undisturbed["reference"][0])
    folder = tmp_path / "model"
    assert wait(start(folder, prepare=lambda: kill_amidst_write(15))) == -signal.SIGKILL
    assert not (folder / FILE).exists()
    resume_and_compare(folder, "reference", undisturbed["reference"][0])


def test_a_full_disk_leaves_the_checkpoints_that_were_there(
    tmp_path: Path, undisturbed: dict[str, tuple[Tensor, float]]
) -> None:
    def allow(size: int) -> None:
        import resource  # noqa: PLC0415  not on every system

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    folder = tmp_path / "m"
    # Each checkpoint is larger than the one before, by its curve.
    whole = tmp_path / "whole"
    assert wait(start(whole, "--keep", "100")) == 0
    sizes = [file.stat().st_size for file in checkpoints(whole)]
    assert sizes[4] < sizes[8]
    assert wait(start(folder, prepare=lambda: allow(sizes[5]))) == 3
    told = (tmp_path / "m.txt").read_text().splitlines()[-1]
    assert told.startswith("error: ")
    assert "checkpoint-00000000" in told
    assert "cannot be written: File too large" in told
    assert checkpoints(folder)
    for file in checkpoints(folder):
        load_checkpoint(file)
    resume_and_compare(folder, "reference", undisturbed["reference"][0])


def test_a_second_trainer_is_told_of_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    child = start(folder, "--steps", "100000000")
    while not checkpoints(folder):
        time.sleep(0.01)
    for more in ([], ["--resume"], ["--overwrite"]):
        assert wait(start(folder, *more)) == 2
        assert "is in use: another process" in (tmp_path / "m.txt").read_text().splitlines()[-1]
    os.kill(child, signal.SIGKILL)
    wait(child)
    assert wait(start(folder, "--overwrite")) == 0  # the lock has gone with its process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_signal_has_its_exit_code_and_saves(
    number: int, code: int, tmp_path: Path, undisturbed: dict[str, tuple[Tensor, float]]
) -> None:
    folder = tmp_path / "m"
    child = start(folder, "--steps", "100000000")
    while not checkpoints(folder):
        time.sleep(0.01)
    os.kill(child, number)
    assert wait(child) == code
    told = (tmp_path / "m.txt").read_text()
    assert "interrupted, and saved after" in told
    assert "continue with the same command and --resume" in told
    taken = load_model(folder).about["steps_taken"]
    assert load_checkpoint(checkpoints(folder)[-1]).step == taken
    if taken <= STEPS:
        resume_and_compare(folder, "reference", undisturbed["reference"][0])


@pytest.mark.usefixtures("undisturbed")  # whoever may not write may not load modules either
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not write")
    folder = tmp_path / "m"
    assert wait(start(folder)) == 0
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)

    def be_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    assert wait(start(folder, "--resume", "--steps", "200", prepare=be_nobody)) == 2
    assert "cannot be written: Permission denied" in (tmp_path / "m.txt").read_text()


# ----------------------------------------------------------------------------- the command


def test_a_run_is_neither_overwritten_nor_gone_on_with_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder)) == 0
    before = (folder / FILE).read_bytes()
    assert run(*command(folder)) == 2
    assert "--resume continues it, --overwrite starts a new one" in capsys.readouterr().err
    assert run(*command(folder, "--resume", "--overwrite")) == 2
    assert (folder / FILE).read_bytes() == before
    assert run(*command(folder, "--overwrite", "--checkpoint-every", "0")) == 0
    assert checkpoints(folder) == []


def test_a_mistake_elsewhere_does_not_cost_the_run_that_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = tmp_path / "m", tmp_path / "file"
    file.touch()
    assert run(*command(folder)) == 0
    before = [one.read_bytes() for one in checkpoints(folder)]
    for more in (["--plot", str(file)], ["--log", str(tmp_path)], ["--tensorboard", str(file)]):
        assert run(*command(folder, "--overwrite", *more)) == 2
        assert "cannot be written" in capsys.readouterr().err
        assert [one.read_bytes() for one in checkpoints(folder)] == before


@pytest.mark.parametrize(
    "name",
    [
        "cli.loading.count_pairs",
        "runs.trainer.ReferenceTrainer.__init__",
        "runs.session.save_checkpoint",
    ],
)
def test_an_overwritten_run_stays_until_the_new_one_has_a_checkpoint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder)) == 0
    before = content(folder)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise MemoryError("C x C")

    monkeypatch.setattr(f"reference.{name}", refuse)
    assert run(*command(folder, "--overwrite")) == 3
    assert content(folder) == before


def content(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*.safetensors")}


@pytest.mark.parametrize(("old", "engine"), [("train", "reference"), ("fit", "fast")])
def test_after_a_killed_overwrite_resume_continues_the_new_run(
    old: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = tmp_path / "m", tmp_path / "whole"
    first = command(folder) if old == "train" else ["fit", *command(folder)[1:5]]
    assert run(*first) == 0
    model = (folder / FILE).read_bytes()
    add = LossCurve.add

    def break_off(curve: LossCurve, step: Any) -> bool:
        if step.step == 5:
            raise KeyboardInterrupt
        return add(curve, step)

    new = ["--engine", engine, "--seed", "6"]
    with monkeypatch.context() as patch:
        patch.setattr(LossCurve, "add", break_off)
        assert run(*command(folder, *new, "--overwrite")) == 130
    assert [load_checkpoint(file).step for file in checkpoints(folder)] == [1]
    assert (folder / FILE).read_bytes() == model  # until there is a new one
    assert run(*command(folder, *new, "--resume")) == 0
    assert run(*command(whole, *new)) == 0
    assert torch.equal(bits(load_model(folder).model), bits(load_model(whole).model))


def test_fit_removes_a_run_only_if_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder)) == 0
    (folder / FILE).unlink()  # as if the run had been killed
    before = content(folder)
    fit = ["fit", *command(folder)[1:5]]
    assert run(*fit) == 2
    assert "has checkpoints of a training run; give another dir" in capsys.readouterr().err
    assert content(folder) == before
    assert run(*fit, "--overwrite") == 0
    assert list(content(folder)) == [folder / FILE]


def test_another_run_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder)) == 0
    before = (folder / FILE).read_bytes()
    other = tmp_path / "other.txt"
    other.write_text(TEXT.replace("cat", "bat"))
    for more, message in (
        (["--seed", "6"], "seed is 6, and was 5"),
        (["--engine", "fast"], "engine is fast, and was reference"),
        (["--batch-size", "8"], "batch_size is 8, and was 4"),
        (["--data", str(other)], "13 characters, and was 13; it now has 'b' and lacks 'c'"),
        (["--data", "twin"], "the vocabulary is another"),
        (["--steps", "30"], "steps is 30, and"),
    ):
        assert run(*command(folder, "--resume", *more)) == 2
        assert message in capsys.readouterr().err
    assert (folder / FILE).read_bytes() == before


def test_to_resume_what_has_not_begun_is_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder, "--resume")) == 0
    assert "there is no checkpoint in" in capsys.readouterr().out
    assert run(*command(folder, "--resume", "--steps", "170", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["steps_taken"], told["resumed_after"]) == (170, 150)


def test_a_model_without_a_run_is_not_resumed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder, "--checkpoint-every", "0")) == 0
    before = (folder / FILE).read_bytes()
    assert run(*command(folder, "--resume")) == 2
    assert "exists already" in capsys.readouterr().err
    assert (folder / FILE).read_bytes() == before


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    assert run(*command(folder)) == 0
    expected = bits(load_model(folder).model)
    last = checkpoints(folder)[-1]
    last.write_bytes(last.read_bytes()[:-100])
    assert run(*command(folder, "--resume")) == 2
    told = capsys.readouterr().err
    assert str(last) in told
    assert "Remove it, and --resume continues from the one before" in told
    last.unlink()
    assert run(*command(folder, "--resume")) == 0
    assert torch.equal(bits(load_model(folder).model), expected)


# ----------------------------------------------------------------------------- being watched


def test_the_log_has_a_line_for_all_that_happens(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log.jsonl"
    told = Watching(outputs=Outputs(log=log), estimate_every=20)
    told.outputs.check()
    model, curve, _ = watch(tmp_path / "m", every=25, watching=told)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"] != "point"] == [
        "started",
        "estimate",
        "checkpoint",
        "estimate",
        "checkpoint",
        "estimate",
        "checkpoint",
        "ended",
    ]
    points = [line for line in lines if line["event"] == "point"]
    assert [(p["step"], p["batch_loss"], p["loss"]) for p in points] == [*curve.points]
    assert all(p["above_floor"] == p["loss"] - curve.floor for p in points)
    assert all(p["tokens_per_second"] > 0 for p in points)
    last = [line for line in lines if line["event"] == "estimate"][-1]
    assert last["step"] == 60
    val = CORPUS.pair_counts("val")
    assert last["exact"] == {"train": curve.loss(), "val": exact_loss(model, val)}
    for split in ("train", "val"):
        # The mean of 200 batches of 20 tokens; the losses of tokens are spread by less than 2.
        assert last["estimated"][split] == pytest.approx(last["exact"][split], abs=0.2)
    assert lines[0]["entropy_floor"] == curve.floor
    assert lines[0]["config"] == vars(CONFIG)


def test_a_log_is_gone_on_with_even_amidst_a_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    told = Watching(outputs=Outputs(log=log))
    watch(tmp_path / "m", watching=told)
    log.write_text(log.read_text()[:-10])  # its writer was killed
    before = log.read_text().count("\n")
    longer = TrainConfig(steps=80, batch_size=4, block_size=5, learning_rate=0.01)
    watch(tmp_path / "m", config=longer, resume=True, watching=told)
    lines = log.read_text().splitlines()
    assert json.loads(lines[before + 1])["event"] == "resumed"
    assert json.loads(lines[before + 1])["step"] == 60
    assert json.loads(lines[-1]) == {
        "event": "ended",
        "step": 80,
        "seconds": json.loads(lines[-1])["seconds"],
    }


def test_a_run_that_fails_says_so_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    config = TrainConfig(steps=50, batch_size=4, block_size=5, learning_rate=1e6)
    with pytest.raises(ArithmeticError):
        watch(tmp_path / "m", config=config, watching=Watching(outputs=Outputs(log=log)))
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "failed"


class FullAfter(io.StringIO):
    """A log on a disk that is full after some lines."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.left = lines

    def write(self, line: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(line)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_log_that_cannot_be_written_any_more_ends_the_run_with_a_checkpoint(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "m"
    options = ["--log", "full.jsonl", "--engine", engine, "--checkpoint-every", "100"]
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(progress, "open_to_append", lambda _file: FullAfter(13))
        assert run(*command(folder, *options)) == 3
    shown = capsys.readouterr()
    assert shown.err == "error: full.jsonl cannot be written: No space left on device\n"
    assert "interrupted, and saved after 13 steps" in shown.out
    assert load_model(folder).about["steps_taken"] == 13
    assert [load_checkpoint(file).step for file in checkpoints(folder)] == [13]


def test_a_log_that_cannot_be_written_at_its_last_line_costs_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first line, 150 points and the checkpoint at the end.
    monkeypatch.setattr(progress, "open_to_append", lambda _file: FullAfter(152))
    more = ["--checkpoint-every", "1000", "--log", str(tmp_path / "log")]
    assert run(*command(tmp_path / "m", *more)) == 3
    assert "log cannot be written: No space left on device" in capsys.readouterr().err
    assert load_model(tmp_path / "m").about["interrupted"] is False


def test_event_files_that_cannot_be_written_end_the_run_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        def add_scalar(self, _name: str, _value: float, step: int) -> None:
            if step == 20:
                raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(progress, "_writer", lambda *_: Full())
    monkeypatch.setattr(progress, "find_spec", lambda _name: True)
    assert run(*command(tmp_path / "m", "--tensorboard", str(tmp_path / "board"))) == 3
    assert f"{tmp_path / 'board'} cannot be written: No space" in capsys.readouterr().err
    assert load_checkpoint(checkpoints(tmp_path / "m")[-1]).step == 20


def rejected(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("more", [[], ["--steps", "100", "--checkpoint-every", "10"]])
def test_a_table_that_overflows_in_a_step_is_neither_kept_nor_logged(
    engine: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, log = tmp_path / "m", tmp_path / "log"
    # Weight decay multiplies the table by about -10,000 in each step: it overflows in the 10th.
    options = ["--lr", "1e6", "--batch-size", "1", "--block-size", "1", "--engine", engine]
    options += ["--log", str(log), "--steps", "10", *more]
    assert run(*command(folder, *options)) == 3
    told = "the table is not finite after step 10; train a new model with a learning_rate below"
    assert told in capsys.readouterr().err
    assert checkpoints(folder) == []
    lines = [json.loads(line, parse_constant=rejected) for line in log.read_text().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "failed"]


def test_an_estimate_that_is_not_finite_is_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reference.runs.session.estimate_loss", lambda *_, **__: {"val": math.inf})
    log = tmp_path / "log"
    told = Watching(outputs=Outputs(log=log), estimate_every=20)
    with pytest.raises(NonFiniteLossError, match=r"loss of the val split is inf after step 20; "):
        watch(tmp_path / "m", watching=told)
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "failed"


def test_where_a_log_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        Outputs(log=tmp_path).check()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file cannot be written"):
        Outputs(tensorboard=tmp_path / "file").check()
    with pytest.raises(OutputError, match="file"):
        Outputs(log=tmp_path / "file" / "log").check()


def test_tensorboard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bigram-reference\[tensorboard\]'"):
        Outputs(tensorboard=tmp_path / "board").check()
    assert not (tmp_path / "board").exists()


def test_tensorboard_reads_what_was_written_and_nothing_twice(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="event files are TensorBoard's: extra 'tensorboard'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415  an extra

    board = tmp_path / "board"
    told = Watching(outputs=Outputs(tensorboard=board), estimate_every=20)
    watch(tmp_path / "m", watching=told)
    for file in checkpoints(tmp_path / "m")[-2:]:
        file.unlink()  # as if it had been killed after the one at 49
    _model, curve, _ = watch(tmp_path / "m", resume=True, watching=told)
    events = EventAccumulator(str(board))
    events.Reload()
    assert {"loss/batches", "loss/above the floor", "tokens per second"} < {
        *events.Tags()["scalars"]
    }
    exact = events.Scalars("loss/train, exact")
    shown = {event.step: event.value for event in exact}
    steps = [event.step for event in exact]
    assert steps == sorted(steps)
    assert {point.step for point in curve.points} == set(shown)
    for point in curve.points:
        assert shown[point.step] == pytest.approx(point.loss, rel=1e-6)


def test_what_trains_here_is_the_reference(tmp_path: Path) -> None:
    model, _, _ = watch(tmp_path)
    torch.manual_seed(SEED)
    plain = BigramLanguageModel(C)
    for _step in train(plain, CORPUS, CONFIG, generator=torch.Generator().manual_seed(SEED)):
        pass
    assert torch.equal(bits(model), bits(plain))
