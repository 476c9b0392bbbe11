import functools
import gc
import gzip
import json
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import zstandard
from rich.console import Console

from reference import __version__, notes
from reference.cli import engine as cli_engine, generate, plots
from reference.cli.engine import find_trainer
from reference.corpus import Corpus
from reference.errors import DownloadError, TwinError
from reference.fast import compiling
from reference.model import BigramLanguageModel
from reference.oracle.counts import bigram_counts
from reference.runs.curve import exact_loss
from reference.runs.saved_model import load_model
from reference.runs.session import watch_training
from reference.runs.trainer import ReferenceTrainer
from reference.tinyshakespeare import download
from reference.training import TrainConfig, train
from reference.vocabulary import Vocabulary
from tests.commands import TEXT, run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert run("wander") == 2
    assert run("walkthrough", "--steps", "0") == 2
    assert run("train") == 2
    assert "--out" in capsys.readouterr().err


def test_the_walkthrough_passes_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("walkthrough", "--steps", "20") == 0
    shown = capsys.readouterr().out
    assert "4.8948" in shown
    assert "NllLossBackward0" in shown
    assert "≠ King " in shown
    assert "Near Queen, not equal to it" in shown
    assert "✓ lr " in shown
    assert "✗   0 did not come back" in shown


def test_one_wrong_figure_makes_the_walkthrough_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notes, "Figures", functools.partial(notes.Figures, loss="4.8949"))
    assert run("walkthrough", "--steps", "20") == 1
    shown = capsys.readouterr().out
    assert "✗   1 did not come back" in shown
    assert "MAIN > m.forward(xb, yb): loss" in shown


def test_the_walkthrough_on_another_text_fails_and_says_why(
    text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("walkthrough", "--steps", "20", "--data", str(text)) == 1
    assert "figures belong to Tiny Shakespeare" in " ".join(capsys.readouterr().out.split())


def test_the_walkthrough_for_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("walkthrough", "--steps", "20", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert (told["steps"], told["seed"], told["device"]) == (20, 1337, "cpu")
    loss = next(figure for figure in told["figures"] if figure["name"] == "loss")
    assert loss["documented"] == loss["computed"] == "4.8948"
    assert loss["mark"] == "match"
    monkeypatch.setattr(notes, "Figures", functools.partial(notes.Figures, loss="4.8949"))
    assert run("walkthrough", "--steps", "20", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_trained_model_is_saved_with_how_it_was_trained(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model"
    options = ["--steps", "40", "--batch-size", "5", "--block-size", "3", "--lr", "0.01"]
    assert run("train", "--data", str(text), "--out", str(out), "--json", *options) == 0
    told = json.loads(capsys.readouterr().out)
    saved = load_model(out)
    assert saved.vocabulary.characters == "".join(sorted(set(TEXT)))
    assert told.pop("model") == str(out / "model.safetensors")
    assert told == saved.about
    corpus = Corpus.from_text(TEXT)
    config = TrainConfig(steps=40, batch_size=5, block_size=3, learning_rate=0.01)
    assert told["config"] == vars(config)
    assert told["steps_taken"] == 40
    assert told["entropy_floor"] < told["loss"]
    assert told["val_loss"] == exact_loss(saved.model, bigram_counts(corpus.val.numpy(), 13))
    # The same loop by hand trains the same table.
    torch.manual_seed(1337)
    model = BigramLanguageModel(len(corpus.vocabulary))
    generator = torch.Generator().manual_seed(1337)
    for _step in train(model, corpus, config, generator=generator):
        pass
    assert torch.equal(saved.model.token_embedding_table.weight, model.token_embedding_table.weight)


def test_progress_is_told_where_there_is_no_terminal(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "--data", str(text), "--out", str(tmp_path / "m"), "--steps", "100") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert len(lines) == 10
    assert lines[-1].startswith("step 100: loss ")


def test_a_model_is_not_overwritten_unasked(
    model: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (model / "model.safetensors").read_bytes()
    again = ["train", "--data", str(text), "--out", str(model), "--steps", "5"]
    assert run(*again) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (model / "model.safetensors").read_bytes() == before
    assert run(*again, "--overwrite") == 0
    assert (model / "model.safetensors").read_bytes() != before


def test_a_model_continues_a_prompt(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    options = ["generate", "--model", str(model), "--prompt", "the ", "--tokens", "50"]
    assert run(*options, "--seed", "3") == 0
    first = capsys.readouterr()
    assert first.out.startswith("the ")
    assert len(first.out) == 4 + 50 + 1
    assert re.fullmatch(r"seed 3, reference engine, [\d,]+ tokens per second\n", first.err)
    assert run(*options, "--seed", "3") == 0
    assert capsys.readouterr().out == first.out
    assert run(*options, "--seed", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] + "\n" == first.out
    assert (told["prompt"], told["tokens"], told["seed"]) == ("the ", 50, 3)


def test_without_a_seed_the_continuation_is_another_and_can_be_repeated(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    options = ["generate", "--model", str(model), "--json"]
    told: list[dict[str, object]] = []
    for again in (False, False, True):
        seed = ["--seed", str(told[0]["seed"])] if again else []
        assert run(*options, *seed) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["text"] != told[1]["text"]
    assert told[0]["text"] == told[2]["text"]
    assert told[0]["seed"] == told[2]["seed"]


@pytest.mark.parametrize("engine", ["reference", "fast", "sampler", "auto"])
def test_each_engine_continues_a_prompt(
    engine: str, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "SAMPLED", 100)
    capsys.readouterr()
    options = ["generate", "--model", str(model), "--tokens", "150", "--seed", "3"]
    assert run(*options) == 0
    plain = capsys.readouterr().out
    assert run(*options, "--engine", engine, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["engine"] == ("fast" if engine == "auto" else engine)
    assert told["tokens_per_second"] > 0
    assert len(told["text"]) == 1 + 150
    assert (told["text"] + "\n" == plain) is (engine != "sampler")


def test_the_engine_trains_the_same_model(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, tables = {}, {}
    for engine in ("reference", "fast", "auto"):
        out = tmp_path / engine
        options = [
            "--out",
            str(out),
            "--steps",
            "700",
            "--lr",
            "0.01",
            "--engine",
            engine,
            "--json",
        ]
        assert run("train", "--data", str(text), *options) == 0
        told[engine] = json.loads(capsys.readouterr().out)
        tables[engine] = load_model(out).model.token_embedding_table.weight
    assert [one["engine"] for one in told.values()] == ["reference", "fast", "fast"]
    assert told["fast"]["loss"] == pytest.approx(told["reference"]["loss"], abs=1e-5)
    assert told["fast"]["tokens_per_second"] > 0
    torch.testing.assert_close(tables["fast"], tables["reference"], rtol=1e-5, atol=1e-5)
    assert not torch.equal(tables["fast"], tables["reference"])  # it was another that trained
    assert torch.equal(tables["fast"], tables["auto"])


def test_without_numba_auto_is_the_reference_and_fast_is_refused(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_engine, "find_spec", lambda _name: None)
    monkeypatch.setattr(compiling, "is_there", lambda: False)
    options = ["train", "--data", str(text), "--out", str(tmp_path / "m"), "--steps", "3"]
    assert run(*options, "--engine", "fast") == 2
    assert "pip install 'bigram-reference[fast]'" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    assert run(*options, "--engine", "auto", "--json") == 0
    assert json.loads(capsys.readouterr().out)["engine"] == "reference"


def test_the_engines_losses_make_the_same_curve(twin: Corpus) -> None:
    config = TrainConfig(steps=1003, learning_rate=0.01)
    points = []
    for engine in ("reference", "fast"):
        torch.manual_seed(1)
        model = BigramLanguageModel(65)
        console = Console(quiet=True)
        curve, interrupted = watch_training(
            model, twin, config, 5, console, new_trainer=find_trainer(engine)
        )
        assert not interrupted
        points.append([number for point in curve.points for number in point])
    assert points[1] == pytest.approx(points[0], abs=1e-4)


def test_generating_in_pieces_is_generating(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    options = ["generate", "--model", str(model), "--prompt", "cat", "--tokens", "50"]
    assert run(*options, "--seed", "3") == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr(generate, "CHUNK", 7)
    assert run(*options, "--seed", "3") == 0
    assert capsys.readouterr().out == whole


def test_the_default_prompt_is_the_notes_token_0(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("generate", "--model", str(model), "--tokens", "0") == 0
    assert capsys.readouterr().out == " \n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["generate", "--model", "MODEL", "--prompt", "the big cat"],
            "character 'b' at position 4",
        ),
        (["generate", "--model", "MODEL", "--prompt", ""], "--prompt is empty"),
        (["generate", "--model", "MISSING"], "bigram train --out"),
        (["train", "--out", "NEW", "--data", "MISSING"], "MISSING cannot be read"),
        (["train", "--out", "NEW", "--data", "TEXT", "--block-size", "2000"], "block_size 2000"),
        (["train", "--out", "NEW", "--data", "TEXT", "--lr", "0"], "learning_rate is 0.0"),
        (["train", "--out", "NEW", "--data", "a\0b"], "'a\\x00b' has a null character"),
        (["walkthrough", "--data", "SHORT"], "val split of SHORT"),
        (["walkthrough", "--data", "MISSING"], "MISSING cannot be read"),
    ],
)
def test_bad_input_is_2_with_one_line_that_says_why(
    model: Path, text: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    places = {"MODEL": str(model), "TEXT": str(text)}
    places |= {name: str(text.parent / name) for name in ("MISSING", "NEW", "SHORT")}
    Path(places["SHORT"]).write_text("abc" * 20)
    assert run(*[places.get(argument, argument) for argument in arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert not (text.parent / "NEW").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there, so asking for it is right")
def test_cuda_where_there_is_none_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--out", str(tmp_path / "m"), "--device", "cuda") == 2
    assert "--device is cuda" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_model_trained_on_cuda_speaks_on_the_cpu(tmp_path: Path, text: Path) -> None:
    out = str(tmp_path / "m")
    assert run("train", "--data", str(text), "--out", out, "--steps", "5", "--device", "cuda") == 0
    assert run("generate", "--model", out, "--device", "cpu") == 0
    assert run("generate", "--model", out, "--device", "cuda") == 0


@pytest.mark.parametrize(
    "error", [DownloadError("the network is away"), TwinError("damaged"), MemoryError("too big")]
)
def test_what_cannot_be_finished_is_3(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_options: object) -> Path:
        raise error

    monkeypatch.setattr(download, "fetch_tinyshakespeare", fail)
    assert run("walkthrough", "--data", "tinyshakespeare") == 3
    shown = capsys.readouterr().err
    assert str(error) in shown
    assert shown.count("\n") == 1


def test_a_batch_too_large_for_memory_is_3(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(text), "--out", str(tmp_path / "m"), "--batch-size", "1048576"]

    def refuse(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nto allocate")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randint", refuse)
        assert run("train", *options) == 3
    assert "there is not enough memory" in capsys.readouterr().err


def test_ctrl_c_ends_a_walkthrough(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ReferenceTrainer, "steps", interrupt)
    assert run("walkthrough") == 130


def test_training_draws_when_asked(tmp_path: Path, text: Path) -> None:
    options = ["--data", str(text), "--out", str(tmp_path / "m"), "--plot", str(tmp_path / "p")]
    assert run("train", "--steps", "5", *options) == 0
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"loss.png", "tables.png"}


def test_a_full_disk_is_3(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device", "loss.png")

    monkeypatch.setattr(plots, "save", full)
    options = ["--data", str(text), "--out", str(tmp_path / "m"), "--plot", str(tmp_path / "p")]
    assert run("train", "--steps", "5", *options) == 3
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device: 'loss.png'\n"
    load_model(tmp_path / "m")


def test_a_loss_that_overflows_is_3_and_saves_nothing(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m"
    assert run("train", "--data", str(text), "--out", str(out), "--lr", "1e6") == 3
    shown = capsys.readouterr().err
    assert "train a new model with a learning_rate below 1000000" in shown
    assert shown.count("\n") == 1
    assert {file.name for file in out.iterdir()} == {".lock"}


def test_ctrl_c_anywhere_else_is_130_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_options: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "fetch_tinyshakespeare", interrupt)
    assert run("walkthrough", "--data", "tinyshakespeare") == 130


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000 + "b", "loop", "a\0b"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["walkthrough", "--data", "PATH"],
        ["walkthrough", "--plot", "PATH"],
        ["train", "--out", "NEW", "--data", "PATH"],
        ["train", "--out", "PATH", "--data", "TEXT"],
        ["train", "--out", "NEW", "--data", "TEXT", "--log", "PATH"],
        ["train", "--out", "NEW", "--data", "TEXT", "--tensorboard", "PATH"],
        ["train", "--out", "NEW", "--data", "TEXT", "--plot", "PATH"],
        ["fit", "--out", "PATH", "--data", "TEXT"],
        ["generate", "--model", "PATH"],
        ["prepare", "PATH", "--out", "NEW"],
        ["prepare", "TEXT", "--out", "PATH"],
        ["check", "PATH/m.py:Model"],
        ["check", "m.py:Model", "--get-batch", "PATH/m.py:get_batch"],
        ["check", "--replay", "PATH"],
        ["check", "--junit", "PATH"],
        ["check", "--html", "PATH"],
        ["compare", "PATH", "TEXT"],
        ["compare", "TEXT", "TEXT", "--html", "PATH"],
        ["vectors", "export", "PATH"],
        ["vectors", "verify", "PATH"],
    ],
    ids=" ".join,
)
def test_a_path_that_the_system_rejects_is_2_with_one_line(
    text: Path,
    arguments: list[str],
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(text.parent)
    Path("loop").symlink_to("loop")
    Path("m.py").write_text("class Model: pass\n")
    words = [one.replace("PATH", path) for one in arguments]
    words = [{"TEXT": str(text), "NEW": "new"}.get(one, one) for one in words]
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_folder_whose_name_cannot_be_encoded_is_2(
    text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["prepare", str(text)], ["train", "--data", str(text)]):
        assert run(*command, "--out", "\ud800") == 2
        shown = capsys.readouterr().err
        assert shown.startswith("error: \\ud800")
        assert shown.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--data", "TEXT", "--out="],
        ["train", "--data", "TEXT", "--out="],
        ["train", "--data", "TEXT", "--out", "new", "--plot="],
        ["train", "--data", "TEXT", "--out", "new", "--tensorboard="],
        ["walkthrough", "--data="],
        ["walkthrough", "--plot="],
        ["generate", "--model="],
        ["prepare", "TEXT", "--out="],
        ["prepare", "", "--out", "new"],
        ["vectors", "export", ""],
        ["vectors", "verify", ""],
    ],
    ids=" ".join,
)
def test_an_empty_name_is_not_the_working_folder(
    text: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(text.parent)
    assert run(*[str(text) if one == "TEXT" else one for one in arguments]) == 2
    assert "is empty" in capsys.readouterr().err
    assert list(text.parent.iterdir()) == [text]


def test_a_wrong_addition_is_named_by_its_option(
    text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = text.parent / "model"
    assert run("fit", "--data", str(text), "--out", str(out), "--add", "0") == 2
    assert "--add is 0.0" in capsys.readouterr().err
    assert run("fit", "--data", str(text), "--out", str(out), "--add", "1e-323") == 0
    assert load_model(out).model.token_embedding_table.weight.isfinite().all()


class Piece(str):  # noqa: SLOT000  slots would exclude weak references
    """A text to which there can be weak references."""


@pytest.mark.parametrize(("options", "most"), [([], 2), (["--json"], 9)], ids=["text", "json"])
def test_generate_keeps_its_text_for_json_alone(
    options: list[str], most: int, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Piece]] = []
    kept: list[int] = []

    def decode(_vocabulary: Vocabulary, ids: list[int]) -> str:
        piece = Piece("a" * len(ids))
        made.append(weakref.ref(piece))
        kept.append(sum(one() is not None for one in made))
        return piece

    monkeypatch.setattr(Vocabulary, "decode", decode)
    monkeypatch.setattr(generate, "CHUNK", 5)
    assert run("generate", "--model", str(model), "--tokens", "45", *options) == 0
    assert len(made) == 9
    assert max(kept) <= most
    assert not options or max(kept) == most


@pytest.mark.parametrize("options", [["fit"], ["fit", "--json"], ["train", "--steps", "5"]])
def test_carriage_returns_are_kept_and_said_once(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for ending, count in (("\r\n", 1), ("\n", 0)):
        (tmp_path / "text.txt").write_bytes(TEXT.replace(". ", f".{ending}").encode())
        out = tmp_path / f"model{count}"
        assert run(*options, "--data", str(tmp_path / "text.txt"), "--out", str(out)) == 0
        shown = capsys.readouterr()
        note = f"note: {tmp_path / 'text.txt'} has carriage returns (\\r)"
        assert shown.err.count(note) == shown.err.count("\n") == count
        assert ("\r" in load_model(out).vocabulary.characters) == bool(count)


@pytest.mark.parametrize(
    ("kind", "compress"), [("gzip", gzip.compress), ("Zstandard", zstandard.compress)]
)
def test_compressed_data_is_named_with_what_reads_it(
    tmp_path: Path,
    kind: str,
    compress: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "text"
    file.write_bytes(compress(TEXT.encode()))
    for command in (["fit", "--out", "new"], ["train", "--out", "new"], ["walkthrough"]):
        assert run(*command, "--data", str(file)) == 2
        said = capsys.readouterr().err
        assert f"{file} is compressed with {kind}: `bigram prepare {file} --out DIR`" in said
        assert "convert" not in said.lower()
    assert run("prepare", str(file), "--out", str(tmp_path / "tokens")) == 0
    assert run("fit", "--data", str(tmp_path / "tokens"), "--out", str(tmp_path / "m")) == 0


def test_a_log_may_be_what_is_no_regular_file(tmp_path: Path, text: Path) -> None:
    log = tmp_path / "log"
    log.symlink_to("/dev/fd/1")
    options = ("--data", str(text), "--steps", "5", "--log", str(log), "--json")
    command = [sys.executable, "-m", "reference", "train", "--out", str(tmp_path / "m"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"event": "started"')
    assert log.is_symlink()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_is_3_and_is_closed(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        options = ["--data", str(text), "--out", str(tmp_path / "m"), "--log", "/dev/full"]
        assert run("train", "--steps", "5", *options) == 3
        gc.collect()
    assert [one for one in told if "/dev/full" in str(one.message)] == []
    assert "No space left on device" in capsys.readouterr().err
