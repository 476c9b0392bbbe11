"""The numbers and the saved cases that `check` takes, and what its reports come to."""

import contextlib
import json
import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

from reference import errors
from reference.cli import main as cli
from reference.cli.options import MOST_MEMORY, MOST_SECONDS
from reference.conformance import check, parametrize_clauses
from reference.conformance.api import read_saved, selection_of
from reference.conformance.errors import ReplayError
from reference.conformance.reports import schemas
from reference.conformance.reports.report_json import from_json, to_json
from reference.conformance.reports.wording import summary
from reference.conformance.runner import Plan, planned
from reference.conformance.verdicts import Selection
from reference.model import BigramLanguageModel
from reference.spec.cases import CaseError
from reference.spec.catalogue import catalogue
from reference.spec.clause import BIGRAM, CAUSAL, Level

SCHEMA: dict[str, Any] = schemas.schema("report")
VALIDATOR = Draft202012Validator(SCHEMA)
HUGE = 10**5000

# beartype, which checks every case that is made, looks at a random place of a list.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.mark.parametrize("judge", [check, parametrize_clauses])
@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("seed", -1, errors.OutOfRangeError, "seed is -1; it must be 0 to 9223372036854775807"),
        ("seed", 2**63, errors.OutOfRangeError, "seed is 9223372036854775808; it must be 0 to"),
        pytest.param("seed", HUGE, errors.OutOfRangeError, "seed is <int>; it must be", id="huge"),
        ("seed", True, errors.NotAnIntegerError, r"seed is True \(bool\); it must be an integer"),
        ("seed", 1.0, errors.NotAnIntegerError, r"seed is 1.0 \(float\); it must be an integer"),
        ("seed", "1", errors.NotAnIntegerError, r"seed is '1' \(str\)"),
        ("seed", None, errors.NotAnIntegerError, r"seed is None"),
        ("examples", 0, errors.OutOfRangeError, "examples is 0; it must be 1 to 1000000"),
        ("examples", 10**6 + 1, errors.OutOfRangeError, "examples is 1000001; it must be 1 to"),
        ("examples", math.nan, errors.NotAnIntegerError, r"examples is nan \(float\)"),
    ],
)
@pytest.mark.usefixtures("own_checks_only")
def test_a_number_out_of_range_is_refused(
    judge: Callable[..., object], name: str, value: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        judge(BigramLanguageModel, clauses=["loss.scalar"], **{name: value})


@pytest.mark.parametrize("judge", [check, parametrize_clauses])
def test_an_unknown_part_is_refused_with_the_names_of_all(judge: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="no part 'words'; the parts are .*, vocabulary, softmax"):
        judge(BigramLanguageModel, words=str)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--bigram-seed=-1", "seed is -1; it must be 0 to 9223372036854775807"),
        (f"--bigram-seed={2**63}", f"seed is {2**63}; it must be 0 to 9223372036854775807"),
        ("--bigram-part=words", "there is no part 'words'; the parts are get_batch,"),
    ],
)
def test_a_wrong_option_of_the_plugin_is_wrong_usage(
    option: str, says: str, tmp_path: Path
) -> None:
    options = ["--bigram-subject", "my_model.py:Model", option]
    ran = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 4
    assert says in ran.stdout + ran.stderr


@pytest.mark.usefixtures("own_checks_only")
def test_an_integer_of_numpy_s_is_a_seed() -> None:
    report = check(BigramLanguageModel, clauses=["loss.scalar"], seed=np.int64(3))  # type: ignore[arg-type]  # an integer all the same
    assert to_json(report)["seed"] == 3
    assert from_json(to_json(report)) == from_json(json.loads(json.dumps(to_json(report))))


class Odd:
    """A factory whose names are not what they should be."""

    def __init__(self, name: object, module: object) -> None:
        self.__qualname__ = name
        self.__module__ = module  # type: ignore[assignment]  # on purpose

    def __call__(self, vocab_size: int) -> BigramLanguageModel:
        return BigramLanguageModel(vocab_size)


class Raising:
    def __getattr__(self, name: str) -> object:
        raise OSError("\x1b")

    def __repr__(self) -> str:
        raise KeyError("x")

    def __call__(self, vocab_size: int) -> BigramLanguageModel:
        return BigramLanguageModel(vocab_size)


names = st.none() | st.integers() | st.just(HUGE) | st.text(st.characters(), max_size=9)


@settings(max_examples=20)
@given(names, names, st.integers(0, 2**63 - 1), st.text(st.characters(), min_size=1, max_size=9))
def test_every_report_is_one_of_its_schema(
    name: object, module: object, seed: int, waiver: str
) -> None:
    report = check(
        Odd(name, module),
        clauses=["forward.returns"],
        seed=seed,
        examples=1,
        waive={"forward.returns": f"w{waiver}"},
    )
    written = to_json(report)
    VALIDATOR.validate(written)
    sent = json.loads(json.dumps(written).encode())
    assert to_json(from_json(sent)) == written


@pytest.mark.parametrize(
    "make", [Raising, lambda: partial(BigramLanguageModel), lambda: lambda C: None]
)
def test_a_factory_of_any_kind_has_a_name(make: Callable[[], Callable[[int], Any]]) -> None:
    report = check(make(), clauses=["forward.returns"], examples=1)
    assert report.subject.isprintable()
    assert report.subject
    from_json(to_json(report))


# Saved cases

SCALAR = {"C": 3, "idx": [[0]], "targets": [[1]], "table": 0, "layout": "contiguous"}
NESTED = '{"id": "loss.scalar", "case": {"C": ' + "[" * 100_000 + "]" * 100_000 + "}}"


def saved(**changes: object) -> str:
    return json.dumps({"id": "loss.scalar", "case": SCALAR | changes})


BAD_REPLAYS = [
    ("[" * 100_000, ReplayError, "nested deeper than 100"),
    (NESTED, ReplayError, "nested deeper than 100"),
    ('{"id": "loss.scalar", "id": "loss.scalar", "case": {}}', ReplayError, "stands twice"),
    ('{"id": "loss.scalar", "case": {"C": NaN}}', ReplayError, "NaN is no number"),
    ('{"id": ["loss.scalar"], "case": {}}', ReplayError, "must be an object such as"),
    ('{"id": "loss.scalar", "case": []}', ReplayError, "must be an object such as"),
    ('{"id": "loss.scalar", "case": {"C": ' + "1" * 5000 + "}}", ReplayError, "Exceeds the limit"),
    ("3", ReplayError, "must be an object such as"),
    ("", ReplayError, "cannot be read as JSON"),
    (saved(idx=[[7]]), CaseError, r"idx\[0\]\[0\] of the case is 7; it must be a token from 0"),
    (saved(targets=[[1, 1]]), CaseError, "targets of the case is .* the shape of idx"),
    (saved(C=10**9), CaseError, "C of the case is 1000000000; it must be an integer from 1 to"),
]


@pytest.mark.parametrize(("replay", "error", "says"), BAD_REPLAYS, ids=range(len(BAD_REPLAYS)))
def test_a_saved_case_that_is_wrong_is_not_the_subject_s_fault(
    replay: str,
    error: type[Exception],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(error, match=says):
        check(BigramLanguageModel, replay=replay)
    file = tmp_path / "case.json"
    file.write_text(replay)
    given = [str(file)] + ([replay] if replay.startswith("{") else [])
    for one in given:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["check", "--replay", one])
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("own_checks_only")
def test_a_saved_case_is_text() -> None:
    with pytest.raises(errors.NotTextError, match="replay is 5"):
        check(BigramLanguageModel, replay=5)  # type: ignore[arg-type]  # on purpose


def test_a_saved_case_too_long_for_a_model_of_the_profile_is_refused() -> None:
    long = {"C": 3, "idx": [[0] * 129], "table": 0, "layout": "contiguous"}
    case = json.dumps({"id": "causal.prefix", "case": long})
    with pytest.raises(ReplayError, match="needs a sequence of 129 tokens.* must be 128 or fewer"):
        check(BigramLanguageModel, profile=CAUSAL, replay=case)


@given(st.text(st.characters()) | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_text_of_any_kind_is_a_saved_case_or_an_error_of_ours(text: str) -> None:
    for one in (text, f'{{"id": {text}', f'{{"id": "loss.scalar", "case": {{"C": {text}}}}}'):
        with contextlib.suppress(errors.BigramError):
            read_saved(one)


# Selections


def test_a_report_records_what_it_was_limited_to() -> None:
    every = len(catalogue(BIGRAM))
    report = check(BigramLanguageModel, clauses=["forward.returns"], examples=1)
    assert report.selection == Selection(wanted=("forward.returns",), of=every)
    assert report.conforms()
    assert not summary(report, level=Level.SHOULD).conforms
    assert from_json(to_json(report)).selection == report.selection
    report = check(BigramLanguageModel, replay=saved())
    assert report.selection == Selection(wanted=("loss.scalar",), of=every, replayed=True)
    assert summary(report, level=Level.SHOULD).outcome == "kept, with one case replayed"
    assert from_json(to_json(report)).selection == report.selection


def test_a_run_of_every_clause_is_of_the_whole_profile_however_it_was_asked_for() -> None:
    assert selection_of(Plan(clauses=planned(None, None)), None) is None
    wanted = [clause.id for clause in catalogue(BIGRAM)]
    assert selection_of(Plan(clauses=planned(wanted, None)), wanted) is None
    assert selection_of(Plan(clauses=()), ()) == Selection(wanted=(), of=len(wanted))


def test_the_command_records_what_it_was_limited_to(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--clause", "forward.returns"], ["--replay", saved()]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(["check", "--json", *options])
        assert stopped.value.code == 0
        report = from_json(json.loads(capsys.readouterr().out))
        assert report.selection is not None
        assert report.selection.replayed == ("--replay" in options)
        assert report.selection.wanted == (
            ("loss.scalar",) if report.selection.replayed else ("forward.returns",)
        )


def test_the_greatest_time_and_memory_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    most = ["--timeout", str(MOST_SECONDS), "--memory", str(MOST_MEMORY)]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", "--clause", "forward.returns", *most])
    assert stopped.value.code == 0
    assert "kept, with 1 of" in capsys.readouterr().out
