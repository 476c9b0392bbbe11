"""From a target such as `bigram.py:BigramLanguageModel` to the class, or to why it is not had.

The target's file is read (`cells.py`), the statements that it takes are selected (`facts.py`,
`slice.py`) and run, each by itself (`running.py`): one that fails, for want of `input.txt` say,
does not stop the next. It is noted, and an error only where a wanted definition reads what was
then never bound.
"""

import ast
import importlib
import inspect
import keyword
import types
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from reference.conformance.loading import cells
from reference.conformance.loading.environment import as_script
from reference.conformance.loading.errors import LoadError
from reference.conformance.loading.factory import SIZE, SIZE_GLOBALS, Loaded
from reference.conformance.loading.running import Run, tell
from reference.conformance.loading.suggestions import models_in, no_name, unknown_name


def load(
    target: str,
    *,
    define: Mapping[str, object] = types.MappingProxyType({}),
    also: Sequence[str] = (),
    supplied: Collection[str] = (SIZE,),
) -> Loaded:
    """Load `bigram.py:Name`, `dev.ipynb:Name` or `package.module:Name`.

    `define` binds globals beforehand, in place of the statements that would. `also` are further
    names wanted. `supplied` are globals that may be missing, since the caller binds them later;
    where that is the size of the vocabulary, its spelling in capitals is meant too.

    Raises: a LoadError of the kind that fits the cause.
    """
    place, name = _split(target)
    path = Path(place)
    if not (path.suffix in {".py", ".ipynb"} or path.name != place or _is_file(path)):
        return _load_module(place, name, define, also)
    script = cells.read(path)
    models = models_in(script)
    if not name:
        raise no_name(place, models)
    run = Run(script)
    for each in (name, *also):
        if each not in define and not run.slicer.binders[each]:
            raise unknown_name(place, each, list(run.slicer.definers), models)
    if SIZE in supplied:
        supplied = SIZE_GLOBALS.union(supplied)
    run.run([name, *also], define=define, supplied=supplied)
    return Loaded(
        name=name,
        value=run.namespace[name],
        namespace=run.namespace,
        notes=run.notes(),
        path=path,
        place=str(path),
        names=run.slicer.definitions(),
    )


def parse_definition(text: str) -> tuple[str, object]:
    """Read `block_size=8`: a Python literal where it is one, the text itself otherwise.

    Raises: LoadError.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise LoadError(f"{text!r} defines nothing; write it as name=value, as in block_size=8")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise LoadError(f"{text!r} defines {name!r}, which is no name that Python code can have")
    try:
        return name, ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return name, value


def _is_file(path: Path) -> bool:
    """Return whether a path leads to a file; one that the system refuses does not."""
    try:
        return path.is_file()
    except OSError:  # its name is too long, say
        return False


def _split(target: str) -> tuple[str, str]:
    """Part the place from the name; without a name, the name is empty."""
    place, colon, name = target.rpartition(":")
    if not colon or name.endswith((".py", ".ipynb")) or "/" in name or "\\" in name:
        return target, ""
    return place, name


def _load_module(
    place: str, name: str, define: Mapping[str, object], also: Sequence[str]
) -> Loaded:
    """Import a module plainly, with the current folder to find it in."""
    try:
        with as_script(Path.cwd()):
            module = importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise LoadError(
            f"the module {place} cannot be imported: {tell(error)} "
            f"(a file is named by its path: {place.rpartition('.')[2]}.py:{name or 'Name'})"
        ) from error
    namespace = vars(module)
    namespace.update(define)
    models = {
        key: place
        for key, value in namespace.items()
        if inspect.isclass(value) and value.__module__ == place and hasattr(value, "forward")
    }
    if not name:
        raise no_name(place, models)
    for each in (name, *also):
        if each not in namespace:
            raise unknown_name(place, each, list(namespace), models)
    file = getattr(module, "__file__", None)
    return Loaded(
        name=name,
        value=namespace[name],
        namespace=namespace,
        notes=(),
        path=None if file is None else Path(file),
        place=place,
        names=list(namespace),
    )
