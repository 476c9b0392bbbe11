"""The site is built once, from a copy, and then broken and looked at."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docs")]  # for building, and for spec_site

from building import LEFT_OUT, ROOT, Copy  # noqa: E402  after the path


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copy and build."""
    pytest.importorskip("sphinx", reason="nox -s site installs what these tests need")
    if not (ROOT / "docs/node_modules").exists():
        pytest.skip("docs/node_modules is not there: nox -s site fetches it")
    made = Copy(root=tmp_path_factory.mktemp("site"))
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    for folder in ("docs", "reference", "tests"):
        shutil.copytree(ROOT / folder, made.root / folder, ignore=ignored)
    (made.docs / "node_modules").symlink_to(ROOT / "docs/node_modules")
    done = made.build()
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return made


@pytest.fixture
def broken(copy: Copy) -> Iterator[Copy]:
    """Lend the copy to be broken, and put it right afterwards."""
    yield copy
    copy.restore()
