"""The catalogue: every clause is well formed, cites the notes, and leads where it should."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from reference.conformance.corner_cases import CASES
from reference.conformance.reports.example import KILLS, answers_of, example_of, kills_of
from reference.conformance.subjects.own import reference_subject
from reference.model import BigramLanguageModel
from reference.notes import Figures
from reference.oracle.law import false_alarm_bound
from reference.spec import cases as c
from reference.spec.catalogue import CONCEPTS, catalogue
from reference.spec.clause import CAUSAL, CLAUSES, PROFILES, Clause, Level, clause
from reference.spec.errata import ERRATA, Erratum, UnknownErratumError, erratum
from reference.spec.expect import (
    Broken,
    expect_close,
    expect_equal,
    expect_independent,
    expect_law,
    expect_refused,
    shown,
)
from reference.spec.subject import SubjectError

ROOT = Path(__file__).parents[2]
NOTES = (ROOT / "docs/notes/nn-module.markmap.md").read_text(encoding="utf-8")
PLAIN = " ".join(
    re.sub(r"\*\*|`|🕸️|🧮|🪬|🧠|👁️🗨️|🧩|📥|🎯|👀|🥚|🪺|🏷️|♻️|==(?=\[)|(?<=\])==", "", NOTES).split()
)
EVERY = catalogue(None)
by_id = pytest.mark.parametrize("one", EVERY, ids=lambda one: one.id)
by_number = pytest.mark.parametrize("one", ERRATA, ids=lambda one: str(one.number))


def test_the_catalogue_has_the_concepts_of_the_notes_in_their_order() -> None:
    concepts = [concept.__name__.rsplit(".", 1)[-1] for concept in CONCEPTS]
    assert {one.concept for one in EVERY} == set(concepts)
    assert sorted(one.id for one in EVERY) == sorted(one.id for one in CLAUSES)
    assert len(EVERY) >= 100


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_what_a_clause_needs_comes_before_it(profile: str | None) -> None:
    every = catalogue(profile)
    ids = [one.id for one in every]
    for number, one in enumerate(every):
        assert set(one.needs) & set(ids) <= set(ids[:number])
        for other in PROFILES if profile is None else ():
            # A clause of a profile needs one of the same profile, if any at all.
            needed = [need for need in EVERY if need.id in one.needs]
            assert (
                not needed
                or other not in one.profiles
                or any(other in need.profiles for need in needed)
            )


def follow(source: tuple[str, ...]) -> None:
    """Find each place of the notes at or after the one before it."""
    assert source
    at = 0
    for place in source:
        found = PLAIN.find(" ".join(re.sub("🕸️|`", "", place).split()), at)
        assert found >= 0, f"the notes have no {place!r} there"
        at = found


@by_id
def test_a_clause_cites_a_way_through_the_notes(one: Clause) -> None:
    follow(one.source)


@by_number
def test_an_erratum_cites_a_way_through_the_notes(one: Erratum) -> None:
    follow(one.source)


def test_each_audit_question_of_the_notes_is_answered() -> None:
    # A question may go on in the line before its mark.
    questions = [line for line in NOTES.splitlines() if "@audit" in line]
    assert len(questions) == 10
    answered = [one.audit for one in EVERY if one.audit]
    for question in questions:
        plain = question.replace("`", "").replace("**", "")
        assert any(answer.replace("`", "") in plain for answer in answered), question
    for answer in answered:
        assert any(answer.replace("`", "") in q.replace("`", "") for q in questions), answer


def test_each_erratum_bites_somewhere() -> None:
    assert {number for one in EVERY for number in one.errata} == {one.number for one in ERRATA}


def test_errata_are_numbered_from_1() -> None:
    assert [one.number for one in ERRATA] == list(range(1, len(ERRATA) + 1))
    assert [erratum(one.number) for one in ERRATA] == list(ERRATA)


@pytest.mark.parametrize("number", [0, -1, len(ERRATA) + 1])
def test_an_erratum_that_there_is_not_is_refused(number: int) -> None:
    with pytest.raises(UnknownErratumError, match=rf"{number}\b.*1 to {len(ERRATA)}"):
        erratum(number)


@by_number
def test_an_erratum_is_text_that_goes_on_in_a_sentence(one: Erratum) -> None:
    for text in (one.notes, one.fact, one.reference):
        assert text.strip() == text != ""
        assert not text.endswith(".")
        assert text.count("`") % 2 == 0


@by_number
def test_the_code_that_an_erratum_quotes_from_the_notes_is_there(one: Erratum) -> None:
    for code in re.findall("`([^`]+)`", one.notes):
        follow(tuple(part.strip() for part in code.split("...")))


def test_the_errata_have_the_figures_of_the_notes() -> None:
    figures = Figures()
    assert f"up to {figures.probabilities_gap} (row 1, column 5)" in erratum(1).fact
    assert f"{figures.loss} would be {figures.loss_lecture_bound}" in erratum(3).reference
    assert erratum(13).fact.endswith(figures.loss_seeded_once)


@by_id
def test_a_clause_is_one_sentence(one: Clause) -> None:
    assert one.sentence[0].isupper() or one.sentence.startswith(("forward ", "backward "))
    assert one.sentence.endswith(".")
    assert len(one.sentence) <= 160
    assert "Alarm" not in one.remarks or re.search(r"1e-?\d+", one.remarks["Alarm"])


BY_LAW = [
    one
    for one in EVERY
    if re.search(
        r"\bexpect_(law|graded|independent)\(", inspect.getsource(inspect.unwrap(one.check))
    )
]
"""Clauses that a right subject breaks by chance, seldom enough."""


@pytest.mark.parametrize("one", BY_LAW, ids=lambda one: one.id)
def test_the_questions_of_a_run_share_the_alarm_rate_that_the_clause_states(
    one: Clause, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def note(*_seen: object, alarm: float, **_words: object) -> None:
        given.append(alarm)

    module = sys.modules[one.check.__module__]
    for question in ("expect_law", "expect_graded", "expect_independent", "expect_count"):
        monkeypatch.setattr(module, question, note, raising=False)
    for case in CASES[one.case].corners:
        one.check(reference_subject(), case)
    assert one.remarks["Alarm"].startswith("at most 1e-9 a run")
    assert sum(given) == pytest.approx(1e-9, rel=1e-9, abs=0)


def test_the_verdict_on_a_chain_depends_on_no_dice_of_the_kit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unlucky(np.random.Generator):
        def random(self, size: Any = None, *_more: Any, **_named: Any) -> Any:
            return np.zeros(size)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Unlucky(np.random.PCG64(seed)))
    (chain,) = (one for one in EVERY if one.id == "causal.chain")
    chain.check(reference_subject(), CASES[chain.case].corners[0])  # which raises if it is broken


@by_id
def test_a_clause_has_an_example_that_runs(one: Clause) -> None:
    example = example_of(one)
    if example is None:
        assert one.profiles == (CAUSAL,)
        assert not set(one.parts) <= reference_subject().parts
        return
    assert "Failure" not in example.seen
    assert example.asked or one.level is Level.CHOICE
    if one.level is Level.CHOICE:
        assert example.seen


@by_id
def test_the_tests_know_a_wrong_implementation_for_each_clause_that_binds(one: Clause) -> None:
    assert bool(kills_of(one)) == (one.level is not Level.CHOICE)


@by_id
def test_the_tests_know_two_behaviours_of_each_choice_and_of_whom(one: Clause) -> None:
    answers = answers_of(one)
    if one.level is not Level.CHOICE:
        assert answers == {}
        return
    assert 2 <= len(answers) <= 6
    example = example_of(one)
    assert example is not None
    assert example.seen in answers
    named = [name for names in answers.values() for name in names]
    assert all(answers.values())
    assert len(set(named)) == len(named)


def test_the_matrix_writes_the_behaviours_that_right_specimens_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/mutants"))
    matrix = importlib.import_module("matrix")

    def specimen(name: str, breaks: str = "") -> object:
        return matrix.Specimen(name=name, breaks=breaks, make=reference_subject)

    zoo = [specimen(name) for name in ("long name", "b", "a", "cc", "d", "e")]
    zoo += [specimen(f"wrong {number}", "loss.scalar") for number in range(3)]

    def written(*seen: str) -> dict[str, list[str]]:
        rows = [{"index.int32": ("PASS", "", "", one)} for one in seen]
        answers = json.loads(matrix.written(zoo[: len(rows)], rows))["choices"]["index.int32"]
        assert isinstance(answers, dict)
        return answers

    usual = written("yes", "yes", "yes", "yes", "no", "no", "never", "never", "no")
    assert list(usual.items()) == [("yes", ["a", "b", "cc"]), ("no", ["d", "e"])]
    alike = written(*["yes"] * 6, "once", "often", "often")
    assert alike == {"yes": ["a", "b", "d"], "often": ["wrong 1", "wrong 2"]}
    assert list(written("by 2e-07", "by 1.5e-08", "by 0.2")) == ["by …", "by 0.2"]
    assert len(written(*map(str, range(6)), "6", "7", "8")) == 6


def test_a_part_of_the_matrix_has_each_clause_and_is_held_against_what_was_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/mutants"))
    matrix = importlib.import_module("matrix")
    zoo = matrix.specimens()
    kills = json.loads(KILLS.read_text(encoding="utf-8"))["kills"]
    part = matrix.part(zoo)
    assert {zoo[number].breaks for number in part} == kills.keys() | {""}
    assert len(part) < len(zoo) / 2

    def row(*broken: str) -> dict[str, tuple[str, str, str, str]]:
        return {name: ("FAIL" if name in broken else "PASS", "", "", "") for name in kills}

    number = next(number for number in part if zoo[number].breaks == "loss.floor")
    right = next(number for number in part if not zoo[number].breaks)
    assert matrix.as_noted(zoo, {number: row("loss.floor"), right: row()}) == []
    assert "survives loss.floor" in matrix.as_noted(zoo, {number: row()})[0]
    assert (
        "kills.json has ['loss.floor']"
        in matrix.as_noted(zoo, {number: row("loss.floor", "loss.live")})[0]
    )
    assert "is flagged by ['loss.live']" in matrix.as_noted(zoo, {right: row("loss.live")})[0]


def test_the_matrix_is_run_anew_where_anything_that_it_reads_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/mutants"))
    matrix = importlib.import_module("matrix")
    before = matrix.digest()
    assert matrix.digest() == before
    read = Path.read_bytes
    for name in ("loss.py", "runner.py", "corner_cases.py", "wrong_loss.py", "constraints.txt"):
        monkeypatch.setattr(
            Path, "read_bytes", lambda path, name=name: read(path) + b"#" * (path.name == name)
        )
        assert matrix.digest() != before


def test_documented_clauses_bind_the_reference() -> None:
    documented = [one for one in EVERY if one.id.endswith(".documented")]
    assert len(documented) == 7
    for one in documented:
        example = example_of(one)
        assert example is not None
        seen = example.seen
        assert seen == ("differ by up to 0.1344" if one.concept == "softmax" else "as documented")


def test_the_corners_hold_what_every_run_must_have() -> None:
    corners = [corner for cases in CASES.values() for corner in cases.corners]
    looked_up = [corner for corner in corners if isinstance(corner, c.TokensCase)]
    assert any(len(case.idx) == 1 and len(case.idx[0]) == 1 and case.C == 1 for case in looked_up)
    assert any(len(case.idx[0]) > 16 for case in looked_up)
    assert {case.layout for case in looked_up} == set(c.LAYOUTS)
    for kind in (c.IndexCase, c.LossCase, c.PromptCase, c.ChainCase):
        rows = [case for case in CASES[kind].corners if isinstance(case, c.TokensCase)]
        used = [{token for row in case.idx for token in row} for case in rows]
        assert any({0, case.C - 1} <= tokens for case, tokens in zip(rows, used, strict=True))
        assert any(len(set(row)) < len(row) for case in rows for row in case.idx)
        assert any(len(case.idx) % 2 and len(case.idx) > 1 for case in rows)
    for case in looked_up:
        assert all(0 <= token < case.C for row in case.idx for token in row)


@pytest.mark.parametrize(
    "case",
    [one for cases in CASES.values() for one in cases.corners],
    ids=lambda one: str(one)[:60],
)
def test_a_case_comes_back_from_json(case: c.Case) -> None:
    saved = json.loads(json.dumps(c.to_json(case)))
    assert c.from_json(type(case), saved) == case


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"C": 3},
        {"C": 3, "idx": [[0]], "layout": "contiguous", "table": 0, "more": 1},
        {"C": "3", "idx": [[0]], "layout": "contiguous", "table": 0},
        {"C": True, "idx": [[0]], "layout": "contiguous", "table": 0},
        {"C": 3, "idx": [0], "layout": "contiguous", "table": 0},
        {"C": 3, "idx": [[0.5]], "layout": "contiguous", "table": 0},
        [],
        None,
    ],
)
def test_a_saved_case_that_is_none_is_refused(saved: object) -> None:
    with pytest.raises(c.CaseError):
        c.from_json(c.IndexCase, saved)


@pytest.mark.parametrize(
    "case",
    [one for cases in CASES.values() for one in cases.corners],
    ids=lambda one: str(one)[:60],
)
def test_a_case_is_shown_as_python_that_runs(case: c.Case) -> None:
    scope: dict[str, object] = {
        "torch": torch,
        "table_of": c.table_of,
        "BigramLanguageModel": BigramLanguageModel,
    }
    exec(compile(case.code(), "case", "exec"), scope)  # noqa: S102  our own code
    for name in ("idx", "targets"):
        if name in scope:
            method = {"idx": "tensor", "targets": "target_tensor"}[name]
            written, meant = scope[name], getattr(case, method)()
            assert isinstance(written, Tensor)
            assert torch.equal(written, meant)
            assert written.is_contiguous() == meant.is_contiguous()
    if "seed" in scope:  # of the parameters, for any kind of model
        assert isinstance(case, c.IndexCase)
        assert scope["seed"] == case.table
    elif isinstance(case, c.IndexCase):
        assert isinstance(scope["table"], Tensor)
        assert torch.equal(scope["table"], c.table_of(case.C, case.table))


def test_layouts_lie_in_memory_as_they_say() -> None:
    rows = ((0, 1, 2), (3, 4, 5))
    for layout in c.LAYOUTS:
        made = c.tokens(rows, layout)
        assert made.tolist() == [list(row) for row in rows]
        assert made.is_contiguous() == (layout == "contiguous")


def bad_clause(**changes: object) -> None:
    given = {"id": "loss.new-one"} | changes

    def check(subject: object, case: c.Nothing) -> None:
        pass

    check.__doc__ = str(given.pop("doc", "A sentence.\n\nSource: INIT"))
    clause(given.pop("id"), **given)(check)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "loss.scalar"},
        {"id": "loss"},
        {"id": "Loss.scalar"},
        {"id": "loss.not_kebab"},
        {"doc": "no sentence\n\nSource: INIT"},
        {"doc": "A sentence.\n\nWhatever: more.\n\nSource: INIT"},
        {"doc": "A sentence.\n\nErratum 99: more.\nSource: INIT"},
        {"doc": "A sentence."},
    ],
)
def test_a_badly_formed_clause_is_refused(changes: dict[str, object]) -> None:
    before = list(CLAUSES)
    with pytest.raises(ValueError, match="clause"):
        bad_clause(**changes)
    assert before == CLAUSES


def test_a_clause_that_needs_one_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = dataclasses.replace(CLAUSES[0], id="loss.lost", needs=("loss.nowhere",))
    monkeypatch.setattr("reference.spec.catalogue.CLAUSES", [*CLAUSES, lost])
    with pytest.raises(ValueError, match=r"loss\.nowhere"):
        catalogue()


@pytest.mark.parametrize(
    "file", sorted((ROOT / "reference/spec").rglob("*.py")), ids=lambda file: file.stem
)
def test_no_check_looks_for_a_cause_before_it_has_a_finding(file: Path) -> None:
    """A cause is a text or a function that is called later: looking for it calls the subject."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    eager = [
        ast.unparse(keyword.value)
        for call in calls
        for keyword in call.keywords
        if keyword.arg == "cause"
        for part in ast.walk(keyword.value)
        if isinstance(part, ast.Call)
        and not isinstance(keyword.value, ast.Lambda)
        and ast.unparse(part.func) != "partial"
        and {"subject", "model"} & {ast.unparse(one) for one in part.args}
    ]
    assert eager == []


class TestExpectations:
    """Each kind of question: what passes, and what does not by the least."""

    @pytest.mark.parametrize(
        ("seen", "expected"),
        [
            (torch.tensor([1, 2]), torch.tensor([1, 3])),
            (torch.tensor([1, 2]), torch.tensor([[1, 2]])),
            (torch.tensor([1, 2]), torch.tensor([1, 2], dtype=torch.int32)),
            (torch.tensor([1.0]), torch.tensor([float("nan")])),
            (1, True),
            ((1, 2), (1, 2, 3)),
            ("a", "b"),
        ],
    )
    def test_equal_refuses(self, seen: object, expected: object) -> None:
        with pytest.raises(Broken) as caught:
            expect_equal(seen, expected, what="it", cause="because")
        assert caught.value.cause == "because"

    def test_equal_accepts(self) -> None:
        expect_equal(torch.tensor([1, 2]), torch.tensor([1, 2]), what="it", cause="")
        expect_equal((1, 2), (1, 2), what="it", cause="")

    def test_close_has_its_edge_at_the_tolerance(self) -> None:
        zero = torch.zeros(2, dtype=torch.float64)
        expect_close(zero + 0.5, zero, tolerance=0.5, what="it", cause="")
        with pytest.raises(Broken):
            expect_close(zero + 0.5000001, zero, tolerance=0.5, what="it", cause="")
        with pytest.raises(Broken):
            expect_close(zero + torch.nan, zero, tolerance=0.5, what="it", cause="")

    def test_a_refusal_is_an_exception_of_the_subject(self) -> None:
        def refuses() -> None:
            raise SubjectError("forward", "raised ValueError: token 7", ValueError("token 7"))

        def gives_something_strange() -> None:
            raise SubjectError("forward", "gave a str")

        assert "token 7" in expect_refused(refuses, what="it", cause="")
        with pytest.raises(Broken):
            expect_refused(lambda: 1, what="it", cause="")
        with pytest.raises(Broken):
            expect_refused(gives_something_strange, what="it", cause="")

    def test_a_law_is_refused_beyond_its_alarm(self) -> None:
        fair = np.array([0.5, 0.5])
        expect_law(np.array([520, 480]), fair, alarm=1e-9, what="it", cause="")
        with pytest.raises(Broken, match="by chance"):
            expect_law(np.array([620, 380]), fair, alarm=1e-9, what="it", cause="")
        with pytest.raises(Broken, match="not by chance"):
            expect_law(np.array([5, 5]), np.array([1.0, 0.0]), alarm=1e-9, what="it", cause="")
        bound = false_alarm_bound(np.array([540, 460]), fair)
        assert 1e-4 < bound < 1
        expect_law(np.array([540, 460]), fair, alarm=bound * 0.999, what="it", cause="")
        with pytest.raises(Broken):
            expect_law(np.array([540, 460]), fair, alarm=bound * 1.001, what="it", cause="")

    @pytest.mark.parametrize("shared", range(30, 71))
    def test_two_coins_are_independent_as_fishers_exact_test_has_it(self, shared: int) -> None:
        a = torch.tensor([1] * 100 + [0] * 100)
        b = torch.tensor([1] * shared + [0] * 100 + [1] * (100 - shared))
        table = np.array([[shared, 100 - shared], [100 - shared, shared]])
        tails = (
            float(scipy.stats.fisher_exact(table, alternative=side).pvalue)
            for side in ("less", "greater")
        )
        chance = 2 * min(tails)
        expect_independent(a, b, alarm=chance * 0.999, what="it", cause="")
        with pytest.raises(Broken):
            expect_independent(a, b, alarm=chance * 1.001, what="it", cause="")

    def test_great_tensors_are_shown_by_shape(self) -> None:
        assert shown(torch.zeros(100)) == "float32 of shape (100,)"
        assert shown([0.5, (1, "a")]) == "[0.5, (1, 'a')]"
