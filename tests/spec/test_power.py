"""The power tables: they are those of the clauses as they stand, and hold what is promised."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from reference.conformance.corner_cases import CASES
from reference.conformance.reports.power import POWER, Power, power_of
from reference.oracle.learning import softmax
from reference.spec.catalogue import catalogue
from reference.spec.clause import Clause
from tests.spec.test_spec import BY_LAW

EVERY: dict[str, Power] = json.loads(POWER.read_text(encoding="utf-8"))
BY_ID = {clause.id: clause for clause in catalogue(None)}
WITH_POWER = [*BY_LAW, BY_ID["generate.law.exact"]]
"""The clauses that judge a law, and one that counts the tokens of one stream that differ."""


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the script that computes them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "mutants"))
    return importlib.import_module("power")


def test_every_clause_that_judges_by_law_has_a_table() -> None:
    assert EVERY.keys() == {clause.id for clause in WITH_POWER}
    assert power_of("loss.scalar") is None


@pytest.mark.parametrize("clause", WITH_POWER, ids=lambda clause: clause.id)
def test_the_table_is_that_of_the_clause_as_it_stands(power: ModuleType, clause: Clause) -> None:
    assert EVERY[clause.id]["digest"] == power.digest(clause), (
        f"run python tests/mutants/power.py --write {clause.id}"
    )
    for figures in EVERY[clause.id]["rows"].values():
        assert len(figures) == len(EVERY[clause.id]["columns"])


@pytest.mark.parametrize("name", ["generate.law", "causal.law"])
def test_the_laws_notice_the_faults_that_people_report(name: str) -> None:
    rows = EVERY[name]["rows"]
    for column in range(len(EVERY[name]["columns"])):
        weakest = {family: figures[column] for family, figures in rows.items()}
        assert float(weakest["temperature below 1"]) >= 0.99
        assert float(weakest["temperature above 1"]) <= 1.01
        assert float(weakest["repetition penalty"]) <= 1.05
        assert float(weakest["nucleus (top_p)"]) >= 0.995
        assert float(weakest["min_p"]) <= 1e-3
        greatest = dict(re.findall(r"(\d+) of (\d+)", weakest["top_k"]))
        assert greatest.items() >= {("64", "65"), ("256", "257")}


def test_a_fault_is_planted_and_one_of_no_strength_is_none(power: ModuleType) -> None:
    clause = BY_ID["generate.law"]
    cases = CASES[clause.case].corners[:1]

    def notices(T: float) -> bool:
        planted = power.of_a_table(lambda scores, _prompts: softmax(scores / T))
        found: bool = power.notices(clause, planted, cases, seed=0)
        return found

    assert [notices(T) for T in (0.95, 1, 1.05)] == [True, False, True]
