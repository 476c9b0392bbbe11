"""A report on the terminal, for a person, and as JSON, for a program."""

import math
import sys
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.text import Text

from reference.conformance.reports.printing import STYLES, print_hanging, print_section
from reference.conformance.reports.wording import (
    MARKS,
    by_concept,
    by_reason,
    counted,
    example,
    is_choice,
    label,
    listed,
    mark_of,
    names_of,
    plain,
    selected,
    summary,
    tally,
    uncounted,
)
from reference.conformance.verdicts import Report, Result, Selection, Verdict
from reference.errors import BigramError, printable, shown
from reference.spec.clause import ID, Level


class ReportError(BigramError, ValueError):
    """What was read is no report, or one that contradicts itself."""


def print_report(
    console: Console, report: Report, *, level: Level = Level.SHOULD, verbose: bool = False
) -> None:
    """Print what was found: passes in a line for each concept, all else one by one.

    Commands and code are printed at the left edge and never wrapped, so that they can be copied.
    """
    console.print(Text(printable(report.subject), "bold"))
    about = f"contract {report.contract}, profile {report.profile}, seed {report.seed}"
    console.print(Text(printable(about), "dim"))
    if report.selection is not None:
        console.print(Text(printable(selected(report)), "dim"))
    console.print()
    _print_concepts(console, report, verbose=verbose)
    ignored = uncounted(report, level=level)
    for result in listed(report):
        _print_finding(console, result, ignored=result.id in ignored)
    _print_reasons(console, report, Verdict.BLOCKED)
    _print_reasons(console, report, Verdict.SKIP)
    choices = [result for result in report.clauses if is_choice(result)]
    if choices:
        print_section(console, "choices")
        print_hanging(console, Text("  "), Text("the notes leave these open: no answer is wrong"))
        names = [f"  {result.id}: " for result in choices]
        width = max(map(len, names))
        for name, result in zip(names, choices, strict=True):
            seen = Text(printable(result.seen or "nothing was recorded"), "cyan")
            print_hanging(console, Text(printable(name).ljust(width), "dim"), seen)
    if report.notes:
        print_section(console, "notes")
        for note in report.notes:
            print_hanging(console, Text("  "), Text(printable(note, lines=True), "dim"))
    _print_summary(console, report, level)


def _print_concepts(console: Console, report: Report, *, verbose: bool) -> None:
    groups = by_concept(report.clauses)
    width = max((len(printable(name)) for name in groups), default=0)
    longest = max((len(printable(result.id)) for result in report.clauses), default=0)
    for name, results in groups.items():
        heading = Text(f"{printable(name):<{width}}  ", "bold")
        line, used = Text(), heading.cell_len
        for count, mark in tally(results):
            words = f"{mark.sign} {counted(count, mark)}"
            gap = "   " if line else ""
            if line and used + len(gap + words) > console.width:
                gap, used = "\n", heading.cell_len
            line.append(gap).append(words, STYLES[mark.tone])
            used += len(gap + words)
        print_hanging(console, heading, line)
        if verbose:
            for result in results:
                _print_line(console, result, width=longest)


def _print_line(console: Console, result: Result, *, width: int) -> None:
    mark = mark_of(result)
    line = Text.assemble(
        (f"  {mark.sign} {result.verdict:<9} ", STYLES[mark.tone]),
        f"{printable(result.id):<{width}} ",
        (f"{result.level:<6} {result.seconds:6.2f} s", "dim"),
    )
    console.print(line)


def _print_finding(console: Console, result: Result, *, ignored: bool) -> None:
    mark = mark_of(result)
    counts = ", not counted at this level" if ignored else ""
    console.print()
    console.rule(style="dim")
    heading = Text(f"{mark.sign} {printable(result.id)}", STYLES[mark.tone])
    said = f"  {result.level}, {result.verdict}: {mark.word}{counts}"
    print_hanging(console, Text(), Text.assemble(heading, said))
    if result.sentence:
        print_hanging(console, Text(), Text(printable(result.sentence), "italic"))
    facts = ((label(result), result.cause), ("expected", result.expected), ("saw", result.seen))
    for name, text in facts:
        if text:
            print_hanging(
                console, Text(f"{name + ':':<9} ", "dim"), Text(printable(text, lines=True))
            )
    code = example(result)
    if code:
        console.print(Text("the smallest case:", "dim"))
        console.print(Text(printable(code, lines=True)), soft_wrap=True)
    if result.replay:
        console.print(Text(f"replay: {printable(result.replay)}"), soft_wrap=True)


def _print_reasons(console: Console, report: Report, verdict: Verdict) -> None:
    groups = by_reason(report, verdict)
    if groups:
        print_section(console, f"{MARKS[verdict].word}: not tried")
    for because, results in groups.items():
        line = Text.assemble(
            (f"{printable(because)}: ", "bold"), printable(names_of(report.clauses, results))
        )
        print_hanging(console, Text("  "), line)


def _print_summary(console: Console, report: Report, level: Level) -> None:
    text = summary(report, level=level)
    style = "bold green" if text.passed else "bold red"
    print_section(console, "summary")
    if text.unfinished:
        print_hanging(console, Text(), Text(f"{printable(text.unfinished)}.", style))
    print_hanging(console, Text(), Text.assemble(f"{text.counts}: ", (text.outcome, style)))
    print_hanging(console, Text(), Text(printable(text.meaning)))


def to_json(report: Report) -> dict[str, object]:
    """Write a report as `report.schema.json` has it: finite numbers, and text that UTF-8 can hold.

    The clauses' sentences and the cases as code are left out: the ids and the cases stand for them.
    """
    written = {
        "subject": report.subject,
        "contract": report.contract,
        "profile": report.profile,
        "seed": report.seed,
        "planned": report.planned,
        "ran": report.ran,
        "complete": report.complete,
        "ended": report.ended,
        "notes": report.notes,
        "selection": None if report.selection is None else vars(report.selection),
        "clauses": [_clause_to_json(result) for result in report.clauses],
    }
    return {name: plain(value) for name, value in written.items()}


def _clause_to_json(result: Result) -> dict[str, object]:
    return {
        "id": result.id,
        "level": result.level,
        "verdict": result.verdict,
        "cause": result.cause,
        "expected": result.expected,
        "seen": result.seen,
        "case": result.case,
        "replay": result.replay,
        "seconds": max(result.seconds, 0.0) if math.isfinite(result.seconds) else 0.0,
    }


REPORT_FIELDS: dict[str, type] = {
    "subject": str,
    "contract": str,
    "profile": str,
    "seed": int,
    "planned": int,
    "ran": int,
    "complete": bool,
    "ended": str,
    "notes": list,
    "clauses": list,
}
ADDED_FIELDS: dict[str, type] = {"selection": dict}
"""Fields that earlier versions did not write; without it, a report is of the whole profile."""
SELECTION_FIELDS: dict[str, type] = {"wanted": list, "of": int, "replayed": bool}
CLAUSE_FIELDS: dict[str, type] = {
    "id": str,
    "level": Level,
    "verdict": Verdict,
    "cause": str,
    "expected": str,
    "seen": str,
    "case": dict,
    "replay": str,
    "seconds": float,
}


def from_json(data: object) -> Report:
    """Read a report back, without the sentences and the code, which were not written.

    Raises: ReportError where a field is missing, unknown or of another kind, or where the counts
        are not those of the clauses.
    """
    added = ADDED_FIELDS if isinstance(data, dict) and "selection" in data else {}
    top = _fields(data, REPORT_FIELDS | added, where="the report")
    _check_texts("notes", top["notes"])
    report = Report(
        subject=top["subject"],
        contract=top["contract"],
        profile=top["profile"],
        seed=top["seed"],
        planned=top["planned"],
        ended=top["ended"],
        notes=tuple(top["notes"]),
        selection=_selection_from_json(top.get("selection")),
        clauses=tuple(_clause_from_json(one, place) for place, one in enumerate(top["clauses"])),
    )
    if report.selection is not None and report.selection.of < report.planned:
        raise ReportError(
            f"selection: of is {shown(report.selection.of)}; it must be at least planned, "
            f"{shown(report.planned)}"
        )
    ids = [result.id for result in report.clauses]
    if len(set(ids)) != len(ids):
        raise ReportError(f"{max(ids, key=ids.count)} has more than one verdict")
    for name, so in (("ran", report.ran), ("complete", report.complete)):
        if top[name] != so:
            raise ReportError(f"{name} is {top[name]}; by the clauses it must be {so}")
    return report


def _selection_from_json(data: object) -> Selection | None:
    if data is None:
        return None
    fields = _fields(data, SELECTION_FIELDS, where="selection")
    _check_texts("selection: wanted", fields["wanted"])
    return Selection(wanted=tuple(fields["wanted"]), of=fields["of"], replayed=fields["replayed"])


def _check_texts(where: str, values: list[object]) -> None:
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise ReportError(f"{where}[{place}] is {shown(value)}; it must be text")


def _clause_from_json(data: object, place: int) -> Result:
    where = f"clauses[{place}]"
    fields = _fields(data, CLAUSE_FIELDS, where=where)
    if not ID.fullmatch(fields["id"]):
        raise ReportError(f"{where}: id is {shown(fields['id'])}; it must be concept.rule")
    return Result(
        id=fields["id"],
        level=Level(fields["level"]),
        verdict=Verdict(fields["verdict"]),
        sentence="",
        cause=fields["cause"],
        expected=fields["expected"],
        seen=fields["seen"],
        case=fields["case"],
        replay=fields["replay"],
        seconds=float(fields["seconds"]),
    )


def _fields(data: object, kinds: dict[str, type], *, where: str) -> dict[str, Any]:
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise ReportError(f"{where} is {shown(data)}; it must be an object with {list(kinds)}")
    for name, kind in kinds.items():
        if not _fits(data[name], kind):
            asked = " or ".join(kind) if issubclass(kind, StrEnum) else NAMES[kind]
            raise ReportError(f"{where}: {name} is {shown(data[name])}; it must be {asked}")
    return data


MOST = {int: math.inf, float: sys.float_info.max}
"""An integer may be any; but what is to be a float must fit into one."""

NAMES = {
    str: "text",
    int: "a whole number, 0 or more",
    bool: "true or false",
    float: "a finite number, 0 or more",
    list: "a list",
    dict: "an object or null",
}


def _fits(value: object, kind: type) -> bool:
    if issubclass(kind, StrEnum):
        return isinstance(value, str) and value in list(kind)
    if isinstance(value, (int, float)) and kind in (int, float):
        return type(value) in {int, kind} and 0 <= value <= MOST[kind]
    return isinstance(value, kind) or (kind is dict and value is None)
