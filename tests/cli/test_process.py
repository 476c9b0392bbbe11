"""The command in a process of its own: what it loads, pipes, signals, streams."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reference.runs.saved_model import load_model
from tests.commands import run


def shell(command: str, **options: str) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -m reference"
    return subprocess.run(  # noqa: S603  our own command
        ["bash", "-c", command.replace("bigram", program)],  # noqa: S607  any bash
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **options},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash to pipe with")
def test_a_reader_that_goes_ends_what_is_only_shown(model: Path) -> None:
    for command in (f"generate --model {model} --tokens 300000", "walkthrough"):
        done = shell(f"bigram {command} | head -c 9; exit ${{PIPESTATUS[0]}}")
        assert done.returncode == 141
        assert len(done.stdout) == 9
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash to pipe with")
def test_a_reader_that_goes_does_not_lose_the_training(tmp_path: Path, text: Path) -> None:
    options = f"--data {text} --out {tmp_path / 'm'} --steps 5000"
    done = shell(f"bigram train {options} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("step 500: ")
    assert load_model(tmp_path / "m").about["steps_taken"] == 5000


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash to close a stream with")
def test_a_closed_output_is_no_accident(model: Path) -> None:
    done = shell(f"bigram generate --model {model} >&-")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


def test_what_a_terminal_cannot_show_is_spelled_out(tmp_path: Path) -> None:
    text, out = tmp_path / "text.txt", str(tmp_path / "m")
    text.write_text("né" * 50, encoding="utf-8")
    assert run("train", "--data", str(text), "--out", out, "--steps", "1") == 0
    command = [sys.executable, "-m", "reference", "generate", "--model", out, "--prompt", "né"]
    done = subprocess.run(  # noqa: S603  our own command
        [*command, "--tokens", "0"],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout == b"n\\xe9\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_saves_what_was_trained_and_is_130(tmp_path: Path) -> None:
    out = tmp_path / "m"
    command = [sys.executable, "-m", "reference", "train", "--out", str(out), "--steps", "50000"]
    with subprocess.Popen(  # noqa: S603  our own command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests in the background of a shell ignore Ctrl-C, and so would what they start.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("step 5,000: ")
        process.send_signal(signal.SIGINT)
        shown, _errors = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted, and saved" in shown
    saved = load_model(out)
    assert saved.about["interrupted"] is True
    assert 5_000 <= saved.about["steps_taken"] < 50_000


def test_help_does_not_wait_for_torch() -> None:
    script = (
        "import sys\nfrom reference.cli import main as cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    for command in ([], ["walkthrough"], ["train"], ["generate"]):
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-c", script, *command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage" in done.stdout
