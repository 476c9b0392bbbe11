"""Which names of a file may be meant, where the target gives none or one that is not there."""

import ast
import difflib
from collections.abc import Mapping, Sequence

from reference.conformance.loading.cells import Script
from reference.conformance.loading.errors import LoadError
from reference.conformance.loading.factory import command


def models_in(script: Script) -> dict[str, str]:
    """Find the classes that look like models, and where: first those that generate, then others."""
    models: dict[str, tuple[bool, str]] = {}
    for statement in script.statements:
        for node in _outer_classes(statement.node):
            bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            is_module = any(base.endswith("Module") or base in models for base in bases)
            if is_module or "forward" in methods:
                cell = statement.where.rpartition("line ")[0]
                models[node.name] = ("generate" not in methods, f"{cell}line {node.lineno}")
    return {name: models[name][1] for name in sorted(models, key=lambda name: models[name][0])}


def no_name(place: str, models: Mapping[str, str]) -> LoadError:
    """Say that the target names nothing in the file, and what it may name."""
    if not models:
        return LoadError(
            f"{place} has no class that looks like a model; say which class or function to check, "
            f"as in: {command(place, 'Name')}"
        )
    first = next(iter(models))
    return LoadError(
        f"say which class or function of {place} to check. {_listed(models)} "
        f"For the first, run: {command(place, first)}"
    )


def unknown_name(
    place: str, name: str, known: Sequence[str], models: Mapping[str, str]
) -> LoadError:
    """Say that a name is not there, and which are like it."""
    near = difflib.get_close_matches(name, known, n=3)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    listed = f" {_listed(models)}" if models else ""
    return LoadError(f"{place} has no {name!r} at its top level.{meant}{listed}")


def _outer_classes(node: ast.AST) -> list[ast.ClassDef]:
    """Return the classes that a statement binds: not those inside functions or other classes."""
    if isinstance(node, ast.ClassDef):
        return [node]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    return [each for child in ast.iter_child_nodes(node) for each in _outer_classes(child)]


def _listed(models: Mapping[str, str]) -> str:
    listed = ", ".join(f"{name} ({where})" for name, where in models.items())
    return f"What looks like a model: {listed}."
