import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, Literal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator
from rich.console import Console

from reference.conformance.reports import comparison_page, schemas
from reference.conformance.reports.comparison import compare
from reference.conformance.reports.junit import to_junit
from reference.conformance.reports.report_json import ReportError, from_json, to_json
from reference.conformance.reports.report_page import TONES, ShownReport, fragment, to_html
from reference.conformance.reports.report_terminal import print_report
from reference.conformance.reports.wording import MARKS, summary
from reference.conformance.verdicts import Report, Result, Selection, Verdict
from reference.errors import printable
from reference.spec.catalogue import catalogue
from reference.spec.clause import Level

CAUSE = "the losses of the positions are added up"
CODE = "vocab_size = 2\nidx = torch.tensor([[0, 0]])"
REPLAY = "bigram check my_model.py:GPT --seed 1337 " + "--clause loss.mean " * 9 + "--case '{}'"
NASTY = (
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "\x00\x7f\x9b",
    "[/red] [bold]x[/] :smile:",
    "</style></pre><script>alert(1)</script>",
    '"\' onload="x" ]]> &amp; $title',
    "\ud800 lone",
    "\u202egnorw\u2028\u2066",
    "a\r\n\tb\x0cc",
    "\ufffe\uffff\xa0",
)
"""What a subject's own strings may hold: each would harm a face that believed it."""


def result(name: str = "loss.mean", verdict: Verdict = Verdict.PASS, **fields: object) -> Result:
    """Make a result, of a must where nothing else is said."""
    usual: dict[str, Any] = {"level": Level.MUST, "sentence": f"What {name} promises."}
    return Result(id=name, verdict=verdict, **(usual | fields))


def report(*results: Result, **fields: object) -> Report:
    """Make a report, of a run that went to its end where nothing else is said."""
    usual: dict[str, Any] = {
        "subject": "my_model.py:GPT",
        "contract": "1.0",
        "profile": "bigram",
        "seed": 1337,
        "planned": len(results),
    }
    return ShownReport(clauses=results, **(usual | fields))


FAILURE = result(
    verdict=Verdict.FAIL,
    cause=CAUSE,
    expected="loss: 0.6931472",
    seen="1.386294",
    case={"C": 2, "idx": ((0, 0),)},
    code=CODE,
    replay=REPLAY,
    seconds=0.25,
)
PASSING = report(
    result("batch.shape", seconds=0.5),
    result("loss.scalar"),
    result("loss.ignore-index", level=Level.CHOICE, seen="left out"),
    result("loss.layout"),
)
EVERY = report(
    result("batch.shape"),
    result("batch.dtype", Verdict.SKIP, cause="the subject has no get_batch"),
    FAILURE,
    result("loss.floor", Verdict.BLOCKED, cause="loss.mean"),
    result("loss.uniform", Verdict.BLOCKED, cause="loss.mean"),
    result("loss.range", Verdict.XFAIL, cause="waived: on purpose (it wraps round)"),
    result("loss.row-shift", Verdict.XPASS, cause="take the waiver back"),
    result("loss.ignore-index", level=Level.CHOICE, seen="left out"),
    result("generate.law", Verdict.CRASH, cause="it ended the process"),
    result("generate.stream", Verdict.TIMEOUT, cause="it took longer than 60 s"),
    result("generate.shape", Verdict.MALFORMED, cause="the answer to generate has no idx"),
    result("generate.pure", Verdict.FAIL, cause="it writes", level=Level.SHOULD),
    result("generate.zero", Verdict.KIT_ERROR, cause="KeyError"),
    notes=("line 12 was skipped",),
)
NOT_WELL = [
    one for one in EVERY.clauses if one.verdict not in {Verdict.PASS, Verdict.SKIP, Verdict.BLOCKED}
]


def test_the_samples_hold_every_verdict() -> None:
    assert {one.verdict for one in EVERY.clauses} == set(Verdict) == set(MARKS)


texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=()), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=2)
    ),
    max_leaves=5,
)
selections = st.fixed_dictionaries(
    {
        "wanted": st.lists(texts, max_size=3).map(tuple),
        "of": st.integers(7, 200),
        "replayed": st.booleans(),
    }
)
IDS = [f"{concept}.{rule}" for concept in ("loss", "batch", "a-b") for rule in ("x", "y-1", "z.w")]


@st.composite
def drafts(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the fields of a report in which nothing is as it should be but the ids.

    The report itself is made in the test: beartype looks into a list at a random place, which
    Hypothesis does not want to see while it draws.
    """
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=6))
    results = [
        {
            "id": name,
            "level": draw(st.sampled_from(Level)),
            "verdict": draw(st.sampled_from(Verdict)),
            "sentence": draw(texts),
            "cause": draw(texts | st.sampled_from(IDS)),
            "expected": draw(texts),
            "seen": draw(texts),
            "case": draw(st.none() | st.dictionaries(texts, values, max_size=2)),
            "code": draw(texts),
            "replay": draw(texts),
            "seconds": draw(st.floats()),
        }
        for name in ids
    ]
    return {
        "subject": draw(texts),
        "contract": draw(texts),
        "profile": draw(texts),
        "seed": draw(st.integers(0, 2**64)),
        "planned": len(ids) + draw(st.sampled_from((0, 0, 0, 1))),
        "clauses": results,
        "notes": tuple(draw(st.lists(texts, max_size=2))),
        "ended": draw(st.just("") | texts),
        "selection": draw(st.none() | selections),
    }


def drafted(draft: dict[str, Any]) -> Report:
    """Make the report."""
    selection = draft["selection"]
    return Report(
        **draft
        | {
            "clauses": tuple(Result(**one) for one in draft["clauses"]),
            "selection": None if selection is None else Selection(**selection),
        }
    )


levels = st.sampled_from((Level.MUST, Level.SHOULD))


# The outcome, which all faces have from one place


def test_a_report_without_a_finding_conforms() -> None:
    said = summary(PASSING, level=Level.SHOULD)
    assert said.line == "4 planned, 4 ran, 0 skipped, 0 blocked: conforms"
    assert said.meaning == "Every must and every should that could be tried is kept."


def test_what_is_broken_is_counted_by_level_and_named() -> None:
    said = summary(
        report(*(one for one in EVERY.clauses if one.id != "generate.zero")), level=Level.SHOULD
    )
    assert said.line == (
        "12 planned, 9 ran, 1 skipped, 2 blocked, 1 waived: "
        "does not conform: 4 must, 1 should, 1 waiver to be taken back"
    )
    assert said.meaning == (
        "Not kept: loss.mean, generate.law, generate.stream, generate.shape, generate.pure. "
        "Waived, yet kept, so that the waiver must go: loss.row-shift."
    )


def test_shoulds_are_left_out_at_level_must() -> None:
    broken = report(result(), result("loss.nice", Verdict.FAIL, level=Level.SHOULD))
    assert summary(broken, level=Level.SHOULD).outcome == "does not conform: 0 must, 1 should"
    assert summary(broken, level=Level.MUST).outcome == "conforms"
    meaning = summary(broken, level=Level.MUST).meaning
    assert meaning == "Every must that could be tried is kept."


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({"ended": "out of memory."}, "ended early: out of memory. 1 planned"),
        ({"planned": 3}, "not complete: 1 of 3 clauses have a verdict. 3 planned"),
    ],
)
def test_a_run_that_is_not_whole_says_so_first_and_is_no_pass(
    fields: dict[str, Any], first: str
) -> None:
    said = summary(report(result(), **fields), level=Level.SHOULD)
    assert said.line.startswith(first)
    assert said.outcome == "no pass"
    assert said.meaning == "Nothing was found, but not every clause was judged."
    assert not said.conforms


def test_a_fault_of_the_kit_is_no_pass_and_no_failure() -> None:
    said = summary(report(result(), result("loss.x", Verdict.KIT_ERROR)), level=Level.SHOULD)
    assert said.unfinished == "not complete: the kit itself is at fault in loss.x"
    assert said.outcome == "no pass"


def test_a_run_in_which_nothing_ran_is_no_pass() -> None:
    said = summary(report(result(verdict=Verdict.SKIP)), level=Level.SHOULD)
    assert (said.outcome, said.meaning) == (
        "no pass",
        "No clause was tried, so nothing is known.",
    )


def test_a_pass_with_waivers_says_so() -> None:
    said = summary(report(result(), result("loss.x", Verdict.XFAIL)), level=Level.SHOULD)
    assert said.line.endswith("0 blocked, 1 waived: conforms")
    assert said.meaning.endswith("is kept, but for 1 that is waived.")
    waived = [result(f"loss.{name}", Verdict.XFAIL) for name in "xy"]
    said = summary(report(result(), *waived), level=Level.SHOULD)
    assert said.meaning.endswith("is kept, but for 2 that are waived.")


SELECTION = Selection(wanted=("loss", "batch.shape"), of=114)
CHOSEN = replace(PASSING, selection=SELECTION)
REPLAYED = replace(
    report(result()), selection=Selection(wanted=("loss.mean",), of=114, replayed=True)
)


def test_a_run_of_selected_clauses_does_not_say_that_the_subject_conforms() -> None:
    said = summary(CHOSEN, level=Level.SHOULD)
    assert said.outcome == "kept, with 4 of 114 clauses selected"
    assert said.meaning == (
        "Every must and every should that could be tried is kept. The other 110 clauses were not "
        "selected."
    )
    assert (said.conforms, said.passed) == (False, True)
    assert CHOSEN.conforms()


def test_a_replay_does_not_say_that_the_subject_conforms() -> None:
    said = summary(REPLAYED, level=Level.SHOULD)
    assert said.outcome == "kept, with one case replayed"
    assert said.meaning.endswith("is kept. Only one saved case was tried.")
    assert (said.conforms, said.passed) == (False, True)


def test_a_selection_that_is_broken_does_not_conform() -> None:
    said = summary(replace(report(FAILURE), selection=SELECTION), level=Level.SHOULD)
    assert said.outcome == "does not conform: 1 must, 0 should"
    assert (said.conforms, said.passed) == (False, False)


@pytest.mark.parametrize(
    ("made", "what", "outcome"),
    [
        (
            CHOSEN,
            "4 of 114 clauses, selected by loss, batch.shape",
            "kept, with 4 of 114 clauses selected",
        ),
        (REPLAYED, "one saved case of loss.mean", "kept, with one case replayed"),
    ],
)
def test_every_face_records_the_selection(made: Report, what: str, outcome: str) -> None:
    shown = flat(printed(made, width=200))
    assert f"contract 1.0, profile bigram, seed 1337 {what}" in shown
    assert outcome in shown
    page = to_html(made, catalogue(None))
    assert f"Held against contract 1.0, profile bigram, seed 1337; {what}." in page
    assert outcome in page
    assert outcome in fragment(made)
    assert 'class="outcome good"' in page
    named = suite(made).find(f"properties/property[@name='selection'][@value='{what}']")
    assert named is not None
    written = to_json(made)
    VALIDATOR.validate(written)
    assert made.selection is not None
    assert written["selection"] == {
        "wanted": list(made.selection.wanted),
        "of": 114,
        "replayed": made.selection.replayed,
    }
    for text in (shown, page, fragment(made), to_junit(made)):
        assert "conforms" not in text


@given(drafts(), levels)
def test_the_outcome_is_the_verdicts_own(draft: dict[str, Any], level: Level) -> None:
    made = drafted(draft)
    said = summary(made, level=level)
    assert said.passed == (made.conforms(level=level) and not made.ended)
    assert said.conforms == (said.passed and made.selection is None)
    assert ("conforms" in said.outcome) == said.conforms


@given(texts)
def test_escaped_text_prints_and_loses_nothing(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, lines=True).replace("\n", "").isprintable()
    if "\\" not in text:
        escapes = re.compile(r"\\(x..|u.{4}|U.{8}|[nrt])")
        back = escapes.sub(lambda one: one[0].encode().decode("unicode_escape"), printable(text))
        assert back == text


# The terminal


def printed(made: Report, *, width: int = 80, colour: bool = False, **options: Any) -> str:
    """Print a report, without colour where nothing else is said."""
    file = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=file, width=width, color_system=system, force_terminal=colour)
    print_report(console, made, **options)
    return file.getvalue()


def flat(text: str) -> str:
    """Undo the breaking of lines."""
    return " ".join(text.split())


AS_PRINTED = """\
my_model.py:GPT
contract 1.0, profile bigram, seed 1337

batch     ✓ 1 kept   - 1 skipped
loss      ✗ 1 not kept   ≠ 1 waived   · 1 choice   - 2 blocked
generate  ✗ 1 crashed   ! 1 kit at fault

RULE
✗ loss.mean  must, FAIL: not kept
What loss.mean promises.
likely:   the losses of the positions are added up
expected: loss: 0.6931472
saw:      1.386294
the smallest case:
vocab_size = 2
idx = torch.tensor([[0, 0]])
replay: REPLAY

RULE
✗ generate.law  must, CRASH: crashed
What generate.law promises.
cause:    it ended the process

RULE
! generate.zero  must, KIT-ERROR: kit at fault
What generate.zero promises.
cause:    KeyError

RULE
≠ loss.range  must, XFAIL: waived
What loss.range promises.
cause:    waived: on purpose (it wraps round)

blocked: not tried ─
  because loss.mean is not kept: loss.floor, loss.uniform

skipped: not tried ─
  the subject has no get_batch: batch.dtype

choices ─
  the notes leave these open: no answer is wrong
  loss.ignore-index: left out

notes ─
  line 12 was skipped

summary ─
not complete: the kit itself is at fault in generate.zero.
9 planned, 6 ran, 1 skipped, 2 blocked, 1 waived: does not conform: 2
must, 0 should
Not kept: loss.mean, generate.law.
"""
"""What a person reads, with the lines that fill a row cut short."""


def test_the_terminal_reads_well() -> None:
    some = {"generate.stream", "generate.shape", "generate.pure", "loss.row-shift"}
    few = [one for one in EVERY.clauses if one.id not in some]
    shown = printed(report(*few, notes=EVERY.notes), width=72)
    shown = shown.replace(REPLAY, "REPLAY").replace("─" * 72, "RULE")
    assert re.sub("─+", "─", shown) == AS_PRINTED


PASSING_AS_PRINTED = """\
my_model.py:GPT
contract 1.0, profile bigram, seed 1337

batch  ✓ 1 kept
loss   ✓ 2 kept   · 1 choice

choices ─
  the notes leave these open: no answer is wrong
  loss.ignore-index: left out

summary ─
4 planned, 4 ran, 0 skipped, 0 blocked: conforms
Every must and every should that could be tried is kept.
"""


def test_a_pass_is_short() -> None:
    assert re.sub("─+", "─", printed(PASSING)) == PASSING_AS_PRINTED


def test_what_is_not_known_leaves_no_gap() -> None:
    lines = printed(report(result(verdict=Verdict.TIMEOUT, sentence=""))).splitlines()
    place = lines.index("✗ loss.mean  must, TIMEOUT: out of time")
    assert lines[place + 1] == ""
    assert lines[place + 2].startswith("summary ")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_tells_all_about_what_is_not_well(width: int) -> None:
    shown = printed(EVERY, width=width)
    for one in NOT_WELL:
        assert f"{one.id} {one.level}, {one.verdict}: {MARKS[one.verdict].word}" in flat(shown)
        assert one.sentence in flat(shown)
        assert one.cause in flat(shown)
    assert "likely: the losses of the positions are added up" in flat(shown)
    assert "expected: loss: 0.6931472 saw: 1.386294" in flat(shown)
    assert "because loss.mean is not kept: loss.floor, loss.uniform" in flat(shown)
    assert "the subject has no get_batch: batch.dtype" in flat(shown)
    assert "loss.ignore-index: left out" in flat(shown)
    assert "line 12 was skipped" in shown
    assert summary(EVERY, level=Level.SHOULD).line in flat(shown)
    assert summary(EVERY, level=Level.SHOULD).meaning in flat(shown)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_code_and_commands_can_be_copied_from_the_terminal(width: int) -> None:
    lines = printed(EVERY, width=width).splitlines()
    place = lines.index("the smallest case:")
    assert lines[place + 1 : place + 4] == [*CODE.splitlines(), f"replay: {REPLAY}"]
    others = [line for line in lines if REPLAY not in line]
    assert max(map(len, others)) <= width
    assert not any(line != line.rstrip() for line in lines)


def test_passes_are_counted_by_concept_and_not_listed() -> None:
    shown = printed(PASSING)
    assert "loss   ✓ 2 kept   · 1 choice\n" in shown
    assert "batch  ✓ 1 kept\n" in shown
    assert "loss.layout" not in shown
    tally = "✗ 1 not kept ✗ 1 waived, yet kept ≠ 1 waived · 1 choice - 2 blocked"
    assert f"loss {tally}" in flat(printed(EVERY))


def test_choices_are_counted_one_by_one() -> None:
    two = [result(f"loss.{name}", level=Level.CHOICE) for name in "xy"]
    shown = printed(report(*two))
    assert "loss  · 2 choices\n" in shown
    assert "  loss.x: nothing was recorded\n" in shown
    assert "loss.xnothing was recorded" in flat(Page(to_html(report(*two), ())).text)


def test_colour_tells_good_from_bad() -> None:
    good, bad = printed(PASSING, colour=True), printed(EVERY, colour=True)
    assert "\x1b[32m✓ 2 kept\x1b[0m" in good
    assert "\x1b[36m· 1 choice\x1b[0m" in good
    assert "\x1b[1;32mconforms\x1b[0m" in good
    assert "\x1b[1;31m✗ loss.mean\x1b[0m" in bad
    assert "\x1b[33m≠ loss.range\x1b[0m" in bad
    assert "\x1b[1;31mdoes not conform: " in bad
    assert "\x1b[2m- 2 blocked\x1b[0m" in bad


def test_a_narrow_terminal_loses_nothing() -> None:
    shown = "".join(printed(EVERY, width=12).split())
    for one in NOT_WELL:
        assert "".join(f"{one.id} {one.level}, {one.verdict}".split()) in shown
        assert "".join(one.cause.split()) in shown


def test_an_empty_report_says_that_nothing_is_known() -> None:
    shown = printed(report(), verbose=True)
    assert "0 planned, 0 ran, 0 skipped, 0 blocked: no pass" in shown
    assert "choices" not in shown
    assert page(report()).text.count("Every clause") == 0


def test_a_reason_is_always_given() -> None:
    made = report(
        result("loss.a", Verdict.KIT_ERROR),
        result("loss.b", Verdict.BLOCKED, cause="loss.a"),
        result("loss.c", Verdict.BLOCKED, cause="loss.elsewhere"),
        result("loss.d", Verdict.SKIP, cause="loss.d"),
        result("loss.e", Verdict.SKIP),
    )
    for shown in (flat(printed(made)), flat(page(made).text)):
        assert "because loss.a could not be judged: loss.b" in shown
        assert "because loss.elsewhere is not kept: loss.c" in shown
        assert "because loss.d" not in shown
        assert "no reason is given: loss.e" in shown


def test_a_concept_that_is_skipped_as_a_whole_is_named_once() -> None:
    skipped = [result(f"batch.{name}", Verdict.SKIP, cause="no get_batch") for name in "xyz"]
    assert "no get_batch: batch (all 3)\n" in printed(report(result(), *skipped))
    assert "no get_batch: batch.x\n" in printed(report(result(), skipped[0]))


def test_concepts_stand_in_the_order_of_the_notes_though_one_needs_another() -> None:
    ids = [clause.id for clause in catalogue()]
    shown = printed(report(*map(result, ids)))
    names = [line.split()[0] for line in shown.splitlines() if "✓" in line]
    assert names == [
        "vocabulary",
        "batch",
        "index",
        "embedding",
        "forward",
        "loss",
        "gradient",
        "softmax",
        "generate",
        "training",
        "history",
    ]


def test_verbose_lists_every_clause_with_verdict_and_seconds() -> None:
    shown = flat(printed(EVERY, verbose=True))
    for one in EVERY.clauses:
        assert f"{one.verdict} {one.id} {one.level} {one.seconds:.2f} s" in shown


def test_a_case_without_code_is_shown_as_json() -> None:
    shown = printed(report(replace(FAILURE, code="")))
    assert '\n{"C": 2, "idx": [[0, 0]]}\n' in shown


def test_what_does_not_count_at_a_level_is_shown_and_says_so() -> None:
    broken = report(result(), result("loss.nice", Verdict.FAIL, level=Level.SHOULD))
    assert "not counted at this level" in printed(broken, level=Level.MUST)
    assert "not counted" not in printed(broken)


@given(drafts(), st.sampled_from((60, 100)), st.booleans())
def test_no_text_of_a_subject_steers_the_terminal(
    draft: dict[str, Any], width: int, verbose: bool
) -> None:
    made = drafted(draft)
    coloured = printed(made, width=width, colour=True, verbose=verbose)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert shown.replace("\n", "").isprintable()
    assert "".join(printable(made.subject).split()) in "".join(shown.split())
    for one in made.clauses:
        if one.verdict in {Verdict.FAIL, Verdict.CRASH} and one.replay:
            assert f"\nreplay: {printable(one.replay)}\n" in shown


# JSON

SCHEMA: dict[str, Any] = schemas.schema("report")
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_lists_the_verdicts_and_levels_there_are() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    parts = SCHEMA["$defs"]
    assert set(parts["Verdict"]["enum"]) == set(Verdict)
    assert set(parts["Level"]["enum"]) == set(Level)
    for name in ("Report", "Clause", "Selection"):
        part = parts[name]
        whole = set(part["properties"]) - ({"selection"} if name == "Report" else set())
        assert set(part["required"]) == whole
        assert part["additionalProperties"] is False


def test_json_holds_what_the_report_says() -> None:
    written = to_json(EVERY)
    VALIDATOR.validate(written)
    clauses = written.pop("clauses")
    assert written == {
        "subject": "my_model.py:GPT",
        "contract": "1.0",
        "profile": "bigram",
        "seed": 1337,
        "planned": 13,
        "ran": 10,
        "complete": False,
        "ended": "",
        "notes": ["line 12 was skipped"],
        "selection": None,
    }
    assert isinstance(clauses, list)
    assert len(clauses) == 13
    assert clauses[2] == {
        "id": "loss.mean",
        "level": "must",
        "verdict": "FAIL",
        "cause": CAUSE,
        "expected": "loss: 0.6931472",
        "seen": "1.386294",
        "case": {"C": 2, "idx": [[0, 0]]},
        "replay": REPLAY,
        "seconds": 0.25,
    }


def test_a_report_comes_back_from_json_but_for_sentences_and_code() -> None:
    back = from_json(json.loads(json.dumps(to_json(EVERY))))
    bare = [replace(one, sentence="", code="") for one in EVERY.clauses]
    bare[2] = replace(bare[2], case={"C": 2, "idx": [[0, 0]]})
    assert back == replace(EVERY, clauses=tuple(bare))


@given(drafts())
def test_any_report_is_valid_json_that_comes_back(draft: dict[str, Any]) -> None:
    made = drafted(draft)
    written = to_json(made)
    VALIDATOR.validate(written)
    sent = json.dumps(written, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(sent) == written
    back = from_json(json.loads(sent))
    assert to_json(back) == written
    assert back.count() == made.count()
    assert all(one.seconds >= 0 and math.isfinite(one.seconds) for one in back.clauses)


def test_a_surrogate_is_written_as_its_escape() -> None:
    made = report(replace(FAILURE, seen="\ud800", case={"text": "a\udfff"}))
    clauses = to_json(made)["clauses"]
    assert isinstance(clauses, list)
    assert clauses[0]["seen"] == "\\ud800"
    assert clauses[0]["case"] == {"text": "a\\udfff"}


WRONG: tuple[Any, ...] = (None, True, -1, 1.5, 3, "", "x", "PASS", [], [1], {}, {"x": 1})
COUNTED = ("ran", "complete", "planned", "clauses")
"""Fields that the schema alone cannot judge."""


def changed(where: str, name: str, change: Callable[[dict[str, Any], str], object]) -> object:
    """Write a report, change one field of it or of its first clause, and give it."""
    data = json.loads(json.dumps(to_json(EVERY)))
    change(data if where == "report" else data["clauses"][0], name)
    return data


FIELDS = [("report", name) for name in SCHEMA["$defs"]["Report"]["properties"]]
FIELDS.remove(("report", "selection"))  # it may be missing
FIELDS += [("clause", name) for name in SCHEMA["$defs"]["Clause"]["properties"]]


@pytest.mark.parametrize(("where", "name"), FIELDS)
def test_a_field_that_is_missing_or_unknown_makes_it_no_report(where: str, name: str) -> None:
    for change in (lambda of, it: of.pop(it), lambda of, it: of.update({f"{it}s": of.pop(it)})):
        data = changed(where, name, change)
        assert not VALIDATOR.is_valid(data)
        with pytest.raises(ReportError, match=rf"field `{name}s?`"):
            from_json(data)


@pytest.mark.parametrize(("where", "name"), FIELDS)
def test_the_reader_and_the_schema_agree_on_every_value(where: str, name: str) -> None:
    refused = 0
    for value in WRONG:
        data = changed(where, name, lambda of, it, value=value: of.update({it: value}))  # type: ignore[misc]  # bound now
        if VALIDATOR.is_valid(data) and name not in COUNTED:
            from_json(data)
        elif not VALIDATOR.is_valid(data):
            refused += 1
            with pytest.raises(ReportError, match=rf" - at `\$.*\b{name}\b"):
                from_json(data)
    assert refused >= 6


@pytest.mark.parametrize(
    ("where", "name", "message"),
    [
        ("report", "subject", "Expected `str`, got `null` - at `$.subject`"),
        ("report", "seed", "Expected `int`, got `null` - at `$.seed`"),
        ("report", "complete", "Expected `bool`, got `null` - at `$.complete`"),
        ("report", "notes", "Expected `array`, got `null` - at `$.notes`"),
        ("clause", "level", "Expected `str`, got `null` - at `$.clauses[0].level`"),
        ("clause", "seconds", "Expected `float`, got `null` - at `$.clauses[0].seconds`"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(where: str, name: str, message: str) -> None:
    data = changed(where, name, lambda of, it: of.update({it: None}))
    with pytest.raises(ReportError) as error:
        from_json(data)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("case", 3, "Expected `object | null`, got `int` - at `$.clauses[0].case`"),
        ("level", "may", "Invalid enum value 'may' - at `$.clauses[0].level`"),
        ("verdict", "\x1b[2J", r"Invalid enum value '\x1b[2J' - at `$.clauses[0].verdict`"),
        ("seconds", -1, "Expected `float` >= 0.0 - at `$.clauses[0].seconds`"),
        ("\ud800", 1, "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates"),
        ("\n", 1, r"Object contains unknown field `\n` - at `$.clauses[0]`"),
        ("a" * 10_000, 1, "Object contains unknown field `aaa"),
    ],
)
def test_what_is_wrong_with_a_clause_is_said(name: str, value: object, message: str) -> None:
    with pytest.raises(ReportError) as error:
        from_json(changed("clause", name, lambda of, it: of.update({it: value})))
    assert str(error.value).startswith(message)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 5000


@pytest.mark.parametrize("name", ["loss", "Loss.mean", "loss.mean\n", "\ud800.a", "loss..mean"])
def test_an_id_is_concept_and_rule(name: str) -> None:
    data = changed("clause", "id", lambda of, it: of.update({it: name}))
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(ReportError, match=r"matching regex .* at `\$.clauses\[0\].id`"):
        from_json(data)


def test_seconds_that_no_float_can_hold_are_refused() -> None:
    for seconds in (10**400, math.inf, math.nan):
        data = changed("clause", "seconds", lambda of, it, to=seconds: of.update({it: to}))  # type: ignore[misc]  # bound now
        with pytest.raises(ReportError, match=r"at `\$.clauses\[0\].seconds`"):
            from_json(data)
    large = changed("report", "seed", lambda of, it: of.update({it: 10**400}))
    assert from_json(large).seed == 10**400


def test_a_report_written_before_selections_were_is_of_the_whole_profile() -> None:
    before = to_json(EVERY)
    del before["selection"]
    assert from_json(before).selection is None
    VALIDATOR.validate(before)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (3, r"Expected `object \| null`, got `int` - at `\$.selection`"),
        ({}, r"missing required field `wanted` - at `\$.selection`"),
        ({"wanted": [3], "of": 9, "replayed": False}, r"got `int` - at `\$.selection.wanted\[0\]`"),
        (
            {"wanted": [], "of": -1, "replayed": False},
            r"Expected `int` >= 0 - at `\$.selection.of`",
        ),
        ({"wanted": [], "of": 9, "replayed": 1}, r"got `int` - at `\$.selection.replayed`"),
        ({"wanted": [], "of": 1, "replayed": False}, "of is 1; it must be at least planned, 13"),
        ({"wanted": [], "of": 9, "replayed": False, "x": 1}, "unknown field `x`"),
    ],
)
def test_a_selection_that_is_wrong_is_refused(selection: object, message: str) -> None:
    data = to_json(EVERY) | {"selection": selection}
    with pytest.raises(ReportError, match=message):
        from_json(data)
    assert VALIDATOR.is_valid(data) == ("at least planned" in message)


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_what_is_no_object_is_no_report(data: object) -> None:
    with pytest.raises(ReportError, match="Expected `object`|missing required field `subject`"):
        from_json(data)


@pytest.mark.parametrize(("name", "value"), [("ran", 12), ("ran", 0), ("complete", True)])
def test_counts_that_contradict_the_clauses_are_refused(name: str, value: object) -> None:
    with pytest.raises(ReportError, match=rf"{name} is {value}; by the clauses it must be"):
        from_json(to_json(EVERY) | {name: value})


def test_two_verdicts_on_one_clause_are_refused() -> None:
    with pytest.raises(ReportError, match=r"loss\.mean has more than one verdict"):
        from_json(to_json(report(result("batch.x"), result(), result())))


# JUnit


def suite(made: Report, *, level: Level = Level.SHOULD) -> ET.Element:
    """Write JUnit, and read it as a service would: from bytes."""
    return ET.fromstring(to_junit(made, level=level).encode("utf-8"))  # noqa: S314  our own


def test_junit_has_a_test_for_each_clause_with_the_right_outcome() -> None:
    root = suite(EVERY)
    kinds = {
        test.attrib["name"]: [child.tag for child in test] for test in root.findall("testcase")
    }
    assert kinds == {
        "batch.shape": [],
        "batch.dtype": ["skipped"],
        "loss.mean": ["failure"],
        "loss.floor": ["skipped"],
        "loss.uniform": ["skipped"],
        "loss.range": ["skipped"],
        "loss.row-shift": ["failure"],
        "loss.ignore-index": ["system-out"],
        "generate.law": ["error"],
        "generate.stream": ["error"],
        "generate.shape": ["error"],
        "generate.pure": ["failure"],
        "generate.zero": ["error"],
    }
    counts = {name: root.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "13", "failures": "3", "errors": "4", "skipped": "4"}
    assert root.attrib["time"] == "0.250"
    assert root.attrib["name"] == "conformance of my_model.py:GPT"
    assert {one.attrib["name"]: one.attrib["value"] for one in root.iter("property")} == {
        "subject": "my_model.py:GPT",
        "contract": "1.0",
        "profile": "bigram",
        "seed": "1337",
    }


def test_junit_carries_the_finding() -> None:
    root = suite(EVERY)
    test = root.findall("testcase")[2]
    assert test.attrib == {"classname": "loss", "name": "loss.mean", "time": "0.250"}
    failure = test[0]
    assert failure.attrib == {"type": "FAIL", "message": CAUSE}
    assert failure.text is not None
    assert failure.text.splitlines() == [
        "What loss.mean promises.",
        f"likely: {CAUSE}",
        "expected: loss: 0.6931472",
        "saw: 1.386294",
        "the smallest case:",
        *CODE.splitlines(),
        f"replay: {REPLAY}",
    ]
    messages = {one.attrib["message"] for one in root.iter("skipped")}
    assert "because loss.mean is not kept" in messages
    assert "waived: on purpose (it wraps round)" in messages
    assert [one.text for one in root.iter("system-out")] == ["choice: left out"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (report(result(), ended="out of memory"), "ended early: out of memory"),
        (report(result(), planned=3), "not complete: 1 of 3 clauses have a verdict"),
        (report(result(verdict=Verdict.SKIP)), "No clause was tried, so nothing is known."),
    ],
)
def test_a_run_that_is_not_whole_is_an_error_in_junit(made: Report, message: str) -> None:
    root = suite(made)
    assert (root.attrib["tests"], root.attrib["errors"]) == ("2", "1")
    assert [one.attrib["message"] for one in root.iter("error")] == [message]


def test_what_does_not_count_at_a_level_is_skipped_in_junit() -> None:
    root = suite(EVERY, level=Level.MUST)
    test = next(one for one in root.iter("testcase") if one.attrib["name"] == "generate.pure")
    assert test[0].tag == "skipped"
    assert test[0].attrib["message"] == "FAIL, not counted as a should: it writes"


@given(drafts(), levels)
def test_junit_parses_adds_up_and_is_green_where_the_subject_conforms(
    draft: dict[str, Any], level: Level
) -> None:
    made = drafted(draft)
    root = suite(made, level=level)
    tests = root.findall("testcase")
    found = Counter(child.tag for test in tests for child in test)
    assert int(root.attrib["tests"]) == len(tests) >= len(made.clauses)
    assert int(root.attrib["failures"]) == found["failure"]
    assert int(root.attrib["errors"]) == found["error"]
    assert int(root.attrib["skipped"]) == found["skipped"]
    assert all(len(test) <= 1 for test in tests)
    is_red = bool(found["failure"] or found["error"])
    assert is_red is not summary(made, level=level).passed
    for one, test in zip(made.clauses, tests, strict=False):
        if one.verdict is Verdict.FAIL:
            assert printable(one.expected, lines=True) in (test[0].text or "")


# HTML

VOID = {"meta", "br", "hr", "link", "img", "wbr", "input"}


class Page(HTMLParser):
    """What stands in a page; it complains where an element is not closed, or closed twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        """Give every value of an attribute."""
        return [attrs[name] or "" for _tag, attrs in self.tags if name in attrs]

    def names(self) -> list[str]:
        """Give every tag."""
        return [tag for tag, _attrs in self.tags]


def page(made: Report, *, level: Level = Level.SHOULD) -> Page:
    return Page(to_html(made, catalogue(), level=level))


def test_the_page_tells_all_about_what_is_not_well() -> None:
    text = flat(page(EVERY).text)
    for one in NOT_WELL:
        assert f"{one.id} {one.level}, {one.verdict}: {MARKS[one.verdict].word}" in text
        assert one.cause in text
    for piece in (
        "likely the losses of",
        "expected loss: 0.6931472",
        "saw 1.386294",
        flat(CODE),
        flat(REPLAY),
        "because loss.mean is not kept: loss.floor, loss.uniform",
        "the subject has no get_batch: batch.dtype",
        "line 12 was skipped",
        summary(EVERY, level=Level.SHOULD).unfinished,
        summary(EVERY, level=Level.SHOULD).outcome,
        summary(EVERY, level=Level.SHOULD).counts,
        summary(EVERY, level=Level.SHOULD).meaning,
    ):
        assert piece in text
    assert "✓ conforms" in flat(page(PASSING).text)
    assert text.count("left out") == text.count("get_batch") == 2  # in its own list and the table
    assert text.count("the smallest case:") == text.count("replay:") == 1


def test_the_page_has_no_empty_sections() -> None:
    titles = ("Findings", "Not tried", "Choices", "Notes", "Every clause")
    text = page(report(result())).text
    assert [title for title in titles if title in text] == ["Every clause"]
    text = page(EVERY).text
    assert [title for title in titles if title in text] == list(titles)


def test_a_line_end_in_a_note_is_seen_on_the_page() -> None:
    assert "one\\ntwo" in page(report(result(), notes=("one\ntwo",))).text


def test_findings_stand_above_the_choices_and_those_above_the_table() -> None:
    text = page(EVERY).text
    places = [text.rindex(title) for title in ("Findings", "Not tried", "Choices", "Every clause")]
    assert places == sorted(places)


def test_every_clause_can_be_linked_to_and_every_link_leads_somewhere() -> None:
    shown = page(EVERY)
    ids = shown.values("id")
    assert len(ids) == len(set(ids))
    assert {one.id for one in EVERY.clauses} <= set(ids)
    assert {"findings", "not-tried", "choices", "notes", "clauses"} <= set(ids)
    links = shown.values("href")
    assert "#loss.mean" in links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert set(shown.values("aria-labelledby")) <= set(ids)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = to_html(EVERY, catalogue())
    shown = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(shown.names())
    assert shown.values("src") == []
    assert all(link.startswith("#") for link in shown.values("href"))
    assert not re.search(r"https?:|//|url\(|@import", text)


def test_the_page_is_one_for_everybody() -> None:
    shown = page(EVERY)
    assert shown.tags[0] == ("html", {"lang": "en"})
    assert shown.names().count("h1") == shown.names().count("main") == 1
    headings = [int(tag[1]) for tag in shown.names() if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert all("scope" in attrs for tag, attrs in shown.tags if tag == "th")
    assert "width=device-width, initial-scale=1" in shown.values("content")


def test_a_report_that_was_read_back_is_lent_the_sentences() -> None:
    clause = next(clause for clause in catalogue() if clause.id == "loss.uniform")
    made = report(result(clause.id, sentence=""))
    assert clause.sentence in flat(page(made).text)
    assert clause.sentence not in flat(Page(to_html(made, ())).text)


def test_the_page_says_where_in_the_notes_a_broken_clause_stands() -> None:
    made = report(result("loss.uniform", Verdict.FAIL))
    text = flat(page(made).text)
    assert "formula table[i, j] = a_i gives loss = ln C." in text
    assert "in the notes -- measure prediction -- > F.cross_entropy" in text


def test_what_does_not_count_at_a_level_says_so_on_the_page() -> None:
    assert page(EVERY, level=Level.MUST).text.count("not counted at this level") == 1
    assert "not counted" not in page(EVERY).text


@given(drafts())
def test_no_text_of_a_subject_becomes_markup(draft: dict[str, Any]) -> None:
    made = drafted(draft)
    text = to_html(made, ())
    text.encode("utf-8")
    shown = Page(text)
    assert "script" not in shown.names()
    assert "onload" not in {name for _tag, attrs in shown.tags for name in attrs}
    assert {one.id for one in made.clauses} <= set(shown.values("id"))
    for one in made.clauses:
        if one.verdict in {Verdict.FAIL, Verdict.CRASH}:
            for said in (one.cause, one.expected, one.seen):
                assert printable(said, lines=True) in shown.text
            assert printable(one.replay) in shown.text
    assert shown.text.replace("\n", "").isprintable()
    inline = Page(fragment(made))
    assert printable(made.subject) in inline.text
    assert not {"script", "style"} & set(inline.names())


def test_a_notebook_shows_the_outcome_and_what_is_not_well() -> None:
    assert isinstance(EVERY, ShownReport)
    assert EVERY._repr_html_() == fragment(EVERY)
    assert isinstance(from_json(to_json(EVERY)), ShownReport)
    shown = Page(fragment(EVERY)).text
    assert summary(EVERY, level=Level.SHOULD).line in shown
    for one in NOT_WELL:
        mark = MARKS[one.verdict]
        assert f"{one.id} {mark.sign} {mark.word}{one.cause}" in shown
    assert "expected loss: 0.6931472saw 1.386294" in shown
    assert REPLAY in shown
    assert f"border-left:6px solid {TONES['bad']}" in fragment(EVERY)
    assert f"border-left:6px solid {TONES['good']}" in fragment(PASSING)


LITTLE = report(
    replace(FAILURE, replay="bigram check", code=""),
    result("loss.scalar"),
    result("loss.x", Verdict.CRASH, cause="it ended", level=Level.SHOULD),
    result("loss.y", Verdict.SKIP, cause="no part"),
    result("loss.z", level=Level.CHOICE, seen="refused"),
    notes=("line 12 was skipped",),
)
PAGE_AS_READ = """
my_model.py:GPT Held against contract 1.0, profile bigram, seed 1337.
✗ does not conform: 1 must Not kept: loss.mean. 5 planned, 4 ran, 1 skipped, 0 blocked.
Findings Not tried Choices Notes Every clause
Findings ✗ loss.mean must, FAIL: not kept What loss.mean promises.
likely the losses of the positions are added up expected loss: 0.6931472 saw 1.386294
the smallest case: {"C": 2, "idx": [[0, 0]]} replay: bigram check
✗ loss.x should, CRASH: crashed, not counted at this level What loss.x promises. cause it ended
Not tried skipped, no part: loss.y
Choices The notes leave these open: no answer is wrong. clausewhat the subject does loss.zrefused
Notes line 12 was skipped
Every clause loss✓ 1 kept✗ 1 not kept✗ 1 crashed· 1 choice- 1 skipped verdictclauseleveltime
✗ not keptloss.meanWhat loss.mean promises.must0.25 s
✓ keptloss.scalarWhat loss.scalar promises.must0.00 s
✗ crashedloss.xWhat loss.x promises.should0.00 s
- skippedloss.yWhat loss.y promises.no partmust0.00 s
· choiceloss.zWhat loss.z promises.refusedchoice0.00 s
"""


def test_the_page_reads_well() -> None:
    text = to_html(LITTLE, (), level=Level.MUST)
    assert flat(Page(text).text.split("</style>")[0]).endswith(flat(PAGE_AS_READ))
    assert '<div class="outcome bad">' in text
    assert '<pre class="command" tabindex="0" aria-label="replay">' in text
    assert '<pre class="code" tabindex="0" aria-label="the smallest case">' in text
    assert '<div class="outcome good">' in to_html(PASSING, ())


def test_the_fragment_reads_well() -> None:
    assert flat(Page(fragment(LITTLE)).text) == (
        "my_model.py:GPT: 5 planned, 4 ran, 1 skipped, 0 blocked: does not conform: "
        "1 must, 1 should.Not kept: loss.mean, loss.x.conceptclauses"
        "loss✓ 1 kept ✗ 1 not kept ✗ 1 crashed · 1 choice - 1 skipped"
        "loss.mean ✗ not keptthe losses of the positions are added up"
        "expected loss: 0.6931472saw 1.386294bigram check"
        "loss.x ✗ crashedit ended"
    )
    assert Page(fragment(PASSING)).text.endswith("loss✓ 2 kept \xa0 · 1 choice")


@pytest.mark.parametrize("text", NASTY)
def test_no_face_believes_a_hostile_text(text: str) -> None:
    fields = dict.fromkeys(("sentence", "cause", "expected", "seen", "code", "replay"), text)
    results = [
        result(f"loss.{text}{verdict}{level}", verdict, level=level, **fields)
        for verdict in Verdict
        for level in Level
    ]
    made = report(*results, subject=text, contract=text, profile=text, notes=(text,), ended=text)
    both = compare([made, made], sources=[text, text])
    for shown in (to_html(made, ()), fragment(made), comparison_page.to_html(both, ())):
        assert "<script" not in shown
        assert printable(text) in Page(shown).text
        assert "onload" not in {name for _tag, attrs in Page(shown).tags for name in attrs}
    assert printable(text) in suite(made).attrib["name"]
    terminal = printed(made, width=200)
    assert terminal.replace("\n", "").isprintable()
    assert terminal.startswith(f"{printable(text)}\ncontract {printable(text)}, profile")
    sent = json.dumps(to_json(made), ensure_ascii=False).encode("utf-8")
    assert json.loads(sent)["subject"] == text.encode("utf-8", "backslashreplace").decode("utf-8")


def contrast(one: str, other: str) -> float:
    """Give the contrast of two colours, as WCAG defines it."""

    def luminance(colour: str) -> float:
        full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        parts = [int(full[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_can_be_read_by_day_and_by_night() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    themes = re.findall(r":root \{(.*?)\}", to_html(PASSING, ()), re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#\w+);", theme))
        for name in ("ink", "soft", "good", "bad", "odd", "open", "quiet"):
            assert contrast(colours[name], colours["paper"]) >= 4.5
        assert contrast(colours["ink"], colours["block"]) >= 4.5
    for colour in TONES.values():  # one for both papers, so a little less
        assert min(contrast(colour, "#fff"), contrast(colour, "#111111")) >= 4.2
