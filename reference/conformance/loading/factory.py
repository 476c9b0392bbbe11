"""From what was loaded to `factory(vocab_size)`, which makes a model of any size."""

import dis
import functools
import inspect
import keyword
import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

from reference.conformance.loading.errors import FactoryError

SIZE = "vocab_size"

SIZE_GLOBALS = {SIZE, SIZE.upper()}
"""The globals that classes without arguments size their tables by."""

SIZE_NAMES = {
    "c",
    "n_tokens",
    "n_vocab",
    "num_embeddings",
    "num_tokens",
    "ntoken",
    "v",
    "vocab",
    "vocab_dim",
    "vocab_len",
    "vocab_size",
    "vocab_sz",
    "vocabsize",
    "vocabulary_size",
}
"""What an argument that stands for the size of the vocabulary is called, in small letters."""

CONFIG_NAMES = {
    "arg",
    "conf",
    "configuration",
    "flags",
    "hp",
    "hps",
    "hyperparameters",
    "opt",
    "options",
    "opts",
    "settings",
}
"""What an argument that holds many settings is called, besides the endings below."""

CONFIG_ENDINGS = ("config", "cfg", "args", "params")


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A class or a function, with what came along with it."""

    name: str
    value: object
    namespace: dict[str, object]
    """The globals of the code, with all names asked for; what is set here, the code reads."""
    notes: tuple[str, ...]
    """A sentence for each part of the file that did not run and might have mattered."""
    path: Path | None
    """The file, where there is one."""
    place: str
    """The file or the module, as a target names it."""
    names: Collection[str]
    """The classes and functions that it defines, whether they had to run or not."""


def factory_of(loaded: Loaded) -> Callable[[int], object]:
    """Turn a class, or a function that makes a model, into `factory(vocab_size)`.

    Where the code reads a global `vocab_size` or `VOCAB_SIZE`, each call sets it, and what was made
    before sees the new one too: models of two sizes are not used side by side.

    Raises: FactoryError, also from a call, where the size of the vocabulary is not enough.
    """
    parameters = _parameters(loaded)
    size_globals = SIZE_GLOBALS & _global_reads(loaded.value, loaded.namespace)
    parameter = _size_parameter(loaded, parameters)
    if parameter is None and not size_globals:
        raise FactoryError(
            f"{loaded.name} takes no argument, and reads no global named {SIZE}; it cannot be made "
            f"for another vocabulary. {_advice(loaded, *_by_global(loaded))}"
        )
    make = loaded.value
    assert callable(make)  # noqa: S101  _parameters has seen to it

    def factory(vocab_size: int) -> object:
        loaded.namespace.update(dict.fromkeys(size_globals, vocab_size))
        try:
            if parameter is None:
                return make()
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                return make(vocab_size)
            return make(**{parameter.name: vocab_size})
        except (AttributeError, TypeError) as error:
            if "'int' object" not in str(error) and "type 'int' has no" not in str(error):
                raise
            raise FactoryError(
                f"{loaded.name} was given the size of a vocabulary, and wants something else: "
                f"{type(error).__name__}: {error}. {_advice(loaded, *_by_config(loaded))}"
            ) from error

    return factory


def _parameters(loaded: Loaded) -> list[inspect.Parameter]:
    value, is_class = loaded.value, inspect.isclass(loaded.value)
    if not callable(value):
        raise FactoryError(
            f"{loaded.name} is a {type(value).__name__}; it must be a class, or a function that "
            f"makes a model from the size of a vocabulary"
        )
    if not is_class and hasattr(value, "forward"):
        raise FactoryError(
            f"{loaded.name} is a model that is made already, and the checks make their own. Name "
            f"its class: {command(loaded.place, type(value).__name__)}"
        )
    try:
        return list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError) as error:
        raise FactoryError(
            f"{loaded.name} does not say which arguments it takes: {error}"
        ) from error


def _size_parameter(
    loaded: Loaded, parameters: list[inspect.Parameter]
) -> inspect.Parameter | None:
    """Find the argument that takes the size of the vocabulary, if there is one."""
    open_ended = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    given = [each for each in parameters if each.kind not in open_ended]
    required = [each for each in given if each.default is inspect.Parameter.empty]
    sized = [each for each in given if each.name.lower() in SIZE_NAMES]
    if not required:
        return sized[0] if sized else None
    names = ", ".join(each.name for each in required)
    if len(required) > 1 or (sized and required[0] not in sized):
        raise FactoryError(
            f"{loaded.name} must be given {names}, and the checks give the size of the vocabulary "
            f"alone. {_advice(loaded, *_by_arguments(loaded, required))}"
        )
    name = names.lower()
    if name in CONFIG_NAMES or name.endswith(CONFIG_ENDINGS):
        raise FactoryError(
            f"{loaded.name} takes an object of settings, {names}, and the checks give the size of "
            f"the vocabulary alone. {_advice(loaded, *_by_config(loaded))}"
        )
    return required[0]


def _advice(loaded: Loaded, *body: str) -> str:
    """Say how to write a factory, and what to type then."""
    factory = "make" if "make" not in loaded.names else f"make_{loaded.name.lower()}"
    lines = [f"def {factory}({SIZE}):", *(f"    {line}" for line in body)]
    where = "at the end of"
    if loaded.path is not None and loaded.path.suffix == ".ipynb":
        where = "as the last cell of"
    code = "\n".join(f"    {line}" for line in lines)
    return (
        f"Write a factory {where} {loaded.path or 'the module'}:\n\n{code}\n\n"
        f"and run: {command(loaded.place, factory)}"
    )


def command(place: str, name: str) -> str:
    """Return the command that checks a name of a file or a module."""
    return f"bigram check {shlex.quote(f'{place}:{name}')}"


def _by_config(loaded: Loaded) -> list[str]:
    """Guess how the settings are made: by the file's own class for them, if there is one."""
    names = (name for name in loaded.names if name.lower().endswith(("config", "args")))
    config = next((name for name in names if name[0].isupper()), "Config")
    return [
        f"config = {config}({SIZE}={SIZE})  # as your script makes it",
        f"return {loaded.name}(config)",
    ]


def _by_arguments(loaded: Loaded, required: list[inspect.Parameter]) -> list[str]:
    arguments = ", ".join(
        f"{each.name}={SIZE if each.name.lower() in SIZE_NAMES else '...'}" for each in required
    )
    return [f"return {loaded.name}({arguments})  # fill in the rest"]


def _by_global(loaded: Loaded) -> list[str]:
    """Guess which global the class sizes its table by: a number that it reads."""
    numbers = sorted(
        name
        for name in _global_reads(loaded.value, loaded.namespace)
        if isinstance(loaded.namespace.get(name), int) and not keyword.iskeyword(name)
    )
    name = numbers[0] if len(numbers) == 1 else "n"
    return [
        f"global {name}  # whatever {loaded.name} sizes its table by",
        f"{name} = {SIZE}",
        f"return {loaded.name}()",
    ]


def _global_reads(value: object, namespace: dict[str, object]) -> set[str]:
    """Find the globals of a namespace that a class or a function reads, by way of others too."""
    names: set[str] = set()
    seen: set[int] = set()
    todo = [value]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, functools.partial):
            todo.append(each.func)
        elif inspect.isclass(each):
            todo += each.__bases__
            todo += [inspect.unwrap(part) for part in _functions(each)]
        elif callable(each):
            function = inspect.unwrap(each)
            if isinstance(function, FunctionType) and function.__globals__ is namespace:
                read = set(_globals_in(function.__code__))
                todo += [namespace[name] for name in read - names if name in namespace]
                names |= read
    return names


def _functions(owner: type) -> Iterator[FunctionType]:
    for part in vars(owner).values():
        for function in (part, *(getattr(part, name, None) for name in ("__func__", "fget"))):
            if isinstance(function, FunctionType):
                yield function


def _globals_in(code: CodeType) -> Iterator[str]:
    """Read them off the bytecode: `co_names` holds attributes too."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_in(constant)
