"""The digest of all that a run in this process follows from: our files, the corpus, the pins."""

import hashlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("reference", "tests/mutants", "tests/faults")
"""Folders of which each imported file counts."""
ALSO = ("reference/tinyshakespeare/twin.npz", "constraints.txt")
"""Files that are read, and not imported."""


def digest() -> str:
    """Return the digest of what is imported of ours so far, the corpus and the pinned versions."""
    files = [getattr(module, "__file__", None) for module in sys.modules.values()]
    paths = {Path(file).resolve() for file in files if file}
    ours = {ROOT / folder for folder in OURS}
    paths = {path for path in paths if ours & {*path.parents}}
    paths |= {ROOT / name for name in ALSO}
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()
