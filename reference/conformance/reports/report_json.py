"""A report as JSON, and read back from the file that it was written to."""

import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from reference.conformance.errors import ReportFileError
from reference.conformance.reports.wording import plain
from reference.conformance.verdicts import Report, Result, Selection, Verdict
from reference.errors import BigramError, brief, printable, reason
from reference.spec.clause import ID, Level

DEEPEST = 100
"""Lists and objects inside of one another: far more than a report has."""

LARGEST = 2**26
"""Most bytes of a file that is read: far more than a report has, and fewer than a device gives."""


def read_report(file: Path) -> Report:
    """Read a report, in any of the encodings that JSON comes in: some shells write UTF-16.

    Raises: ReportFileError where there is no such file, or it cannot be read; ReportError where it
        holds no report, or one that contradicts itself.
    """
    name = printable(file)
    try:
        raw = read_at_most(file, LARGEST)
    except (OSError, ValueError) as error:  # a name with a null in it is a ValueError
        raise ReportFileError(f"{name} cannot be read: {printable(reason(error))}") from error
    try:
        data = strict_json(raw)
    except ValueError as error:
        raise ReportError(f"{name} cannot be read as JSON: {printable(error)}") from error
    try:
        return from_json(data)
    except ReportError as error:
        raise ReportError(f"{name} is no report of `bigram check --json`: {error}") from error


def read_at_most(file: Path, size: int) -> bytes:
    """Read a file whole, even one of unknown size such as a pipe.

    Raises: OSError; ValueError if the file is larger than that, or its name holds a null.
    """
    with file.open("rb") as opened:
        raw = opened.read(size + 1)
    if len(raw) > size:
        raise ValueError(f"it is larger than {size / 2**20:g} MiB")
    return raw


def strict_json(text: str | bytes) -> object:
    """Parse JSON in which every name has one value and every number is one.

    Raises: ValueError if it is anything else, or nested too deep; MemoryError.
    """
    try:
        data = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {DEEPEST}") from error
    if not _is_nested(data, at_most=DEEPEST):
        raise ValueError(f"it is nested deeper than {DEEPEST}")
    return data


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object, in which no name may have two values: each reader would take another one."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _value in pairs]
        raise ValueError(f"{max(names, key=names.count)!r} stands twice in one object")
    return made


def _is_nested(value: object, *, at_most: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return at_most > 0 and all(_is_nested(one, at_most=at_most - 1) for one in inside)


class ReportError(BigramError, ValueError):
    """What was read is no report, or one that contradicts itself."""


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
            f"selection: of is {brief(report.selection.of)}; it must be at least planned, "
            f"{brief(report.planned)}"
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
            raise ReportError(f"{where}[{place}] is {brief(value)}; it must be text")


def _clause_from_json(data: object, place: int) -> Result:
    where = f"clauses[{place}]"
    fields = _fields(data, CLAUSE_FIELDS, where=where)
    if not ID.fullmatch(fields["id"]):
        raise ReportError(f"{where}: id is {brief(fields['id'])}; it must be concept.rule")
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
        raise ReportError(f"{where} is {brief(data)}; it must be an object with {list(kinds)}")
    for name, kind in kinds.items():
        if not _fits(data[name], kind):
            asked = " or ".join(kind) if issubclass(kind, StrEnum) else NAMES[kind]
            raise ReportError(f"{where}: {name} is {brief(data[name])}; it must be {asked}")
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
