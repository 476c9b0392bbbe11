"""What one top-level statement reads, binds and changes, before any of it has run.

What runs with the statement itself is kept apart from what runs only when a function in it is
called: a class is defined without the globals that its methods read. Scopes are the compiler's own
(`symtable`), so a method's locals or a comprehension's variable are never taken for globals.
"""

import ast
import symtable
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reference.conformance.loading.cells import Statement

COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}

FUTURE = "from __future__ import annotations\n"

CONSTANT = (
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.UnaryOp,
    ast.BinOp,
    ast.operator,
    ast.unaryop,
    ast.expr_context,
)
"""What an expression is made of that costs nothing and cannot fail for want of something."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True, eq=False)
class Uses:
    """What some code does with global names."""

    reads: set[str]
    binds: set[str]
    changes: set[str]
    """Names of objects that are changed in place."""
    calls: set[str]
    trains: bool
    """A `.backward()` stands in it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Facts:
    """What a statement does with global names, and of which kind it is."""

    now: Uses
    """What happens when it runs."""
    late: Uses
    """What happens when a function in it is called. Its changes, calls and training include those
    that happen when the statement runs."""
    part_of: str | None
    """In `group = parser.add_group()`, the parser: who changes the one may change the other."""
    is_function: bool
    """A `def`: its late calls are what calling it does."""
    is_definition: bool
    """A `def` or a `class`: what its name stood for before is gone."""
    is_constant: bool
    """Names bound to constants, such as `block_size = 8`."""
    is_guard: bool
    """An `if __name__ == "__main__"`."""
    is_kept: bool
    """What reaches further than its names tell: a star import, a change of `sys.path`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """What reading one statement takes to know of the others."""

    imported: frozenset[str]
    """Names of imports: `plt.show()` changes nothing that is wanted, `stoi.clear()` does."""
    changers: frozenset[str]
    """The file's own functions that change an argument, as `def fill(stoi, chars)` may."""
    futures: frozenset[str]
    """What the file imports from `__future__`, which holds for each of its statements."""

    @property
    def postponed(self) -> bool:
        """Whether annotations are not evaluated in this file."""
        return "annotations" in self.futures


def outline_of(nodes: Sequence[ast.stmt]) -> Outline:
    """Look over a file's statements."""
    imports = [
        each
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, (ast.Import, ast.ImportFrom))
    ]
    names = {(alias.asname or alias.name).split(".")[0] for each in imports for alias in each.names}
    functions = [node for node in nodes if isinstance(node, Function)]
    changers = {
        function.name
        for function in functions
        if _changed(ast.walk(function), frozenset(), frozenset())
        & {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    }
    futures = {
        alias.name
        for each in imports
        if isinstance(each, ast.ImportFrom) and each.module == "__future__"
        for alias in each.names
    }
    return Outline(
        imported=frozenset(names), changers=frozenset(changers), futures=frozenset(futures)
    )


def facts_of(statement: Statement, outline: Outline) -> Facts:
    """Read one statement.

    Raises: SyntaxError.
    """
    node = statement.node
    source = FUTURE + statement.source if outline.postponed else statement.source
    top = symtable.symtable(source, statement.where, "exec")
    scopes = list(_scopes(top, late=False))
    now = _uses([table for table, late in scopes if not late], list(_running(node)), outline)
    late = _uses([table for table, late in scopes if late], list(ast.walk(node)), outline)
    late.changes.intersection_update(late.reads)
    if isinstance(node, ast.Delete):  # nothing has to go for the sake of something wanted
        now.binds.clear()
    if outline.postponed:
        now.binds.discard("annotations")
    return Facts(
        now=now,
        late=late,
        part_of=_part_of(node, outline.imported),
        is_function=isinstance(node, Function),
        is_definition=isinstance(node, (Function, ast.ClassDef)),
        is_constant=_is_constant(node),
        is_guard=isinstance(node, ast.If)
        and any(
            isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test)
        ),
        is_kept=_is_kept(node),
    )


def _uses(tables: list[symtable.SymbolTable], nodes: list[ast.AST], outline: Outline) -> Uses:
    symbols = [(table, symbol) for table in tables for symbol in table.get_symbols()]
    reads = {symbol.get_name() for table, symbol in symbols if _reads_global(table, symbol)}
    binds = {symbol.get_name() for table, symbol in symbols if _binds_global(table, symbol)}
    added = {  # `x += 1` reads x, which the compiler's table does not say
        each.target.id
        for each in nodes
        if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name)
    }
    called = [each.func for each in nodes if isinstance(each, ast.Call)]
    return Uses(
        reads=reads | (added & binds),
        binds=binds,
        changes=_changed(nodes, outline.imported, outline.changers),
        calls={each.id for each in called if isinstance(each, ast.Name)},
        trains=any(isinstance(each, ast.Attribute) and each.attr == "backward" for each in called),
    )


def _scopes(
    table: symtable.SymbolTable, *, late: bool
) -> Iterator[tuple[symtable.SymbolTable, bool]]:
    """Yield every scope in a statement, and whether it runs only when something is called."""
    yield table, late
    for child in table.get_children():
        # A comprehension is a function to the compiler. Its own kind of argument tells it apart.
        runs = child.get_name() in COMPREHENSIONS and ".0" in child.get_identifiers()
        is_function = isinstance(child, symtable.Function)
        yield from _scopes(child, late=late or (is_function and not runs))


def _reads_global(table: symtable.SymbolTable, symbol: symtable.Symbol) -> bool:
    if not symbol.is_referenced():
        return False
    if table.get_type() == "class" and symbol.is_local():
        return True  # in `size = size`, the right one is the global
    return table.get_type() == "module" or symbol.is_global()


def _binds_global(table: symtable.SymbolTable, symbol: symtable.Symbol) -> bool:
    if not (symbol.is_assigned() or symbol.is_imported()):
        return False
    return table.get_type() == "module" or symbol.is_declared_global()


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what runs with a statement: not the bodies of functions, but their defaults."""
    yield node
    if isinstance(node, (Function, ast.Lambda)):
        parts: list[ast.AST] = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        parts += [] if isinstance(node, ast.Lambda) else node.decorator_list
    else:
        parts = list(ast.iter_child_nodes(node))
    for part in parts:
        yield from _running(part)


def _root(node: ast.expr) -> str | None:
    """Find the name that `parser.add_group("x").options[0]` starts from.

    None where that is a call, as in `Model().part`: its result is a new object.
    """
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return None
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def _part_of(node: ast.stmt, imported: frozenset[str]) -> str | None:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        root = _root(node.value)
        return root if root not in imported else None
    return None


def _changed(
    nodes: Iterable[ast.AST], imported: frozenset[str], changers: frozenset[str]
) -> set[str]:
    """Find the names of objects that are changed in place."""
    changed: set[str | None] = set()
    for node in nodes:
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            changed.add(_root(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            changed |= _changed_by(node.value, imported, changers)
    return {name for name in changed if name is not None}


def _changed_by(
    call: ast.Call, imported: frozenset[str], changers: frozenset[str]
) -> set[str | None]:
    """Find what a call changes whose result nobody wants: `words.append(w)`, `shuffle(words)`."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    changed: set[str | None] = set()
    if isinstance(function, ast.Attribute):
        changed |= {_root(function)} - imported
    if name in {"setattr", "delattr", "shuffle"} or name.endswith("_"):
        changed |= {_root(argument) for argument in call.args[:1]}
    if isinstance(function, ast.Name) and name in changers:
        changed |= {_root(argument) for argument in call.args}
        changed |= {_root(keyword.value) for keyword in call.keywords}
    return changed


def _is_constant(node: ast.stmt) -> bool:
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = (ast.Name, ast.Tuple, ast.List, ast.expr_context)
    return all(isinstance(each, CONSTANT) for each in ast.walk(node.value)) and all(
        isinstance(each, names) for target in targets for each in ast.walk(target)
    )


def _is_kept(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.names[0].name == "*"
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith("sys.path.")
