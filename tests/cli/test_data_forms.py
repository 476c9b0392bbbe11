"""Every command that takes `--data`, with every form of it, as one table.

A cell is the exit code, and words that standard error must hold. Commands run in this process.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import typer.main
import zstandard

from reference.cli import main as cli
from reference.tinyshakespeare import download
from reference.tokens.prepare import prepare
from tests.commands import run

TEXT = "the cat sat on the mat and the rat ran at the hat. " * 8

COMMANDS = {
    "fit": ["fit", "--out", "model", "--json"],
    "train": ["train", "--out", "model", "--steps", "2", "--json"],
    "walkthrough": ["walkthrough", "--steps", "2", "--json"],
}
"""The commands, with what else they need."""

FORMS = {
    "twin": (0, ""),
    "tinyshakespeare": (0, ""),
    "text": (0, ""),
    "prepared": (0, ""),
    "nanogpt": (0, ""),
    "gz": (2, "is compressed with gzip: `bigram prepare"),
    "zst": (2, "is compressed with Zstandard: `bigram prepare"),
    "-": (2, "`bigram prepare - --out DIR` reads it"),
    "": (2, "source is empty"),
    "missing": (2, "missing cannot be read"),
    "unfinished": (2, "is an unfinished `bigram prepare`"),
    "/dev/zero": (2, "is a device, which may have no end"),
}
"""The forms of --data, and how a command ends that is given one."""

OTHER_TEXT = {"text", "prepared", "nanogpt"}
"""Forms whose figures are not the documented ones, so that the walkthrough ends with 1."""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder that holds the same text in each form, and enter it."""
    monkeypatch.chdir(tmp_path)
    raw = TEXT.encode()
    for name, content in [
        ("text", raw),
        ("gz", gzip.compress(raw)),
        ("zst", zstandard.compress(raw)),
    ]:
        Path(name).write_bytes(content)
    prepare(["text"], Path("prepared"))
    Path("unfinished").mkdir()
    Path("unfinished/prepare.json").touch()
    characters = "".join(sorted(set(TEXT)))
    tokens = np.array([characters.index(one) for one in TEXT], np.uint16)
    Path("nanogpt").mkdir()
    Path("nanogpt/vocabulary.txt").write_text(characters)
    n = int(0.9 * len(tokens))
    tokens[:n].tofile("nanogpt/train.bin")
    tokens[n:].tofile("nanogpt/val.bin")
    return tmp_path


def test_every_command_that_takes_data_is_in_the_table() -> None:
    group = typer.main.get_command(cli.app)
    taking = {
        name
        for name, command in group.commands.items()  # type: ignore[attr-defined]  # it is a group
        if any("--data" in option.opts for option in command.params)
    }
    assert taking == set(COMMANDS)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_every_form_of_data(
    command: str,
    form: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if form == "tinyshakespeare":
        real_text = request.getfixturevalue("real_text")
        monkeypatch.setattr(download, "fetch_tinyshakespeare", lambda **_given: real_text)
    elif form.startswith("/") and not Path(form).exists():
        pytest.skip(f"this system has no {form}")
    code, words = FORMS[form]
    if command == "walkthrough" and form in OTHER_TEXT:
        code = 1
    assert run(*COMMANDS[command], "--data", form) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert bool(shown.out) == (code != 2)
    assert Path("model").exists() == (code == 0 and command != "walkthrough")


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_text_in_every_form_gives_the_same_figures(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for form in ("text", "prepared", "nanogpt"):
        assert run(*COMMANDS[command], "--data", form, *overwrite(command)) in {0, 1}
        shown = json.loads(capsys.readouterr().out)
        names = ("loss", "entropy_floor", "val_loss", "figures")
        found.append([shown[name] for name in names if name in shown])
    assert found[0] == found[1] == found[2] != []


def overwrite(command: str) -> list[str]:
    return ["--overwrite"] if "--out" in COMMANDS[command] else []
