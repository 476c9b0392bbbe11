"""Code with every expression wrapped, so that one of them can be made wrong at run time.

Each expression becomes `__site__(number, expression)`, which returns its value: as it is, or, at
the one site that is chosen, as an operator changes it. The code is otherwise the same.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from operators import CONDITIONS, Call, Memory, apply, kind_of, operator_of
from torch import Tensor, nn


@dataclass(frozen=True)
class Site:
    """One expression."""

    file: str
    function: str
    line: int
    text: str

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.file}:{self.line} {self.function}: {self.text}"

    @property
    def place(self) -> str:
        """What it is called in any version of the file."""
        return f"{self.file} {self.function}: {self.text}"


@dataclass(frozen=True, order=True)
class Fault:
    """One expression, what is made of its value, and when."""

    site: int
    kind: str
    operator: str
    condition: str


@dataclass
class Visits:
    """What was seen of the values of one kind at one site."""

    held: "Counter[frozenset[str]]" = field(default_factory=Counter)
    """The visits by the conditions that held."""
    numbers: dict[int, None] | None = field(default_factory=dict)
    """The values, in order; None if one was a tensor, or if they are many."""

    def add(self, value: Any, call: Call) -> None:
        """Record one visit."""
        self.held[call.held] += 1
        if self.numbers is not None and type(value) is int:
            self.numbers[value] = None
        if type(value) is not int or len(self.numbers or ()) > MOST_NUMBERS:
            self.numbers = None

    @property
    def now_and_then(self) -> list[str]:
        """The conditions that held at some visits, and not at others."""
        every = frozenset.intersection(*self.held)
        return sorted(frozenset.union(*self.held) - every)


MOST_NUMBERS = 16
"""Values of a site that are kept."""


@dataclass
class State:
    """What is done and seen at sites now."""

    fault: Fault | None = None
    memory: Memory = field(default_factory=Memory)
    seen: dict[tuple[int, str], Visits] | None = None
    """What is seen at each site, by the kind of its values, if it is collected."""
    applied: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    numbers: "WeakKeyDictionary[Any, dict[str, int]]" = field(default_factory=WeakKeyDictionary)
    free: "Counter[str]" = field(default_factory=Counter)
    """Calls so far of each function that is not a method."""


SITES: list[Site] = []
STATE = State()


@contextmanager
def watching() -> Iterator[dict[tuple[int, str], Visits]]:
    """Collect what is seen at the sites that are reached."""
    STATE.seen = {}
    _begin()
    try:
        yield STATE.seen
    finally:
        STATE.seen = None


@contextmanager
def faulty(fault: Fault | None) -> Iterator[State]:
    """Apply one fault."""
    STATE.fault = fault
    _begin()
    try:
        yield STATE
    finally:
        STATE.fault = None


def _begin() -> None:
    STATE.memory, STATE.applied = Memory(), 0
    STATE.calls, STATE.numbers, STATE.free = {}, WeakKeyDictionary(), Counter()


def at_site(number: int, value: Any) -> Any:
    """Return the value, or what the fault makes of it."""
    fault = STATE.fault
    if STATE.seen is not None:
        kind = kind_of(value)
        if kind:
            call = STATE.calls.get(SITES[number].function, Call())
            STATE.seen.setdefault((number, kind), Visits()).add(value, call)
    if fault is None or fault.site != number or kind_of(value) != fault.kind:
        return value
    call = STATE.calls.get(SITES[number].function, Call())
    if not CONDITIONS[fault.condition](call):
        return value
    STATE.applied += 1
    return apply(operator_of(fault.kind, fault.operator), value, STATE.memory)


def at_call(function: str, arguments: dict[str, Any]) -> None:
    """Record how a function is called."""
    if STATE.fault is None and STATE.seen is None:
        return
    owner = arguments.get("self")
    tensors = [one for one in arguments.values() if isinstance(one, Tensor)]
    idx = next((one for one in tensors if one.ndim == 2), None)
    counts = [one for one in arguments.values() if type(one) is int]
    B, T = (None, None) if idx is None else tuple(idx.shape)
    if idx is None and len(counts) == 2:
        T, B = counts
    C = _size(owner)
    if idx is not None and idx.is_floating_point():
        T, C, idx = None, idx.shape[1], None
    STATE.calls[function] = Call(
        number=_number(function, owner),
        B=B,
        T=T,
        C=C,
        training=getattr(owner, "training", None),
        has_targets=arguments["targets"] is not None if "targets" in arguments else None,
        repeats=idx is not None and _repeats(idx),
        ends_in_last=idx is not None and C is not None and _ends_in(idx, C - 1),
    )


def _number(function: str, owner: object) -> int:
    """Count the calls of a function, those of a method for each object."""
    if owner is None:
        STATE.free[function] += 1
        return STATE.free[function]
    try:
        numbers = STATE.numbers.setdefault(owner, {})
    except TypeError:  # no weak references, or no hash
        return 1
    numbers[function] = numbers.get(function, 0) + 1
    return numbers[function]


def _ends_in(idx: Tensor, token: int) -> bool:
    return idx.numel() > 0 and bool((idx[:, -1] == token).any())


def _repeats(idx: Tensor) -> bool:
    ordered = idx.sort(dim=1).values
    return bool((ordered[:, 1:] == ordered[:, :-1]).any())


def _size(owner: object) -> int | None:
    """Return C of a model: the rows of its last parameter, which make the scores."""
    if not isinstance(owner, nn.Module) or "_parameters" not in vars(owner):
        return None  # a module that is not initialised has no parameters() yet
    shapes = [one.shape for one in owner.parameters()]
    return shapes[-1][0] if shapes and shapes[-1] else None


class Wrapping(ast.NodeTransformer):
    """Wraps the expressions of functions."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.source = file, source
        self.path: list[str] = []
        self.function = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Wrap what is in methods; decorators, bases and fields stay."""
        self.path.append(node.name)
        node.body = [self._method(one) for one in node.body]
        self.path.pop()
        return node

    def _method(self, node: ast.stmt) -> ast.stmt:
        known = isinstance(node, ast.FunctionDef | ast.ClassDef)
        return self.visit(node) if known else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Wrap the statements of a body, and note the call."""
        outer = self.function
        self.path.append(node.name)
        self.function = f"{self.file}:{'.'.join(self.path)}"
        body = [self.visit(one) for one in node.body if not _is_docstring(one)]
        note = ast.parse(f"__call__({self.function!r}, locals())").body[0]
        node.body = [note, *body]
        self.path.pop()
        self.function = outer
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Leave the annotation."""
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Leave messages."""
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Leave it."""
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leave text."""
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Wrap what a lambda returns."""
        node.body = self.visit(node.body)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Wrap the call, and its arguments, but not what is called."""
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        if not (isinstance(node.func, ast.Name) and node.func.id in {"super", "cast"}):
            node.args = [self.visit(one) for one in node.args]
            for keyword in node.keywords:
                keyword.value = self.visit(keyword.value)
        return self._wrapped(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Wrap what has a value."""
        super().generic_visit(node)
        plain = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp)
        if not isinstance(node, plain):
            return node
        if isinstance(getattr(node, "ctx", ast.Load()), ast.Store | ast.Del):
            return node
        return self._wrapped(node)

    def _wrapped(self, node: ast.expr) -> ast.AST:
        if isinstance(node, ast.Constant) and type(node.value) is not int:
            return node
        if not self.function or not hasattr(node, "lineno"):
            return node
        text = ast.get_source_segment(self.source, node) or ""
        SITES.append(Site(self.file, self.function, node.lineno, " ".join(text.split())))
        site = ast.Call(
            func=ast.Name(id="__site__", ctx=ast.Load()),
            args=[ast.Constant(len(SITES) - 1), node],
            keywords=[],
        )
        return ast.copy_location(site, node)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class Loader(SourceFileLoader):
    """Runs a file with its expressions wrapped."""

    def exec_module(self, module: ModuleType) -> None:
        """Compile and run it."""
        source = Path(self.path).read_text(encoding="utf-8")
        tree = Wrapping(Path(self.path).name, source).visit(ast.parse(source))
        module.__dict__.update({"__site__": at_site, "__call__": at_call})
        exec(compile(ast.fix_missing_locations(tree), self.path, "exec"), module.__dict__)  # noqa: S102  ours


class Finder(MetaPathFinder):
    """Finds files whose modules are to be wrapped."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find one."""
        if name not in self.names:
            return None
        file = self.folder / f"{name}.py"
        return spec_from_file_location(name, file, loader=Loader(name, str(file)))


def wrap(folder: Path, names: Sequence[str]) -> None:
    """Wrap these modules when they are imported."""
    sys.meta_path.insert(0, Finder(folder, names))


def copy_of(name: str, file: Path) -> ModuleType:
    """Run a copy of a module with its expressions wrapped."""
    spec = spec_from_file_location(name, file, loader=Loader(name, str(file)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


torch.set_num_threads(1)
