from pathlib import Path

import pytest

from tests.commands import TEXT, run


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture
def model(tmp_path: Path, text: Path) -> Path:
    out = tmp_path / "model"
    assert run("train", "--data", str(text), "--out", str(out), "--steps", "30") == 0
    return out
