"""A script of which only the needed statements run, and what became of each of them."""

import __future__

import ast
import builtins
import sys
import types
import zlib
from collections.abc import Collection, Mapping, Sequence

from reference.conformance.loading.cells import Script, shorten
from reference.conformance.loading.environment import as_script
from reference.conformance.loading.errors import LoadError
from reference.conformance.loading.facts import Function
from reference.conformance.loading.slice import Slicer

REASON_LENGTH = 160
"""How much of an exception's text is shown."""


class Run:
    """The statements of a script that some names need, run each by itself."""

    def __init__(self, script: Script) -> None:
        self.script = script
        try:
            self.slicer = Slicer(script.statements)
        except (SyntaxError, RecursionError) as error:
            raise LoadError(f"{script.path}: {error}") from error
        self.module = _module_for(script)
        self.namespace = self.module.__dict__
        futures = [getattr(__future__, name) for name in self.slicer.outline.futures]
        self._flags = sum(future.compiler_flag for future in futures)
        self._wanted: Sequence[str] = ()
        self._chosen: list[int] = []
        self._ran: set[int] = set()
        self._failures: dict[int, Exception | SystemExit] = {}
        self._stand_ins: dict[int, str] = {}

    def run(
        self, wanted: Sequence[str], *, define: Mapping[str, object], supplied: Collection[str]
    ) -> None:
        """Run what the wanted names need; what fails is skipped.

        Raises: LoadError where that leaves a wanted name without
        something that it reads.
        """
        self._wanted = wanted
        self._chosen = self.slicer.needed(wanted, supplied=supplied, defined=define)
        sys.modules[self.module.__name__] = self.module
        self.namespace.update(define)
        path = self.script.path
        with as_script(path.resolve().parent, arguments=[str(path)]):
            for at in self._chosen:
                self._run_one(at, supplied)
                self.namespace.update(define)
        self._check_bound(wanted, supplied)

    def notes(self) -> tuple[str, ...]:
        """Say what did not run, and why."""
        notes = [f"{self._place(at)} {self._fate(at)}." for at in sorted(self._failures)]
        notes += [
            f"{self._place(at)} was run with None for {name}, which is given later."
            for at, name in self._stand_ins.items()
        ]
        for name in self._wanted:
            places = [at for at in self.slicer.binders[name] if self.slicer.facts[at].is_definition]
            if len(places) > 1:
                where = self.script.statements[places[-1]].where
                notes.append(f"{name} is defined {len(places)} times; this is the last, {where}.")
        left = self.slicer.end - len(self._chosen)
        if left:
            notes.append(
                f"{left} of {self.slicer.end} statements at the top level did not run: "
                f"nothing that was asked for needs them."
            )
        return (*self.script.notes, *notes)

    def _run_one(self, at: int, supplied: Collection[str]) -> None:
        statement = self.script.statements[at]
        tree = ast.Module(body=[statement.node], type_ignores=[])
        try:
            code = compile(tree, statement.filename, "exec", self._flags, dont_inherit=True)
            self._execute(at, code, supplied if self.slicer.facts[at].is_definition else ())
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever theirs raises
            self._failures[at] = error
        else:
            self._ran.add(at)

    def _execute(self, at: int, code: types.CodeType, supplied: Collection[str]) -> None:
        """Run a statement, at worst with None for a supplied name that its definition asks for.

        So `def __init__(self, vocab_size=vocab_size)` does not need the text that the default
        comes from: whoever supplies vocab_size gives the argument too.
        """
        try:
            exec(code, self.namespace)  # noqa: S102  what the user asked to be loaded
        except NameError as error:
            if error.name not in supplied:
                raise
            absent = set(supplied) - self.namespace.keys()
            self.namespace.update(dict.fromkeys(absent))
            try:
                exec(code, self.namespace)  # noqa: S102  as above
            except Exception:  # noqa: BLE001  the first error tells more
                raise error from None
            finally:
                for name in absent:
                    if self.namespace.get(name) is None:
                        self.namespace.pop(name, None)
            self._stand_ins[at] = str(error.name)

    def _check_bound(self, wanted: Sequence[str], supplied: Collection[str]) -> None:
        missing = dict.fromkeys(
            self._wanting(name) for name in wanted if name not in self.namespace
        )
        missing |= dict.fromkeys(sorted(self._unbound(wanted) - set(supplied)))
        if not missing:
            return
        lines = [f"- {name}: {self._why(name)}" for name in missing]
        if any(not self.slicer.binders[name] for name in missing):
            lines += [f"- {note}" for note in self.script.notes]
        by_hand = (f"--define {name}={'None' if self._is_code(name) else 8}" for name in missing)
        lines.append(f"Or supply them, with values of your own: {' '.join(by_hand)}")
        names = "a global name" if len(missing) == 1 else "global names"
        listed = "\n".join(lines)
        raise LoadError(
            f"{wanted[0]} in {self.script.path} reads {names} that nothing has bound:\n{listed}"
        )

    def _is_code(self, name: str) -> bool:
        """Tell the name of a module, a class or a function: only None stands in for those."""
        nodes = [self.script.statements[at].node for at in self.slicer.binders[name]]
        return any(
            isinstance(node, (Function, ast.ClassDef, ast.Import, ast.ImportFrom)) for node in nodes
        )

    def _wanting(self, wanted: str) -> str:
        """Name what a wanted statement that failed was in want of.

        Raises: LoadError where it was something else.
        """
        for at in reversed(self.slicer.binders[wanted]):
            error = self._failures.get(at)
            if isinstance(error, NameError) and error.name and error.name != wanted:
                return error.name
        raise LoadError(f"{wanted} in {self.script.path} could not be made: {self._why(wanted)}")

    def _unbound(self, wanted: Sequence[str]) -> set[str]:
        """Find what the wanted definitions, and those that they use, read and nobody bound."""
        read: set[str] = set()
        bound_later: set[str] = set()
        todo = list(wanted)
        while todo:
            for at in self.slicer.binders[todo.pop()]:
                if at in self._ran:
                    facts = self.slicer.facts[at]
                    todo += facts.late.reads - read
                    read |= facts.late.reads
                    bound_later |= facts.late.binds
        return read - bound_later - self.namespace.keys() - vars(builtins).keys()

    def _why(self, name: str) -> str:
        """Say why a name is not bound, back to the first statement that failed."""
        reasons: list[str] = []
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            binders = self.slicer.binders[name]
            if not binders:
                reasons.append(f"nothing at the top level of {self.script.path.name} binds {name}")
                break
            at = next((each for each in binders if each in self._failures), binders[0])
            reasons.append(f"{self._place(at)} would bind {name}, but {self._fate(at)}")
            error = self._failures.get(at)
            if not isinstance(error, NameError) or error.name is None:
                break
            name = error.name
        return "; ".join(reasons)

    def _place(self, at: int) -> str:
        statement = self.script.statements[at]
        return f"{statement.where} (`{statement.text}`)"

    def _fate(self, at: int) -> str:
        if at in self._failures:
            return f"was skipped: {tell(self._failures[at])}"
        if at in self._ran:
            return "ran without doing so"
        return self.slicer.refusals[at] or "stands below what needs it"


def tell(error: BaseException) -> str:
    """Return an exception's kind and text in one line."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return shorten(text, length=REASON_LENGTH)


def _module_for(script: Script) -> types.ModuleType:
    """Make the module that the code believes to be in.

    It has a name of its own, since it is listed among the others, where dataclasses and pickles
    look for it: under the file's name it might stand in for another of that name.
    """
    path = script.path
    number = zlib.crc32(str(path.resolve()).encode("utf-8", "surrogateescape"))
    module = types.ModuleType(f"{path.stem.replace('.', '_')}_{number:08x}")
    module.__file__ = str(path)
    nodes = [statement.node for statement in script.statements]
    module.__doc__ = ast.get_docstring(ast.Module(body=nodes, type_ignores=[]))
    return module
