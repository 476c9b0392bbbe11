"""Clauses as tests of one's own test-suite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn, Unpack

import pytest

from reference.conformance.api import plan_of
from reference.conformance.reports.wording import label
from reference.conformance.runner import EXAMPLES, Plan, isolated_streams, planned, run
from reference.conformance.subjects.build import Factory, subject_of
from reference.conformance.subjects.parts import Parts
from reference.conformance.subjects.torch_models import TorchSubject
from reference.conformance.verdicts import Result, Verdict
from reference.errors import printable
from reference.spec.clause import BIGRAM, Clause


class ClauseTest:
    """One clause to be tried, with what it needs, when `check` is called."""

    def __init__(
        self, clause: Clause, subject: TorchSubject, plan: Plan, results: dict[str, Result]
    ) -> None:
        self.clause = clause
        self._subject = subject
        self._plan = plan
        self._results = results  # in common with the other clauses, so that each is tried once

    def result(self) -> Result:
        """Try the clause, and what it needs and has not been tried."""
        if self.clause.id not in self._results:
            wanted = planned([self.clause.id], None, self._plan.profile)
            plan = replace(self._plan, clauses=wanted)
            with isolated_streams():
                for result in run(self._subject, plan, done=self._results):
                    self._results[result.id] = result
        return self._results[self.clause.id]

    def check(self) -> None:
        """Pass, fail or skip the test that calls it."""
        tell_pytest(self.result())


def parametrize_clauses(  # noqa: PLR0913  all but the factory by name
    factory: Factory,
    *,
    adapter: str | Callable[[object], object] = "pair",
    profile: str = BIGRAM,
    clauses: Sequence[str] | None = None,
    waive: Mapping[str, str] | None = None,
    seed: int = 0,
    examples: int = EXAMPLES,
    **parts: Unpack[Parts],
) -> pytest.MarkDecorator:
    """Run a test function once for each clause; the clause's id is the test's.

        @parametrize_clauses(MyModel, get_batch=my_get_batch)
        def test_my_model(clause):
            clause.check()

    The arguments are those of `check`.

    Raises: what `check` raises.
    """
    plan = plan_of(profile, clauses, waive, seed, examples)
    subject = subject_of(factory, adapter=adapter, **parts)
    results: dict[str, Result] = {}
    return pytest.mark.parametrize(
        "clause",
        [
            pytest.param(ClauseTest(clause, subject, plan, results), id=clause.id)
            for clause in plan.clauses
        ],
    )


def tell_pytest(result: Result) -> None:
    """Turn a result into what pytest knows: a failure, a skip, an expected failure, or nothing."""
    if result.verdict in {Verdict.SKIP, Verdict.BLOCKED}:
        pytest.skip(printable(f"{result.verdict}: {result.cause}", lines=True))
    if result.verdict is Verdict.XFAIL:
        pytest.xfail(printable(result.cause, lines=True))
    if result.verdict is not Verdict.PASS:
        _fail(result)


def _fail(result: Result) -> NoReturn:
    lines = [
        f"{result.verdict} {result.id} ({result.level}): {result.sentence}",
        f"{label(result)}: {result.cause}",
    ]
    if result.expected:
        lines += [f"expected: {result.expected}", f"saw: {result.seen}"]
    if result.code:
        lines += ["the smallest case found:", *(f"    {line}" for line in result.code.splitlines())]
    if result.replay:
        lines.append(f"replay: {result.replay}")
    pytest.fail(printable("\n".join(lines), lines=True), pytrace=False)
