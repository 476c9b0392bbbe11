"""A copy of the docs and the package, which can be built, broken and put right."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"_build", "node_modules", "__pycache__"}


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of docs/ and reference/, and the site built from it."""

    root: Path

    @property
    def docs(self) -> Path:
        return self.root / "docs"

    @property
    def html(self) -> Path:
        return self.docs / "_build/html"

    def build(self) -> subprocess.CompletedProcess[str]:
        """Build as `nox -s docs` does; pages that did not change are not read again."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "sphinx",
                "-W",
                "--keep-going",
                "-q",
                "docs",
                "docs/_build/html",
            ],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def restore(self) -> None:
        """Put right what a test has broken."""
        for folder in ("docs", "reference"):
            for original in (ROOT / folder).rglob("*"):
                there = self.root / original.relative_to(ROOT)
                if original.is_dir() or LEFT_OUT & set(there.parts):
                    continue
                if not there.exists() or there.read_bytes() != original.read_bytes():
                    shutil.copyfile(original, there)
