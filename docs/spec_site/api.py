"""The API reference: what is public, how autodoc shows it, and that nothing of it is missing.

Every module of the package is either public, and then on a page with every name that it defines, or
it is internal, and here is why. A module that is in neither list is a warning.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from operator import attrgetter
from pkgutil import walk_packages
from typing import Any, Final, cast

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

import reference
from spec_site import docstrings
from spec_site.command import CommandDirective, PluginOptionsDirective
from spec_site.written import (
    Name,
    function_signature,
    is_plain_field,
    is_type_variable,
    names_of,
    repeats,
    signature_of,
)

LOG = logging.getLogger(__name__)

PUBLIC: Final = (
    "reference.model",
    "reference.data",
    "reference.training",
    "reference.vocabulary",
    "reference.corpus",
    "reference.tokens.load",
    "reference.tokens.prepare",
    "reference.tokens.folder",
    "reference.tokens.stream",
    "reference.tokens.format",
    "reference.runs.saved_model",
    "reference.runs.checkpoint",
    "reference.runs.distributed",
    "reference.shapes",
    "reference.errors",
    "reference.notes",
    "reference.oracle.counts",
    "reference.oracle.learning",
    "reference.oracle.law",
    "reference.spec.clause",
    "reference.spec.catalogue",
    "reference.spec.errata",
    "reference.spec.cases",
    "reference.spec.histories",
    "reference.spec.expect",
    "reference.spec.subject",
    "reference.spec.randomness",
    "reference.conformance.verdicts",
    "reference.conformance.errors",
    "reference.conformance.vectors.errors",
)
"""Modules of which every name is public, and documented where it is defined."""

FACES: Final = (
    "reference",
    "reference.oracle",
    "reference.spec",
    "reference.fast",
    "reference.conformance",
)
"""Packages that offer names of their modules as theirs, in `__all__`."""

ALSO: Final = (
    "reference.fast.fitting.Smoothing",
    "reference.fast.fitting.Tokens",
    "reference.conformance.subjects.build.Factory",
    "reference.conformance.subjects.parts.PartError",
    "reference.conformance.subjects.parts.Parts",
    "reference.conformance.parametrize.ClauseTest",
    "reference.conformance.reports.report_json.ReportError",
    "reference.conformance.reports.report_json.from_json",
    "reference.conformance.reports.report_json.to_json",
)
"""Names of internal modules that stand in the signatures of public ones, or go with them."""

HANDED_OUT: Final = ("reference.conformance.parametrize.ClauseTest",)
"""Classes that a reader is given and never makes: how they are made is not shown."""

UNLINKED: Final = [
    # There is no network while the site is built, so no list of what other projects' pages hold.
    (
        r"py:.*",
        r"(torch|numpy|jaxtyping|pytest|_pytest|collections|typing|pathlib|contextlib)\..*",
    ),
    (r"py:class", r"Tensor|ndarray"),  # as jaxtyping writes them inside of a shape
]
"""References that need lead nowhere; one to a name of ours always must."""

INTERNAL: Final = {
    "reference.__main__": "the command, which has a page of its own",
    "reference.checks": "checks of arguments, whose errors each function lists",
    "reference.cli.*": "the command, which has a page of its own",
    "reference.conformance.*": "the kit: what is public of it is offered by reference.conformance",
    "reference.fast.*": "what is public of the engine is offered by reference.fast",
    "reference.files.*": "how files are read and written",
    "reference.runs.*": "what `bigram train` does while it trains",
    "reference.spec.*": "clauses, which have pages of their own, and what their checks share",
    "reference.terminal.*": "how text is shown on the terminal",
    "reference.tinyshakespeare.*": "reached by load_corpus",
    "reference.tokens.*": "how `prepare` writes what load_corpus reads",
    "reference.walkthrough.*": "what `bigram walkthrough` shows",
}
"""Modules that are nobody's to import, and why; `.*` stands for what is not public of a package."""


def offered(face: str) -> tuple[str, ...]:
    """Give the names in a package's `__all__`, if it has one."""
    names: tuple[str, ...] = tuple(getattr(import_module(face), "__all__", ()))
    return names


def home(face: str, name: str) -> str:
    """Give the full name under which something that a package offers is defined."""
    value = getattr(import_module(face), name)
    return f"{value.__module__}.{value.__qualname__}"


def documented() -> Iterator[tuple[str, Name]]:
    """Give every name that has to have a place in the reference, with its module."""
    for module in PUBLIC:
        for name in names_of(module).values():
            told_elsewhere = is_type_variable(name) or is_plain_field(name) or repeats(module, name)
            if name.public and not told_elsewhere:
                yield module, name
    for full in ALSO:
        module, _, short = full.rpartition(".")
        yield module, names_of(module)[short]


@cache
def aliases() -> dict[str, str]:
    """Give the full name of each type that is an assignment, by its short one."""
    return {
        name.name: f"{module}.{name.name}"
        for module, name in documented()
        if isinstance(name.node, (ast.Assign, ast.AnnAssign)) and "." not in name.name
    }


@cache
def errors() -> dict[str, str]:
    """Give the full name of each exception, by its short one."""
    return {
        name.name: f"{module}.{name.name}"
        for module, name in documented()
        if isinstance(name.node, ast.ClassDef) and is_exception(module, name.name)
    }


def is_exception(module: str, name: str) -> bool:
    """Tell whether a class can be raised."""
    return issubclass(getattr(import_module(module), name), BaseException)


def write_signature(
    _app: Sphinx,
    what: str,
    name: str,
    obj: object,
    _options: Any,  # noqa: ANN401  autodoc's, which has no public type
    args: str | None,
    _result: str | None,
) -> tuple[str, str] | None:
    """Show a signature as it is written; attributes stay as autodoc has them."""
    if args is None or what not in {"class", "exception", "function", "method"}:
        return None  # there is no place for one: an exception without arguments of its own
    if name in HANDED_OUT:
        return "", ""
    if is_overload_dummy(obj):
        module, owner, method = name.rsplit(".", maxsplit=2)
        return function_signature(module, f"{owner}.{method}", aliases())
    return signature_of(obj, aliases())


def write_docstring(
    _app: Sphinx,
    _what: str,
    name: str,
    obj: object,
    _options: Any,  # noqa: ANN401  autodoc's, which has no public type
    lines: list[str],
) -> None:
    """Turn a docstring into reStructuredText."""
    if is_overload_dummy(obj):
        lines[:] = doc_of(name).splitlines()
    lines[:] = docstrings.to_rst(lines, errors())
    if (meaning := meaning_of(name)) is not None:
        lines += ["", f":Stands for: ``{meaning}``", ""]


def meaning_of(full: str) -> str | None:
    """Give the type that a name stands for, if it is a name for a type."""
    module, _, short = full.rpartition(".")
    if aliases().get(short) != full:
        return None
    node = names_of(module)[short].node
    assert isinstance(node, (ast.Assign, ast.AnnAssign))  # noqa: S101  as all of them are
    is_type = isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias"
    is_subscript = isinstance(node.value, ast.Subscript)
    return ast.unparse(node.value) if node.value and (is_type or is_subscript) else None


def is_overload_dummy(obj: object) -> bool:
    """Tell a protocol's overloaded method, of which nothing else is left at run time."""
    return getattr(obj, "__qualname__", "") == "_overload_dummy"


def doc_of(full: str) -> str:
    """Give the docstring of a method, from where it is written."""
    module, owner, method = full.rsplit(".", maxsplit=2)
    return names_of(module)[f"{owner}.{method}"].doc or ""


def skip_repetition(
    _app: Sphinx,
    _what: str,
    _name: str,
    obj: object,
    skip: bool,  # noqa: FBT001  autodoc's own
    _options: Any,  # noqa: ANN401  autodoc's, which has no public type
) -> bool | None:
    """Leave out what says no more than its class, or than the method that it overrides."""
    module, full = getattr(obj, "__module__", ""), getattr(obj, "__qualname__", "")
    if str(getattr(obj, "__doc__", "")).startswith("Alias for field number"):
        return True  # of a NamedTuple, whose signature and docstring say all
    if skip or not callable(obj) or module not in PUBLIC or full not in names_of(module):
        return None
    return repeats(module, names_of(module)[full]) or None


def leave_unlinked(_app: Sphinx, config: Config) -> None:
    """Add to the references that may lead nowhere: other projects' names, and type variables."""
    variables = [
        (r"py:class", name.name)
        for module in PUBLIC
        for name in names_of(module).values()
        if is_type_variable(name)
    ]
    config.nitpick_ignore_regex = [*config.nitpick_ignore_regex, *UNLINKED, *variables]


def python_domain(env: BuildEnvironment) -> PythonDomain:
    """Give the domain that holds what is documented."""
    return cast("PythonDomain", env.get_domain("py"))


def link_offered(_app: Sphinx, env: BuildEnvironment) -> None:
    """Let what a package offers be found under both of its names: reference.train too."""
    domain = python_domain(env)
    for face in FACES:
        for name in offered(face):
            names = (f"{face}.{name}", home(face, name))
            place = next((domain.objects[one] for one in names if one in domain.objects), None)
            for one in names:
                if place is not None and one not in domain.objects:
                    domain.objects[one] = place._replace(aliased=True)


def check_complete(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of what is public and not documented, and of modules that are on no list."""
    objects = python_domain(env).objects
    for module, name in documented():
        if f"{module}.{name.name}" not in objects:
            LOG.warning("%s.%s is public, and on no page of the API", module, name.name)
        if not name.doc:
            LOG.warning("%s.%s is public, and has no docstring", module, name.name)
    for face in FACES:
        for short in offered(face):
            if f"{face}.{short}" not in objects:
                LOG.warning("%s offers %s, which is on no page of the API", face, short)
            module, _, own = home(face, short).rpartition(".")
            if not names_of(module)[own].doc:
                LOG.warning("%s offers %s, which has no docstring", face, short)
    for problem in unlisted():
        LOG.warning("%s", problem)


def source_of(_app: Sphinx, module: str, attribute: str) -> str | None:
    """Say in which module a name stands: for a constant, its type would be asked, and not it."""
    try:
        value = attrgetter(attribute)(import_module(module))
    except (ImportError, AttributeError):
        return module
    written_in = getattr(value, "__module__", None)
    return written_in if str(written_in).startswith("reference.") else module


def unlisted() -> Iterator[str]:
    """Say which modules are neither public nor internal, and which entries name no module."""
    modules = {found.name for found in walk_packages(reference.__path__, "reference.")}
    modules.add("reference")
    public = {*PUBLIC, *FACES}
    listed = set(public)
    for entry in INTERNAL:
        package, star, _ = entry.partition(".*")
        of_entry = {one for one in modules if one == package or (star and inside(one, package))}
        listed |= of_entry
        if not of_entry - public:
            yield f"spec_site.api: INTERNAL names {entry}, which there is not"
    for module in sorted(modules - listed):
        yield f"{module} is neither public nor internal: say which in spec_site.api"
    for module in sorted(public - modules):
        yield f"spec_site.api lists {module}, which there is not"


def inside(module: str, package: str) -> bool:
    """Tell whether a module is part of a package."""
    return module.startswith(f"{package}.")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect to autodoc, and check the reference when all pages have been read."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.viewcode")
    app.add_directive("command", CommandDirective)
    app.add_directive("plugin-options", PluginOptionsDirective)
    app.connect("config-inited", leave_unlinked)
    app.connect("autodoc-process-signature", write_signature)
    app.connect("autodoc-process-docstring", write_docstring)
    app.connect("autodoc-skip-member", skip_repetition)
    app.connect("viewcode-follow-imported", source_of)
    app.connect("env-updated", link_offered)
    app.connect("env-check-consistency", check_complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
