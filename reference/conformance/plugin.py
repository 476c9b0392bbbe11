"""pytest's plugin: with --bigram-subject or --bigram-command, every clause is a test.

It does nothing without its option, and loads neither torch nor the kit before then.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reference.conformance.verdicts import Result
    from reference.spec.clause import Clause


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("bigram", "bigram-reference: hold a model against the contract")
    group.addoption(
        "--bigram-subject",
        metavar="SUBJECT",
        help="path/to/file.py:Name or package.module:Name of a model; adds a test per clause",
    )
    group.addoption(
        "--bigram-command",
        metavar="COMMAND",
        help="what starts a model in any language, in its place, to be asked over a pipe",
    )
    group.addoption(
        "--bigram-adapter",
        default="pair",
        help="pair, logits, output, nanogpt, arrays or transformers",
    )
    group.addoption("--bigram-profile", default="bigram", help="bigram or causal-lm")
    group.addoption(
        "--bigram-part",
        action="append",
        default=[],
        metavar="NAME[=PLACE]",
        help="another part of the subject, say get_batch=my_batches; repeatable",
    )
    group.addoption(
        "--bigram-waive",
        action="append",
        default=[],
        metavar="ID=REASON",
        help="a clause that is expected to fail, and why; repeatable",
    )
    group.addoption("--bigram-seed", type=int, default=0, help="the same seed, the same verdicts")


@pytest.hookimpl(tryfirst=True)  # so that -k chooses among the clauses too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each clause."""
    subject, command = (config.getoption(f"--bigram-{one}") for one in ("subject", "command"))
    if subject is None and command is None:
        return
    if subject is not None and command is not None:
        raise pytest.UsageError(
            f"--bigram-subject {subject!r} and --bigram-command {command!r}: leave one out"
        )
    clauses: ClauseCollector = ClauseCollector.from_parent(session, name="bigram", nodeid="bigram")
    items.extend(clauses.collect())


class ClauseCollector(pytest.Collector):
    """The clauses, and the run that judges them when the first is asked for."""

    results: dict[str, "Result"]
    running: Generator["Result"] | None = None
    broken_off: BaseException | None = None
    """What ended the run before every clause had its verdict."""
    blamed: str = ""
    """The clause whose test shows that; the others are skipped."""

    def collect(self) -> Iterator["ClauseItem"]:
        """Give a test for each clause."""
        from reference.errors import BigramError, printable  # noqa: PLC0415  only with the option

        self.results = {}
        try:
            self._parts()
            clauses = self._plan(None).clauses
        except BigramError as error:
            raise pytest.UsageError(printable(error)) from error
        for clause in clauses:
            yield ClauseItem.from_parent(self, name=clause.id, clause=clause)

    def _parts(self) -> dict[str, str]:
        from reference.conformance.subjects.parts import parse_parts  # noqa: PLC0415  as above

        return parse_parts(self.config.getoption("--bigram-part"))

    def _plan(self, wanted: list[str] | None) -> Any:  # noqa: ANN401  a Plan: its module loads torch
        from reference.conformance.api import plan_of  # noqa: PLC0415  as above

        profile, seed = (self.config.getoption(f"--bigram-{one}") for one in ("profile", "seed"))
        waive = dict(_pairs(self.config.getoption("--bigram-waive")))
        return plan_of(profile, wanted, waive, seed)

    def result(self, clause: "Clause") -> "Result":
        """Run as far as to this clause, of those that were chosen and what they need."""
        from reference.conformance.isolation.run import IsolatedRun  # noqa: PLC0415  as above
        from reference.conformance.target import Target  # noqa: PLC0415  as above

        if self.running is None:
            target = Target(
                target=self.config.getoption("--bigram-subject"),
                parts=self._parts(),
                adapter=self.config.getoption("--bigram-adapter"),
                command=self.config.getoption("--bigram-command"),
            )
            wanted = [item.name for item in self.session.items if isinstance(item, ClauseItem)]
            self.running = (result for result in IsolatedRun(target, self._plan(wanted)))
            self.session.config.add_cleanup(self.running.close)  # ends the subject
        while clause.id not in self.results:
            result = self._next(clause, self.running)
            self.results[result.id] = result
        return self.results[clause.id]

    def _next(self, clause: "Clause", running: Generator["Result"]) -> "Result":
        """Return the next result; if there is none, fail this test and skip the later ones."""
        from reference.errors import BigramError, printable  # noqa: PLC0415  as above

        if self.broken_off is None:
            try:
                return next(running)
            except StopIteration:
                self.broken_off = RuntimeError(f"the run ended without a verdict on {clause.id}")
            except BaseException as error:  # noqa: BLE001  a Ctrl-C too: it is raised below
                self.broken_off = error
            self.blamed = clause.id
        opened = "the run broke off" if self.results else "the subject could not be opened"
        if self.blamed != clause.id:
            pytest.skip(f"{opened}: see {self.blamed}")
        if isinstance(self.broken_off, BigramError):
            pytest.fail(printable(f"{opened}: {self.broken_off}", lines=True), pytrace=False)
        raise self.broken_off


class ClauseItem(pytest.Item):
    """One clause."""

    def __init__(self, *, clause: "Clause", **given: Any) -> None:  # noqa: ANN401  pytest's own
        super().__init__(**given)
        self.clause = clause

    def runtest(self) -> None:
        """Judge it."""
        from reference.conformance.parametrize import tell_pytest  # noqa: PLC0415  as above

        assert isinstance(self.parent, ClauseCollector)  # noqa: S101  who makes them
        tell_pytest(self.parent.result(self.clause))

    def reportinfo(self) -> tuple[str, None, str]:
        """Say where it stands."""
        return "bigram", None, self.name


def _pairs(options: list[str]) -> Iterator[tuple[str, str]]:
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise pytest.UsageError(f"{option!r} must be of the form NAME=VALUE")
        yield name, value
