"""Which statements of a script have to run for some of its names, and which are left alone.

The rules, from the wanted names backwards:

- A statement that runs needs what it reads bound above it, and every change made to that above it.
  What is read by a function that it may call counts as read by it.
- A function or a class that is only defined needs what its body reads bound above it, or else,
  once, below it. So `batch_size = 32` below the class, for the training, changes nothing. Changes
  in place count up to where the definition is first used: a dict may be filled below the function
  that looks things up in it.
- A supplied name, which somebody else will bind later, is bound here only where that is a constant.
- What stands under `if __name__ == "__main__"` and what trains (calls `.backward()`) never runs.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from reference.conformance.loading.cells import Statement
from reference.conformance.loading.facts import Facts, facts_of, outline_of


class Slicer:
    """The statements of one file by number, and which of them may serve which others."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.outline = outline_of([statement.node for statement in statements])
        self.facts = [facts_of(statement, self.outline) for statement in statements]
        self.end = len(statements)
        self.definers: defaultdict[str, list[int]] = defaultdict(list)
        for at, facts in enumerate(self.facts):
            for name in facts.now.binds:
                self.definers[name].append(at)
        self.refusals = [self._refuse(at) for at in range(self.end)]
        """Why a statement never runs, or None."""
        reached = [self._reach(facts.now.reads) for facts in self.facts]
        self._first_use = [
            next((user for user in range(at + 1, self.end) if at in reached[user]), self.end)
            for at in range(self.end)
        ]
        self.binders: defaultdict[str, list[int]] = defaultdict(list)
        """The statements that bind a name, whether they may run or not."""
        self._changers: defaultdict[str, list[int]] = defaultdict(list)
        for at, facts in enumerate(self.facts):
            called = [self.facts[each].late for each in reached[at]]
            for name in facts.now.binds.union(*(each.binds for each in called)):
                self.binders[name].append(at)
            changes = facts.now.changes.union(*(each.changes for each in called))
            for name in self._wholes(changes, at):
                self._changers[name].append(at)

    def definitions(self) -> list[str]:
        """Return the names of the classes and functions."""
        return [
            name
            for name, places in self.definers.items()
            if any(self.facts[at].is_definition for at in places)
        ]

    def needed(
        self, wanted: Collection[str], *, supplied: Collection[str], defined: Collection[str]
    ) -> list[int]:
        """Select the statements to run, in order.

        `defined` names are there already; nothing runs for their sake.
        """
        selection = _Selection(self, supplied=supplied, defined=defined)
        for at, facts in enumerate(self.facts):
            if facts.is_kept:
                selection.choose(at)
        for name in wanted:
            if name not in defined:
                for at in (*self.binders_above(name, self.end), *self.changers(name, self.end)):
                    selection.choose(at)
        selection.settle()
        return sorted(selection.chosen)

    def binders_above(self, name: str, end: int) -> list[int]:
        """Return the statements that bind a name above a place, from its last `def` or `class` on.

        All assignments count, not the last alone: where one fails, its forerunner's value stays.
        """
        binders = [at for at in self.binders[name] if at < end and not self.refusals[at]]
        for place in reversed(range(len(binders))):
            if self.facts[binders[place]].is_definition:
                return binders[place:]
        return binders

    def late_binders(self, name: str, at: int) -> list[int]:
        """Return the statements that bind a name that a definition's body reads."""
        below = [each for each in self.binders[name] if each > at and not self.refusals[each]]
        return self.binders_above(name, at + 1) or below[:1]  # it may read its own name

    def changers(self, name: str, end: int) -> list[int]:
        """Return the statements that change an object in place above a place."""
        return [at for at in self._changers[name] if at < end]

    def late_changers(self, name: str, at: int) -> list[int]:
        """Return those that change an object that a definition's body reads, until that is used."""
        return self.changers(name, self._first_use[at])

    def _refuse(self, at: int) -> str | None:
        if self.facts[at].is_guard:
            return 'stands under `if __name__ == "__main__"`, which does not run here'
        if self.facts[at].now.trains or any(each.late.trains for each in self._called(at)):
            return "is left out, since it trains: it calls .backward()"
        return None

    def _wholes(self, parts: Collection[str], end: int) -> set[str]:
        """Return these names, and those of what they are parts of: of the parser, for its group."""
        wholes = set(parts)
        for at in reversed(range(end)):
            whole = self.facts[at].part_of
            if whole is not None and wholes & self.facts[at].now.binds:
                wholes.add(whole)
        return wholes

    def _reach(self, names: Collection[str]) -> set[int]:
        """Find the definitions whose functions may be called by who reads these names."""
        reached: set[int] = set()
        todo = list(names)
        seen = set(todo)
        while todo:
            for at in self.definers.get(todo.pop(), ()):
                late = self.facts[at].late.reads
                if self.facts[at].is_definition or late:
                    reached.add(at)
                todo += late - seen
                seen |= late
        return reached

    def _called(self, at: int) -> Iterator[Facts]:
        """Yield the file's own functions that a statement calls by name, and those that they call.

        Narrower than what it reaches: making a model does not call the model's own `fit`.
        """
        todo = list(self.facts[at].now.calls)
        seen = set(todo)
        while todo:
            for each in self.definers.get(todo.pop(), ()):
                if self.facts[each].is_function:
                    yield self.facts[each]
                    todo += self.facts[each].late.calls - seen
                    seen |= self.facts[each].late.calls


class _Selection:
    """The statements chosen so far, and what they still need."""

    def __init__(
        self, slicer: Slicer, *, supplied: Collection[str], defined: Collection[str]
    ) -> None:
        self.slicer = slicer
        self.supplied = supplied
        self.chosen: set[int] = set()
        self._defined = defined
        self._seen: set[tuple[str, int, bool]] = set()
        self._todo: list[tuple[str, int, bool]] = []
        """A name, who needs it, and whether that one needs it when it runs or only later."""

    def choose(self, at: int) -> None:
        """Take a statement in, unless it never runs."""
        if at in self.chosen or self.slicer.refusals[at]:
            return
        self.chosen.add(at)
        facts = self.slicer.facts[at]
        self._todo += [(name, at, True) for name in facts.now.reads]
        self._todo += [(name, at, False) for name in facts.late.reads]

    def settle(self) -> None:
        """Take in what the chosen statements need, until nothing is missing."""
        while self._todo:
            need = self._todo.pop()
            name, at, now = need
            if need in self._seen or name in self._defined:
                continue
            self._seen.add(need)
            if now:
                self._meet(name, at)
            else:
                self._meet_later(name, at)

    def _meet(self, name: str, at: int) -> None:
        for binder in self.slicer.binders_above(name, at):
            self.choose(binder)
            # It may be a function, and called at once.
            self._todo += [(late, at, True) for late in self.slicer.facts[binder].late.reads]
        for changer in self.slicer.changers(name, at):
            self.choose(changer)

    def _meet_later(self, name: str, at: int) -> None:
        for binder in self.slicer.late_binders(name, at):
            if name not in self.supplied or self.slicer.facts[binder].is_constant:
                self.choose(binder)
        if name not in self.supplied:
            for changer in self.slicer.late_changers(name, at):
                self.choose(changer)
