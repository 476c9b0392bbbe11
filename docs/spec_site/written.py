"""The package as it is written: names, signatures and docstrings from the source itself.

At run time a type such as `Ids` is already `Int64[Tensor, "B T"]`, and an overloaded method of a
protocol is nothing at all. The source still has the words that a reader knows.
"""

import ast
import inspect
import sys
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, TypeGuard

PACKAGE = "reference."

LONGEST_DEFAULT = 30
"""Characters of a default value that is shown; the notes' figures are longer."""

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True, kw_only=True)
class Name:
    """One name that a module defines, and its docstring where it has one."""

    name: str
    """Dotted, within the module: `Corpus.split`."""
    node: Definition
    doc: str | None
    public: bool


@cache
def names_of(module: str) -> dict[str, Name]:
    """Give every name that a module defines, with the methods of its classes, in order.

    Of an overloaded function, the last definition is the one that counts; in a protocol, where all
    are overloads, they are merged.
    """
    found: dict[str, Name] = {}
    _collect(ast.parse(inspect.getsource(import_module(module))).body, "", found, public=True)
    return found


def _collect(body: list[ast.stmt], prefix: str, found: dict[str, Name], *, public: bool) -> None:
    for place, node in enumerate(body):
        if not isinstance(node, Definition) or (name := _name_of(node)) is None:
            continue
        seen = public and not name.startswith("_")
        doc = _doc_of(node, body[place + 1 : place + 2])
        before = found.get(prefix + name)
        if before is not None and is_overload(node) and isinstance(before.node, ast.FunctionDef):
            node = _merged(before.node, node)  # noqa: PLW2901  both are one definition
        found[prefix + name] = Name(name=prefix + name, node=node, doc=doc, public=seen)
        if isinstance(node, ast.ClassDef):
            _collect(node.body, f"{prefix}{name}.", found, public=seen)


def is_overload(node: Definition) -> TypeGuard[ast.FunctionDef]:
    """Tell whether a definition is one of several."""
    return isinstance(node, ast.FunctionDef) and "overload" in map(ast.unparse, node.decorator_list)


def _merged(first: ast.FunctionDef, second: ast.FunctionDef) -> ast.FunctionDef:
    merged = deepcopy(second)
    for argument, other in zip(merged.args.args, first.args.args, strict=True):
        argument.annotation = _either(argument.annotation, other.annotation)
    merged.args.defaults = second.args.defaults or first.args.defaults
    merged.returns = _either(first.returns, second.returns)
    return merged


def _either(one: ast.expr | None, other: ast.expr | None) -> ast.expr | None:
    if one is None or other is None or ast.unparse(one) == ast.unparse(other):
        return one
    return ast.BinOp(one, ast.BitOr(), other)


def _name_of(node: Definition) -> str | None:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return target.id if isinstance(target, ast.Name) else None


def _doc_of(node: Definition, following: list[ast.stmt]) -> str | None:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return ast.get_docstring(node)
    match following:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return inspect.cleandoc(text)
    return None


def is_type_variable(name: Name) -> bool:
    """Tell whether a name is a type variable: part of the signatures, and nothing by itself."""
    value = name.node.value if isinstance(name.node, (ast.Assign, ast.AnnAssign)) else None
    return isinstance(value, ast.Call) and ast.unparse(value.func) in {"TypeVar", "ParamSpec"}


def is_plain_field(name: Name) -> bool:
    """Tell whether a name is a field of which its class's signature and docstring say all."""
    return "." in name.name and isinstance(name.node, (ast.Assign, ast.AnnAssign)) and not name.doc


def repeats(module: str, name: Name) -> bool:
    """Tell whether a method only does its part of what the same method of a base class says.

    Such a method has one sentence; what holds for all of them is said once, at the base class.
    """
    owner, _, method = name.name.rpartition(".")
    if not owner or not isinstance(name.node, ast.FunctionDef) or "\n" in (name.doc or ""):
        return False
    bases = getattr(import_module(module), owner).__mro__[1:]
    return any(
        f"{base.__name__}.{method}" in names_of(base.__module__)
        for base in bases
        if base.__module__.startswith(PACKAGE)
    )


def signature_of(obj: object, aliases: dict[str, str]) -> tuple[str, str] | None:
    """Give arguments and result as they are written; None where nothing is written of them.

    Names of types become `~module.Name`, which Sphinx shows as Name and links.
    """
    if isinstance(obj, type):
        return _class_arguments(obj, aliases), ""
    target = inspect.unwrap(obj) if callable(obj) else None
    target = getattr(target, "__func__", target)
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "")
    if module is None or not module.startswith(PACKAGE):
        return None
    return function_signature(module, name, aliases)


def function_signature(module: str, name: str, aliases: dict[str, str]) -> tuple[str, str] | None:
    """Give arguments and result of a function or method by its name."""
    node = names_of(module)[name].node if name in names_of(module) else None
    if not isinstance(node, ast.FunctionDef):
        return None
    bound = "." in name and "staticmethod" not in map(ast.unparse, node.decorator_list)
    result = "" if node.returns is None else _qualified(node.returns, module, aliases)
    return _arguments(node, module, aliases, bound=bound), result


def _class_arguments(cls: type, aliases: dict[str, str]) -> str:
    if issubclass(cls, Enum):
        return ""
    if is_dataclass(cls):
        made = [one for one in fields(cls) if one.init]
        star = [("*", "", "")] if any(one.kw_only for one in made) else []
        return _join([*star, *(_field(cls, one.name, aliases) for one in made)])
    if issubclass(cls, tuple):
        return _join([_field(cls, name, aliases) for name in cls.__annotations__])
    for base in cls.__mro__:
        if base.__module__.startswith(PACKAGE):
            init = names_of(base.__module__).get(f"{base.__name__}.__init__")
            if init is not None and isinstance(init.node, ast.FunctionDef):
                return _arguments(init.node, base.__module__, aliases, bound=True)
    return ""


def _field(cls: type, name: str, aliases: dict[str, str]) -> tuple[str, str, str]:
    for base in cls.__mro__:
        found = names_of(base.__module__).get(f"{base.__name__}.{name}")
        if found is not None and isinstance(found.node, ast.AnnAssign):
            kind = _qualified(found.node.annotation, base.__module__, aliases)
            return name, kind, _default(found.node.value, base.__module__)
    raise LookupError(f"{cls.__name__}.{name} is written nowhere")


def _arguments(node: ast.FunctionDef, module: str, aliases: dict[str, str], *, bound: bool) -> str:
    given = node.args
    positional = given.posonlyargs + given.args
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    parts = [
        _argument(one, default, module, aliases)
        for one, default in zip(positional, [*defaults, *given.defaults], strict=True)
    ][bound:]
    if given.vararg:
        parts.append(_argument(given.vararg, None, module, aliases, stars="*"))
    elif given.kwonlyargs:
        parts.append(("*", "", ""))
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        parts.append(_argument(one, default, module, aliases))
    if given.kwarg:
        parts.append(_argument(given.kwarg, None, module, aliases, stars="**"))
    return _join(parts)


def _argument(
    argument: ast.arg,
    default: ast.expr | None,
    module: str,
    aliases: dict[str, str],
    *,
    stars: str = "",
) -> tuple[str, str, str]:
    kind = "" if argument.annotation is None else _qualified(argument.annotation, module, aliases)
    return stars + argument.arg, kind, _default(default, module)


def _join(parts: list[tuple[str, str, str]]) -> str:
    written = []
    for name, kind, default in parts:
        text = f"{name}: {kind}" if kind else name
        written.append(f"{text} = {default}" if default else text)
    return f"({', '.join(written)})"


def _default(node: ast.expr | None, module: str) -> str:
    if node is None:
        return ""
    if isinstance(node, ast.Name):  # a constant of ours: its value says more
        text = repr(getattr(sys.modules[module], node.id))
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "field":
        given = {one.arg: one.value for one in node.keywords}
        text = ast.unparse(given["default"]) if "default" in given else "..."
    else:
        text = ast.unparse(node)
    return text if len(text) <= LONGEST_DEFAULT else "..."


def _qualified(node: ast.expr, module: str, aliases: dict[str, str]) -> str:
    return ast.unparse(_Qualifier(import_module(module), aliases).visit(deepcopy(node)))


class _Qualifier(ast.NodeTransformer):
    """Puts the module before every name of a type that is not built in."""

    def __init__(self, module: ModuleType, aliases: dict[str, str]) -> None:
        self.module = module
        self.aliases = aliases

    def visit_Name(self, node: ast.Name) -> ast.expr:
        home = self.aliases.get(node.id)
        if home is None or not hasattr(self.module, node.id):
            home = home_of(getattr(self.module, node.id, None))
        if home is None or home.startswith("builtins."):
            return node
        return ast.UnaryOp(ast.Invert(), ast.parse(home, mode="eval").body)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        root, _, rest = ast.unparse(node).partition(".")
        value = getattr(self.module, root, None)
        home = f"{value.__name__}.{rest}" if isinstance(value, ModuleType) else f"{root}.{rest}"
        return ast.UnaryOp(ast.Invert(), ast.parse(home, mode="eval").body)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        shaped = home_of(getattr(self.module, ast.unparse(node.value), None)) or ""
        node.value = self.visit(node.value)
        if shaped.startswith("jaxtyping."):  # its second argument is a shape, and not a type
            assert isinstance(node.slice, ast.Tuple)  # noqa: S101  of what, and the shape
            node.slice.elts[0] = self.visit(node.slice.elts[0])
        else:
            node.slice = self.visit(node.slice)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        found: Any = self.visit(ast.parse(node.value, mode="eval").body)  # a name that comes later
        return found if isinstance(found, ast.expr) else node


def home_of(value: object) -> str | None:
    """Give the dotted name under which a type is defined."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", getattr(value, "_name", None))
    return f"{module}.{name}" if module and name else None
