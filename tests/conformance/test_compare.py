"""`bigram compare`: every verdict of every report in its place, on each face, and nothing lost."""

import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator
from rich.console import Console

from reference.cli import main as cli
from reference.conformance.errors import ReportFileError, TooFewReportsError
from reference.conformance.reports import schemas
from reference.conformance.reports.comparison import ALIKE, Comparison, Row, compare, numbers
from reference.conformance.reports.comparison_json import to_json
from reference.conformance.reports.comparison_page import to_html
from reference.conformance.reports.comparison_terminal import print_comparison
from reference.conformance.reports.report_json import (
    ReportError,
    read_report,
    to_json as report_to_json,
)
from reference.conformance.reports.wording import ABSENT, LISTED, is_choice, mark_of
from reference.conformance.verdicts import Report, Result, Selection, Verdict
from reference.errors import printable
from reference.spec.catalogue import catalogue
from reference.spec.clause import Level

NASTY = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "\x00\x7f\x9b",
    "[/red] [bold]x[/] :smile:",
    "</style></pre></td><script>alert(1)</script>",
    '"\' onload="x" ]]> &amp; $title',
    "\ud800 lone",
    "\u202egnorw\u2028\u2066",
    "a\r\n\tb\x0cc",
    "\u05d0\u05d1 \u0627\u0628\u062a",
)
"""What a subject's name or a cause may hold: each would harm a face that believed it."""

COMMAND = "bigram check wrong.py:M --replay '{\"id\": 1}'"


def result(name: str, verdict: Verdict = Verdict.PASS, **fields: Any) -> Result:
    """Make a result, of a must where nothing else is said."""
    usual: dict[str, Any] = {"level": Level.MUST, "sentence": ""}
    return Result(id=name, verdict=verdict, **(usual | fields))


def report(*results: Result, **fields: Any) -> Report:
    """Make a report, of a run that went to its end where nothing else is said."""
    usual: dict[str, Any] = {
        "subject": "right.py:M",
        "contract": "1.0",
        "profile": "bigram",
        "seed": 0,
        "planned": len(results),
    }
    return Report(clauses=results, **(usual | fields))


def choice(name: str, seen: str) -> Result:
    return result(name, level=Level.CHOICE, seen=seen)


RIGHT = report(
    result("batch.shape", sentence="x and y are (B, T)."),
    result("batch.shift"),
    choice("index.int32", "refused"),
    choice("index.rank", "refused"),
    result("loss.scalar"),
    result("loss.mean", sentence="The loss is the mean."),
    result("loss.floor"),
    result("loss.uniform"),
)
SUMMED = report(
    result("batch.shape", Verdict.SKIP, cause="the subject has no get_batch"),
    result("batch.shift", Verdict.SKIP, cause="the subject has no get_batch"),
    choice("index.int32", "looked up"),
    choice("index.rank", "refused"),
    result("loss.scalar"),
    result(
        "loss.mean",
        Verdict.FAIL,
        cause="the losses are added up",
        expected="loss: 0.5",
        seen="1.0",
        case={"C": 2},
        replay=COMMAND,
    ),
    result("loss.floor", Verdict.BLOCKED, cause="loss.mean"),
    result("loss.uniform", Verdict.BLOCKED, cause="loss.mean"),
    subject="summed.py:M",
)
ENDED = report(
    result("batch.shape", Verdict.CRASH, cause="it ended the process"),
    result("loss.mean", Verdict.FAIL, cause="the losses are added up"),
    subject="ended.py:M",
    planned=8,
    ended="interrupted",
)
THREE = compare([RIGHT, SUMMED, ENDED], sources=["right.json", "summed.json", "ended.json"])

IDS = [f"{concept}.{rule}" for concept in ("loss", "batch", "a-b") for rule in ("x", "y-1", "z.w")]
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=()), max_size=12)


@st.composite
def drafts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw the fields of some reports in which nothing is as it should be but the ids.

    The reports are made in the tests: beartype looks into a list at a random place, which
    Hypothesis does not want to see while it draws.
    """
    return [
        {
            "subject": draw(texts),
            "contract": draw(st.sampled_from(("1.0", "1.1\x1b"))),
            "profile": draw(st.sampled_from(("bigram", "</b>"))),
            "seed": draw(st.integers(0, 1)),
            "planned": len(ids) + draw(st.sampled_from((0, 0, 1))),
            "ended": draw(st.just("") | texts),
            "clauses": [
                {
                    "id": name,
                    "level": draw(st.sampled_from(Level)),
                    "sentence": draw(texts),
                    "verdict": draw(st.sampled_from(Verdict)),
                    "cause": draw(texts | st.sampled_from(IDS)),
                    "expected": draw(texts),
                    "seen": draw(texts),
                    "replay": draw(texts),
                }
                for name in ids
            ],
        }
        for ids in draw(
            st.lists(
                st.lists(st.sampled_from(IDS), unique=True, max_size=5), min_size=2, max_size=4
            )
        )
    ]


def drafted(drafts: list[dict[str, Any]]) -> list[Report]:
    """Make the reports."""
    return [
        report(
            *(result(one["id"], one["verdict"], **_rest(one)) for one in draft["clauses"]),
            **_rest(draft),
        )
        for draft in drafts
    ]


def _rest(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in fields.items() if name not in {"id", "verdict", "clauses"}}


def row_of(comparison: Comparison, name: str) -> Row:
    (row,) = (row for row in comparison.rows if row.id == name)
    return row


def flat(text: str) -> str:
    """Undo the breaking of lines."""
    return " ".join(text.split())


# What is compared


@given(drafts())
def test_every_verdict_of_every_report_is_in_its_place(drafts: list[dict[str, Any]]) -> None:
    reports = drafted(drafts)
    made = compare(reports)
    assert [column.report for column in made.columns] == reports
    assert [column.number for column in made.columns] == list(range(1, len(reports) + 1))
    assert Counter(row.id for row in made.rows) == Counter(
        {one.id for each in reports for one in each.clauses}
    )
    for place, each in enumerate(reports):
        there = {row.id: row.results[place] for row in made.rows if row.results[place] is not None}
        assert there == {one.id: one for one in each.clauses}
        assert [row.id for row in made.lacking(made.columns[place])] == [
            row.id for row in made.rows if row.id not in there
        ]
    concepts = [row.id.split(".")[0] for row in made.rows]
    assert len(list(itertools.groupby(concepts))) == len(set(concepts))


def test_the_clauses_stand_in_the_order_of_the_longest_report() -> None:
    few = report(result("loss.mean"), result("loss.new"), result("batch.shift"))
    made = compare([few, RIGHT])
    ids = [one.id for one in RIGHT.clauses]
    ids.insert(ids.index("loss.mean") + 1, "loss.new")
    assert [row.id for row in made.rows] == ids


def test_what_a_row_says_of_its_clause() -> None:
    told = {row.id: (row.passed, row.same, row.found, row.differs) for row in THREE.rows}
    two = {
        row.id: (row.passed, row.same, row.found, row.differs)
        for row in compare([RIGHT, SUMMED]).rows
    }
    assert two["loss.scalar"] == two["index.rank"] == (True, True, False, False)
    assert told["loss.scalar"] == (False, False, False, False)
    assert two["index.int32"] == (True, False, False, True)
    assert two["loss.floor"] == (False, False, False, False)
    assert two["loss.mean"] == (False, False, True, False)
    failed = compare([SUMMED, ENDED, SUMMED])
    mean = row_of(failed, "loss.mean")
    assert (mean.passed, mean.same, mean.found) == (False, True, True)
    assert row_of(compare([SUMMED, SUMMED]), "batch.shape").same


def test_levels_that_differ_are_both_given() -> None:
    made = compare([report(result("loss.x", level=Level.SHOULD)), report(result("loss.x"))])
    assert row_of(made, "loss.x").levels == (Level.MUST, Level.SHOULD)
    assert "loss.x must or should" in flat(page(made).text)


@pytest.mark.parametrize(
    ("some", "said"),
    [
        ([1], "1"),
        ([1, 2], "1 and 2"),
        ([1, 2, 3], "1 to 3"),
        ([1, 3, 4, 5, 8], "1, 3 to 5 and 8"),
        ([2, 3, 5], "2, 3 and 5"),
    ],
)
def test_subjects_are_named_by_their_numbers(some: list[int], said: str) -> None:
    columns = compare([RIGHT] * 9).columns
    assert numbers([columns[number - 1] for number in some]) == said


@pytest.mark.parametrize("reports", [[], [RIGHT]])
def test_one_report_is_too_few(reports: list[Report]) -> None:
    with pytest.raises(
        TooFewReportsError, match=rf"two reports or more; there (is|are) {len(reports)}"
    ):
        compare(reports)
    with pytest.raises(TooFewReportsError, match=r"there is one, a\.json$"):
        compare([RIGHT], sources=["a.json"])


def test_reports_that_are_alike_and_whole_need_no_warning() -> None:
    assert compare([RIGHT, SUMMED]).warnings == ()


@pytest.mark.parametrize(
    ("reports", "warnings"),
    [
        (
            [RIGHT, report(*RIGHT.clauses, subject="b", contract="1.1")],
            [f"the versions of the contract differ: 1.0 in 1; 1.1 in 2. {ALIKE['contract'][1]}"],
        ),
        (
            [SUMMED, report(*RIGHT.clauses, profile="causal-lm")],
            ["the profiles differ: bigram in 1; causal-lm in 2. Each leaves out other clauses."],
        ),
        (
            [SUMMED, report(*RIGHT.clauses, seed=7)],
            [f"the seeds differ: 0 in 1; 7 in 2. {ALIKE['seed'][1]}"],
        ),
        (
            [RIGHT, SUMMED, RIGHT],
            ["1 and 3 have the same name: right.py:M. Their numbers tell them apart."],
        ),
        (
            [RIGHT, ENDED],
            [
                "2 is no whole report: ended early: interrupted.",
                "2 has no verdict on 6 of the 8 clauses.",
            ],
        ),
        (
            [SUMMED, report(*RIGHT.clauses[:-1], result("loss.uniform", Verdict.KIT_ERROR))],
            [
                "2 is no whole report: not complete: the kit itself is at fault in loss.uniform.",
            ],
        ),
        (
            [SUMMED, report(*RIGHT.clauses, selection=Selection(wanted=("loss",), of=99))],
            ["2 is not of a whole profile: 8 of 99 clauses, selected by loss."],
        ),
        (
            [
                report(*RIGHT.clauses, subject=name, selection=Selection(wanted=(), of=99))
                for name in "ab"
            ],
            [
                "1 and 2 are not of a whole profile: 8 of 99 clauses, selected by an empty list.",
            ],
        ),
    ],
)
def test_what_is_not_alike_or_not_whole_is_said_on_every_face(
    reports: list[Report], warnings: list[str]
) -> None:
    made = compare(reports)
    assert list(made.warnings) == warnings
    assert to_json(made)["warnings"] == warnings
    for warning in warnings:
        assert f"! {warning}" in flat(printed(made))
        assert warning in flat(page(made).text)


def test_why_clauses_were_not_tried_is_said_once_for_all_subjects() -> None:
    made = compare([RIGHT, SUMMED, SUMMED, ENDED])
    told = {said: numbers(columns) for said, columns in made.untried().items()}
    assert told == {
        ("blocked, because loss.mean is not kept", "loss.floor, loss.uniform"): "2 and 3",
        ("skipped, the subject has no get_batch", "batch (all 2)"): "2 and 3",
        (
            "not in this report",
            "batch.shift, index (all 2), loss.scalar, loss.floor, loss.uniform",
        ): "4",
    }
    terminal, shown = flat(printed(made)), flat(page(made).text)
    for (because, names), who in told.items():
        assert f"{who} {because}: {names}" in terminal
        assert f"{who} {because}: {names}" in shown


def test_a_report_of_selected_clauses_is_not_said_to_conform() -> None:
    chosen = report(*RIGHT.clauses, selection=Selection(wanted=("loss",), of=99))
    made = compare([chosen, SUMMED])
    for shown in (flat(printed(made)), flat(page(made).text)):
        assert "kept, with 8 of 99 clauses selected" in shown
        assert " conforms" not in shown
    subjects: Any = to_json(made)["subjects"]
    assert subjects[0]["selection"] == "8 of 99 clauses, selected by loss"
    assert (subjects[0]["conforms"], subjects[1]["selection"]) == (False, "")


# JSON

SCHEMA: dict[str, Any] = schemas.schema("comparison")
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_lists_the_verdicts_and_levels_there_are() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    parts = [part for part in SCHEMA["$defs"].values() if "properties" in part]
    assert len(parts) == 4
    for part in parts:
        assert set(part["required"]) == set(part["properties"])
        assert part["additionalProperties"] is False
    assert SCHEMA["$defs"]["Subject"]["properties"]["counts"]["required"] == list(Verdict)
    assert set(SCHEMA["$defs"]["Verdict"]["enum"]) == set(Verdict)
    assert set(SCHEMA["$defs"]["Level"]["enum"]) == set(Level)


@given(drafts())
def test_json_is_as_the_schema_says_and_holds_every_result(drafts: list[dict[str, Any]]) -> None:
    made = compare(drafted(drafts), sources=[NASTY[place] for place in range(len(drafts))])
    written: dict[str, Any] = to_json(made)
    VALIDATOR.validate(written)
    sent = json.dumps(written, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(sent) == written
    for place, column in enumerate(made.columns):
        subject = written["subjects"][place]
        clauses: Any = report_to_json(column.report)["clauses"]
        wanted = {one["id"]: {name: one[name] for name in FIELDS} for one in clauses}
        there = {one["id"]: one["results"][place] for one in written["clauses"]}
        assert {name: one for name, one in there.items() if one} == wanted
        assert subject["number"] == place + 1
        whole = column.report.selection is None and not column.report.ended
        assert subject["conforms"] == (column.report.conforms() and whole)
        assert subject["counts"] == {
            verdict: [one["verdict"] for one in clauses].count(verdict) for verdict in Verdict
        }


FIELDS = ("level", "verdict", "cause", "expected", "seen")


def test_json_tells_what_the_reports_do() -> None:
    written: Any = to_json(THREE)
    assert written["subjects"][2] == {
        "number": 3,
        "source": "ended.json",
        "subject": "ended.py:M",
        "contract": "1.0",
        "profile": "bigram",
        "seed": 0,
        "planned": 8,
        "ran": 2,
        "complete": False,
        "ended": "interrupted",
        "selection": "",
        "conforms": False,
        "counts": dict.fromkeys(Verdict, 0) | {"FAIL": 1, "CRASH": 1},
    }
    clauses = {one["id"]: one for one in written["clauses"]}
    assert clauses["index.int32"]["results"][2] is None
    assert clauses["loss.mean"]["results"][1] == {
        "level": "must",
        "verdict": "FAIL",
        "cause": "the losses are added up",
        "expected": "loss: 0.5",
        "seen": "1.0",
    }
    both: Any = to_json(compare([RIGHT, SUMMED]))
    flags = {one["id"]: (one["passed"], one["same"]) for one in both["clauses"]}
    assert flags["loss.scalar"] == (True, True)
    assert flags["index.int32"] == (True, False)
    assert flags["loss.floor"] == (False, False)


# The terminal


def printed(made: Comparison, *, width: int = 100, colour: bool = False, **options: Any) -> str:
    """Print a comparison, without colour where nothing else is said."""
    file = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=file, width=width, color_system=system, force_terminal=colour)
    print_comparison(console, made, **({"sentences": {}} | options))
    return file.getvalue()


def table(shown: str) -> list[str]:
    """Give the lines between the subjects and what is told one by one."""
    parts = re.split(r"\n\n|\n─+\n", shown)
    return parts[1].splitlines()


def in_words(row: Row) -> list[str]:
    return [f"{mark.sign} {mark.word}" for mark in row.marks]


AS_PRINTED = """\
1  right.py:M  right.json
2  summed.py:M  summed.json
3  ended.py:M  ended.json
contract 1.0, profile bigram, seed 0
! 3 is no whole report: ended early: interrupted.
! 3 has no verdict on 6 of the 8 clauses.

               1         2           3
batch
  batch.shape  ✓ kept    - skipped   ✗ crashed
  batch.shift  ✓ kept    - skipped   ? not in this report
index
  all 2        · choice  · choice    ? not in this report
loss
  loss.scalar  ✓ kept    ✓ kept      ? not in this report
  loss.mean    ✓ kept    ✗ not kept  ✗ not kept
  2 clauses    ✓ kept    - blocked   ? not in this report

RULE
batch.shape  must
x and y are (B, T).
  3  ✗ crashed
     cause: it ended the process

RULE
loss.mean  must
The loss is the mean.
  2 and 3  ✗ not kept
     likely: the losses are added up

not tried ─
  2  blocked, because loss.mean is not kept: loss.floor, loss.uniform
  2  skipped, the subject has no get_batch: batch (all 2)
  3  not in this report: batch.shift, index (all 2), loss.scalar,
     loss.floor, loss.uniform

choices ─
the notes leave these open: no answer is wrong
index.int32
  1  refused
  2  looked up
1 choice in which no two subjects differ

summary ─
1  right.py:M: 8 planned, 8 ran, 0 skipped, 0 blocked: conforms
2  summed.py:M: 8 planned, 4 ran, 2 skipped, 2 blocked: does not
   conform: 1 must, 0 should
3  ended.py:M: ended early: interrupted. 8 planned, 2 ran, 0 skipped,
   0 blocked: does not conform: 2 must, 0 should
"""
"""What a person reads, with the lines that fill a row cut short."""


def test_the_terminal_reads_well() -> None:
    shown = printed(THREE, width=70).replace("─" * 70, "RULE")
    assert re.sub("─+", "─", shown) == AS_PRINTED


@given(drafts(), st.booleans())
def test_the_table_gives_every_verdict_once_in_its_column(
    drafts: list[dict[str, Any]], verbose: bool
) -> None:
    made = compare(drafted(drafts))
    lines = [
        re.split(r" {2,}", line.strip())
        for line in table(printed(made, width=160, verbose=verbose))
    ]
    seen = Counter[tuple[str, ...]]()
    for name, *cells in lines[1:]:
        if cells:
            count = re.fullmatch(r"(?:all )?(\d+)(?: (?:clause|choice)s?)?", name)
            seen[tuple(cells)] += int(count[1]) if count else 1
    assert seen == Counter(tuple(in_words(row)) for row in made.rows)
    named = {line[0]: line[1:] for line in lines}
    for row in made.rows:
        if verbose or row.found:
            assert named[row.id] == in_words(row)


def test_only_what_is_not_passed_by_all_is_named_in_the_table() -> None:
    names = {line.split()[0] for line in table(printed(compare([RIGHT, SUMMED])))}
    assert "loss.mean" in names
    assert "loss.scalar" not in names
    assert "1 clause" in printed(compare([RIGHT, SUMMED]))
    every = {line.split()[0] for line in table(printed(compare([RIGHT, SUMMED]), verbose=True))}
    assert {one.id for one in RIGHT.clauses} < every


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_narrow_terminal_has_signs_that_fit_and_says_what_they_mean(width: int) -> None:
    shown = printed(THREE, width=width, verbose=True)
    assert max(map(len, shown.splitlines())) <= width
    assert not any(line != line.rstrip() for line in shown.splitlines())
    if width < 60:
        lines = [line.split() for line in table(shown)]
        signs = {name: cells for name, *cells in lines if cells}
        for row in THREE.rows:
            assert signs[row.id] == [mark.sign for mark in row.marks]
        for told in ("✓ kept", "- skipped or blocked", "✗ crashed or not kept", "· choice"):
            assert told in flat(shown)
        assert f"{ABSENT.sign} {ABSENT.word}" in flat(shown)
    else:
        assert "skipped or blocked" not in shown


def test_a_terminal_without_room_loses_nothing() -> None:
    shown = "".join(printed(THREE, width=12).split())
    for said in ("loss.mean", "✗crashed", "itendedtheprocess", "thelossesareaddedup"):
        assert said in shown
    assert "?notinthisreport" in shown
    assert "endedearly:interrupted.8planned,2ran" in shown


def test_many_subjects_are_shown_some_at_a_time() -> None:
    many = [report(result("loss.x", list(Verdict)[place % len(Verdict)])) for place in range(40)]
    shown = printed(compare(many), width=60)
    assert max(map(len, shown.splitlines())) <= 60
    heads = [line.split() for line in shown.splitlines() if re.fullmatch(r"\s+\d+( +\d+)+", line)]
    assert [int(number) for head in heads for number in head] == list(range(1, 41))
    rows = [line.split()[1:] for line in shown.splitlines() if line.startswith("  loss.x ")]
    signs = [mark_of(each.clauses[0]).sign for each in many]
    assert [sign for row in rows for sign in row] == signs
    assert [len(row) for row in rows] == [len(head) for head in heads]


def test_a_cause_is_said_once_for_all_that_share_it() -> None:
    shown = flat(printed(THREE))
    assert shown.count("the losses are added up") == 1
    assert "2 and 3 ✗ not kept likely: the losses are added up" in shown
    other = report(result("loss.mean", Verdict.FAIL, cause="it is halved"))
    shown = flat(printed(compare([SUMMED, other])))
    assert "1 ✗ not kept likely: the losses are added up 2 ✗ not kept likely: it is halved" in shown


def test_a_sentence_is_lent_to_reports_that_were_read_back() -> None:
    made = compare([SUMMED, SUMMED])
    assert "Lent." in printed(made, sentences={"loss.mean": "Lent."})
    assert "Lent." not in printed(THREE, sentences={"loss.mean": "Lent."})


def test_what_is_counted_is_called_what_it_is() -> None:
    several = [result("loss.x"), *(choice(f"loss.{name}", "refused") for name in "abc")]
    made = compare([report(*several), report(*several)])
    assert {"1 clause", "3 choices"} <= {line[:11].strip() for line in table(printed(made))}
    assert "3 choices in which no two subjects differ" in printed(made)


def test_what_was_not_recorded_of_a_choice_is_said() -> None:
    made = compare([report(choice("index.x", "")), report(choice("index.x", "refused"))])
    assert "index.x 1 nothing was recorded 2 refused" in flat(printed(made))
    assert "index.x 1 nothing was recorded2 refused" in flat(page(made).text)


def test_many_numbers_stand_above_what_is_said_of_them() -> None:
    bad = report(result("loss.x", Verdict.FAIL, cause="it is halved, " * 5))
    shown = printed(compare([bad, report(result("loss.x"))] * 12), width=40)
    assert max(map(len, shown.splitlines())) <= 40
    assert "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21 and 23 ✗ not kept likely: it is" in flat(shown)


def test_a_long_id_goes_on_in_the_next_line() -> None:
    name = "loss.a-rule-with-a-name-too-long-for-a-line"
    shown = printed(compare([report(result(name, Verdict.FAIL)), report(result(name))]), width=33)
    first, *more = table(shown)[2:]
    assert first.endswith("  ✗  ✓")
    assert "".join([first.split()[0], *(line.strip() for line in more)]) == name


def test_verbose_tells_every_choice() -> None:
    shown = printed(compare([RIGHT, SUMMED]), verbose=True)
    assert "index.rank\n  1 and 2  refused\n" in shown
    assert "no two subjects differ" not in shown


def test_colour_tells_good_from_bad() -> None:
    shown = printed(THREE, colour=True)
    assert "\x1b[32m✓ kept\x1b[0m" in shown
    assert "\x1b[1;31m✗ not kept\x1b[0m" in shown
    assert "\x1b[1;32mconforms\x1b[0m" in shown
    assert "\x1b[1;31mdoes not conform: " in shown


@given(drafts(), st.sampled_from((30, 100)), st.booleans())
def test_no_text_of_a_subject_steers_the_terminal(
    drafts: list[dict[str, Any]], width: int, verbose: bool
) -> None:
    made = compare(drafted(drafts), sources=[NASTY[place] for place in range(len(drafts))])
    coloured = printed(made, width=width, colour=True, verbose=verbose)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert shown.replace("\n", "").isprintable()
    together = "".join(shown.split())
    for place, column in enumerate(made.columns):
        assert "".join(printable(column.report.subject).split()) in together
        assert "".join(printable(NASTY[place]).split()) in together
        for one in column.report.clauses:
            if one.verdict in LISTED:
                assert "".join(printable(one.cause, lines=True).split()) in together


# The page

VOID = {"meta", "br", "hr", "link", "img", "wbr", "input"}


class Page(HTMLParser):
    """What stands in a page; it complains where an element is not closed, or closed twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.rows: list[list[tuple[dict[str, str | None], str]]] = []
        self.links: dict[str, set[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""
        if {"td", "th"} & set(self.open):
            attrs, before = self.rows[-1][-1]
            self.rows[-1][-1] = attrs, before + data

    def values(self, name: str) -> list[str]:
        """Give every value of an attribute."""
        return [attrs[name] or "" for _tag, attrs in self.tags if name in attrs]

    def names(self) -> list[str]:
        """Give every tag."""
        return [tag for tag, _attrs in self.tags]

    def verdicts(self) -> dict[str, list[str]]:
        """Give what stands in the cells of each clause's row, by its id."""
        rows = [row for row in self.rows if row[0][0].get("scope") == "row"]
        ids = [row[0][1].split()[0] for row in rows]
        assert len(ids) == len(set(ids))
        return {
            name: [flat(cell) for _attrs, cell in row[1:]]
            for name, row in zip(ids, rows, strict=True)
        }


def page(made: Comparison) -> Page:
    return Page(to_html(made, ()))


def in_page(one: Result | None) -> str:
    """Say what the page shows of a verdict; of a choice, what the subject does."""
    if one is None:
        return f"{ABSENT.sign} {ABSENT.word}"
    mark = mark_of(one)
    word = (one.seen or "nothing was recorded") if is_choice(one) else mark.word
    return flat(f"{mark.sign} {printable(word)}")


@given(drafts())
def test_every_cell_of_the_page_shows_the_reports_verdict(drafts: list[dict[str, Any]]) -> None:
    made = compare(drafted(drafts))
    shown = page(made)
    assert shown.verdicts() == {row.id: list(map(in_page, row.results)) for row in made.rows}
    if made.rows:
        heads = [cell for _attrs, cell in shown.rows[0][1:]]
        assert [flat(head) for head in heads] == [
            flat(f"{column.number} {printable(column.report.subject)}") for column in made.columns
        ]


def test_every_verdict_has_a_sign_a_word_and_a_place_that_tells_more() -> None:
    several = [
        report(*(result(f"loss.{name}", verdict, cause=f"why {name}") for name in "ab"))
        for verdict in Verdict
    ]
    made = compare(several)
    shown = page(made)
    cells = shown.verdicts()["loss.a"]
    assert len(set(cells)) == len(Verdict)
    text = flat(shown.text)
    for each in several:
        one = each.clauses[0]
        if one.verdict in LISTED:
            assert f": {mark_of(one).sign} {mark_of(one).word} " in text
            assert text.count("why a") >= len(LISTED)
    ids = set(shown.values("id"))
    assert {link.removeprefix("#") for link in shown.values("href")} <= ids


@given(drafts())
def test_every_clause_can_be_linked_to_and_every_link_leads_somewhere(
    drafts: list[dict[str, Any]],
) -> None:
    made = compare(drafted(drafts))
    shown = page(made)
    ids = shown.values("id")
    assert len(ids) == len(set(ids))
    assert {row.id for row in made.rows} <= set(ids)
    assert {link.removeprefix("#") for link in shown.values("href")} <= set(ids)
    assert set(shown.values("aria-labelledby")) <= set(ids)
    assert set(shown.values("for")) <= set(ids)


def test_a_cell_leads_to_its_cause() -> None:
    text = to_html(THREE, ())
    cells = re.search(r'<tr><th scope="row"><span class="id"><a href="#loss.mean">.*', text)
    assert cells is not None
    assert re.findall(
        r'<td class="(\w+)"><(?:a href="#([\w.-]+)"|span) class="cell">', cells[0]
    ) == [
        ("good", ""),
        ("bad", "loss.mean"),
        ("bad", "loss.mean"),
    ]
    assert '<td class="quiet"><a href="#not-tried" class="cell">' in text
    assert '<td class="open"><a href="#index.int32" class="cell">' in text


def test_the_page_tells_the_cause_what_was_expected_and_how_to_try_it_again() -> None:
    text = flat(page(THREE).text)
    assert (
        "loss.mean must The loss is the mean. 2 summed.py:M: ✗ not kept "
        "likely the losses are added up expected loss: 0.5 saw 1.0 the case, to be tried again "
        f'the smallest case: {{"C": 2}} replay: {COMMAND} 3 ended.py:M: ✗ not kept '
        "likely the losses are added up ✓ kept: 1"
    ) in text
    assert "3 ended.py:M: ✗ crashed cause it ended the process ✓ kept: 1 - skipped: 2" in text
    lacking = compare([SUMMED, report(result("loss.scalar"))])
    assert f"replay: {COMMAND} ? not in this report: 2" in flat(page(lacking).text)


def test_the_page_tells_what_each_subject_does_where_the_notes_leave_it_open() -> None:
    text = flat(page(THREE).text)
    assert "The notes leave these open: no answer is wrong." in text
    assert "index.int32 1 refused2 looked up index.rank 1 and 2 refused" in text
    failed = report(result("index.int32", Verdict.CRASH, level=Level.CHOICE, cause="it ended"))
    made = compare([RIGHT, SUMMED, failed])
    text = flat(page(made).text)
    assert "3 right.py:M: ✗ crashed cause it ended · choice: 1 and 2 1 refused2 looked up" in text


def test_the_subjects_come_first_with_what_each_report_comes_to() -> None:
    text = flat(page(THREE).text)
    for said in (
        "3 subjects compared Held against the same contract 1.0, profile bigram, seed 0.",
        "1 right.py:M from right.json ✓ conforms Every must and every should",
        "3 ended.py:M from ended.json ended early: interrupted ✗ does not conform: 2 must",
    ):
        assert said in text
    html = to_html(THREE, ())
    assert re.findall(r'<li class="(\w+)">', html) == ["good", "bad", "bad"]
    unlike = compare(
        [report(contract="1", profile="a", seed=1), report(contract="2", profile="b", seed=2)]
    )
    assert "Nothing about the runs is the same." in page(unlike).text


def test_rows_that_tell_nothing_are_hidden_at_first_and_counted() -> None:
    text = to_html(compare([RIGHT, SUMMED]), ())
    hidden = re.findall(r'<tr id="([\w.-]+)" class="rest">', text)
    assert hidden == ["batch.shape", "batch.shift", "loss.scalar", "loss.floor", "loss.uniform"]
    assert re.findall(
        r'<tr class="rest"><th scope="row"><span class="id"><a href="#([\w.]+)"', text
    ) == ["index.rank"]
    assert "differ: 2 of 8 clauses" in flat(Page(text).text)
    assert re.search(r'<input type="checkbox" id="few" [^>]*checked>', text)
    assert "#few:checked ~ .scroll .rest:not(:target) { display: none; }" in text


def test_concepts_are_headed_by_counts_for_each_subject() -> None:
    shown = page(THREE)
    heads = {
        row[0][1]: [cell for _attrs, cell in row[1:]]
        for row in shown.rows
        if row[0][0].get("scope") == "rowgroup"
    }
    assert heads == {
        "batch": ["✓ 2 kept", "- 2 skipped", "✗ 1 crashed? 1 not in this report"],
        "index": ["· 2 choices", "· 2 choices", "? 2 not in this report"],
        "loss": [
            "✓ 4 kept",
            "✓ 1 kept✗ 1 not kept- 2 blocked",
            "✗ 1 not kept? 3 not in this report",
        ],
    }


def test_the_page_is_one_for_everybody() -> None:
    shown = page(THREE)
    assert shown.tags[0] == ("html", {"lang": "en"})
    assert shown.names().count("h1") == shown.names().count("main") == 1
    headings = [int(tag[1]) for tag in shown.names() if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    scopes = Counter(attrs.get("scope") for tag, attrs in shown.tags if tag == "th")
    assert scopes == {"col": 4, "rowgroup": 3, "row": 8}
    assert "caption" in shown.names()
    assert ("region", "0") in [
        (attrs.get("role"), attrs.get("tabindex")) for _tag, attrs in shown.tags
    ]
    assert "width=device-width, initial-scale=1" in shown.values("content")
    assert "light dark" in shown.values("content")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = to_html(THREE, catalogue())
    shown = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(shown.names())
    assert shown.values("src") == []
    assert all(link.startswith("#") for link in shown.values("href"))
    assert not re.search(r"https?:|//|url\(|@import", text)


def test_the_page_lends_the_clauses_sentences() -> None:
    clause = next(clause for clause in catalogue() if clause.id == "loss.uniform")
    made = compare([report(result(clause.id, Verdict.FAIL))] * 2)
    assert flat(Page(to_html(made, catalogue())).text).count(clause.sentence) == 2
    own = compare([report(result(clause.id, sentence="Its own."))] * 2)
    text = Page(to_html(own, catalogue())).text
    assert "Its own." in text
    assert clause.sentence not in text


def test_a_comparison_without_a_clause_says_so() -> None:
    made = compare([report(), report()])
    for shown in (page(made).text, printed(made)):
        assert "No report has a verdict on any clause." in shown


@given(drafts())
def test_no_text_of_a_subject_becomes_markup(drafts: list[dict[str, Any]]) -> None:
    made = compare(drafted(drafts), sources=[NASTY[place] for place in range(len(drafts))])
    text = to_html(made, ())
    text.encode("utf-8")
    shown = Page(text)
    assert "script" not in shown.names()
    assert "onload" not in {name for _tag, attrs in shown.tags for name in attrs}
    assert shown.text.replace("\n", "").isprintable()
    for place, column in enumerate(made.columns):
        assert printable(NASTY[place]) in shown.text
        assert printable(column.report.subject) in shown.text
        for one in column.report.clauses:
            if one.verdict in LISTED:
                for said in (one.cause, one.expected, one.seen):
                    assert printable(said, lines=True) in shown.text
                assert printable(one.replay) in shown.text


def test_names_of_any_direction_leave_their_surroundings_in_place() -> None:
    hebrew = "\u05d0\u05d1"
    text = to_html(compare([report(subject=hebrew), report(result("loss.x"), subject=hebrew)]), ())
    named = re.findall(
        rf"(.{{5}}){hebrew}(.{{6}})", re.sub("<title>.*|<li>1 and 2 have.*", "", text)
    )
    assert len(named) == 4
    assert set(named) == {("<bdi>", "</bdi>")}


def parts(colour: str) -> list[float]:
    """Give red, green and blue, from 0 to 1."""
    full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    return [int(full[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Give the contrast of two colours, as WCAG defines it."""

    def luminance(colour: Sequence[float]) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_what_stands_on_a_tint_can_be_read_by_day_and_by_night() -> None:
    text = to_html(THREE, ())
    assert "td.bad { background: color-mix(in srgb, var(--bad) 10%, var(--paper)); }" in text
    assert ".concept > * { background: var(--block); }" in text
    themes = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = {name: parts(colour) for name, colour in re.findall(r"--(\w+): (#\w+);", theme)}
        for name in ("ink", "good", "bad", "odd", "open", "quiet"):
            assert contrast(colours[name], colours["block"]) >= 4.5
        both = zip(colours["bad"], colours["paper"], strict=True)
        assert contrast(colours["bad"], [0.1 * bad + 0.9 * paper for bad, paper in both]) >= 4.5


# The command


def run(*arguments: str) -> int:
    """Run the command in this process, and give its exit code."""
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working folder with three reports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name, each in (("right", RIGHT), ("summed", SUMMED), ("ended", ENDED)):
        (tmp_path / f"{name}.json").write_text(json.dumps(report_to_json(each)))
    return tmp_path


@pytest.mark.parametrize(("command", "name"), [("check", "report"), ("compare", "comparison")])
def test_the_schema_is_printed_for_no_subject(
    capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    assert run(command, "--schema") == 0
    assert json.loads(capsys.readouterr().out) == schemas.schema(name)


SENTENCES = {clause.id: clause.sentence for clause in catalogue()}
THE_THREE = ("right.json", "summed.json", "ended.json")


@pytest.mark.usefixtures("folder")
def test_a_comparison_is_made_whatever_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *THE_THREE) == 0
    shown = flat(capsys.readouterr().out)
    assert "loss.mean ✓ kept ✗ not kept ✗ not kept" in shown
    assert "2 and 3 ✗ not kept likely: the losses are added up" in shown
    assert "loss.uniform ✓" not in shown
    assert SENTENCES["batch.shape"] in shown
    assert run("compare", *THE_THREE, "--verbose") == 0
    assert "loss.uniform ✓ kept - blocked" in flat(capsys.readouterr().out)


def test_the_page_is_written_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *THE_THREE, "--html", "out.html") == 0
    assert "✗ not kept" in capsys.readouterr().out
    shown = Page((folder / "out.html").read_text(encoding="utf-8"))
    assert shown.verdicts() == {row.id: list(map(in_page, row.results)) for row in THREE.rows}
    assert SENTENCES["batch.shape"] in flat(shown.text)
    assert {path.name for path in folder.iterdir()} == {*THE_THREE, "out.html"}


@pytest.mark.usefixtures("folder")
def test_json_goes_to_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", *THE_THREE, "--json", "--html", "out.html") == 0
    written = json.loads(capsys.readouterr().out)
    VALIDATOR.validate(written)
    assert written == json.loads(json.dumps(to_json(THREE)))


def test_what_check_prints_is_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "--clause", "softmax.range", "--examples", "2", "--json") == 0
    (folder / "own.json").write_text(capsys.readouterr().out)
    assert run("compare", "own.json", "right.json", "--json") == 0
    written = json.loads(capsys.readouterr().out)
    clauses = {one["id"]: one["results"] for one in written["clauses"]}
    assert clauses["softmax.range"][0]["verdict"] == "PASS"
    assert clauses["softmax.range"][1] is None
    assert clauses["loss.mean"][0] is None
    assert written["subjects"][0]["subject"] == "the reference"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_report_may_be_in_any_encoding_of_json(folder: Path, encoding: str) -> None:
    named = report(*SUMMED.clauses, subject="größer.py:M")
    text = json.dumps(report_to_json(named), ensure_ascii=False)
    (folder / "other.json").write_text(text, encoding=encoding)
    assert report_to_json(read_report(folder / "other.json")) == json.loads(text)


DEEP = json.dumps(report_to_json(SUMMED)).replace(
    '{"C": 2}', '{"C": ' + "[" * 200 + "]" * 200 + "}"
)
TWICE = json.dumps(report_to_json(RIGHT)).replace('"seed": 0', '"seed": 0, "seed": 1')
WRONG_COUNT = json.dumps(report_to_json(RIGHT) | {"ran": 3})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "odd.json cannot be read as JSON: Expecting value"),
        ("{", "odd.json cannot be read as JSON: Expecting property name"),
        ('{"a": NaN}', "odd.json cannot be read as JSON: NaN is no number there"),
        (TWICE, "odd.json cannot be read as JSON: 'seed' stands twice in one object"),
        ("[" * 100_000, "odd.json cannot be read as JSON: it is nested deeper"),
        (b"\xff\x80\x80", "odd.json cannot be read as JSON: 'utf-8' codec can't decode"),
        ("1" * 5_000, "odd.json cannot be read as JSON: Exceeds the limit"),
        (DEEP, "odd.json cannot be read as JSON: it is nested deeper than 100"),
        ("[]", "odd.json is no report of `bigram check --json`: Expected `object`, got `array`"),
        (r'{"\n\u001b[31m": 1}', r"--json`: Object contains unknown field `\n\x1b[31m`"),
        (WRONG_COUNT, "odd.json is no report of `bigram check --json`: ran is 3; by the clauses"),
    ],
)
def test_what_is_no_report_is_2_and_said_in_one_line(
    folder: Path, content: str | bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    (folder / "odd.json").write_bytes(raw)
    assert run("compare", "right.json", "odd.json", "--html", "out.html") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in shown.err
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert shown.err.rstrip("\n").isprintable()
    assert not (folder / "out.html").exists()
    with pytest.raises(ReportError, match=re.escape(says)):
        read_report(Path("odd.json"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["right.json"], "two reports or more; there is one, right.json"),
        ([], "Missing argument"),
        (["right.json", "no.json"], "no.json cannot be read: No such file or directory"),
        (["right.json", "a\n\x1b[1mb"], r"a\n\x1b[1mb cannot be read: No such file"),
        (["right.json", "."], ". cannot be read: Is a directory"),
        (["right.json", "summed.json", "--html", "no/out.html"], "there is no folder"),
        (["right.json", "summed.json", "--html", "."], "it is a folder"),
        (["right.json", "summed.json", "--html", "./summed.json"], "which is an input"),
        (["right.json", "no.json", "--html", "no/out.html"], "there is no folder"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_right(
    folder: Path, arguments: Sequence[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run("compare", *arguments) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.out == ""
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_is_not_there_has_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ReportFileError, match="No such file"):
        read_report(tmp_path / "no.json")
    with pytest.raises(ReportFileError, match=r"^a\\x00b cannot be read: embedded null"):
        read_report(Path("a\0b"))


def test_a_page_that_cannot_be_written_is_3_and_the_comparison_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "full.html").symlink_to("/dev/full")
    for option in ((), ("--json",)):
        assert run("compare", *THE_THREE, "--html", "full.html", *option) == 3
        shown = capsys.readouterr()
        assert "loss.uniform" in shown.out
        assert shown.err.endswith("error: full.html cannot be written: No space left on device\n")


def test_a_link_to_a_page_stays(folder: Path) -> None:
    (folder / "link.html").symlink_to("out.html")
    assert run("compare", *THE_THREE, "--html", "link.html") == 0
    assert (folder / "link.html").is_symlink()
    assert "<html" in (folder / "out.html").read_text()
