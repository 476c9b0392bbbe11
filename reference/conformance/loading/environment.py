"""What a script expects around it: its folder to import from, its arguments, a terminal."""

import contextlib
import importlib
import importlib.machinery
import io
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

NEVER_ASIDE = {"torch", "numpy", "reference"} | set(sys.stdlib_module_names)
"""What no folder's own file of that name takes the place of: the process needs them."""


@contextlib.contextmanager
def as_script(folder: Path, *, arguments: Sequence[str] | None = None) -> Iterator[None]:
    """Import as a script in a folder does, with nothing printed and nothing to read.

    The folder stays at the end of `sys.path`, for imports inside functions. The current directory
    is left alone, for files that are opened by a relative name.
    """
    entry = str(folder)
    saved = sys.argv, sys.stdin
    importlib.invalidate_caches()
    others = _set_aside(folder)
    if arguments is not None:
        sys.argv = list(arguments)
    sys.stdin = io.StringIO()  # so that input() fails, and does not wait
    sys.path.insert(0, entry)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.argv, sys.stdin = saved
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)
        if entry not in sys.path:
            sys.path.append(entry)
        sys.modules.update(others)


def _set_aside(folder: Path) -> dict[str, types.ModuleType]:
    """Forget, for now, the modules that stand where this folder has its own.

    Two people's folders each have their own `tokens.py`; the second must not get the first's.
    """
    own = {path.stem for path in folder.glob("*.py")}
    own |= {path.parent.name for path in folder.glob("*/__init__.py")}
    aside: dict[str, types.ModuleType] = {}
    for name in own & sys.modules.keys() - NEVER_ASIDE:
        spec = importlib.machinery.PathFinder.find_spec(name, [str(folder)])
        if spec is None or getattr(sys.modules[name], "__file__", None) == spec.origin:
            continue
        for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            aside[each] = sys.modules.pop(each)
    return aside
