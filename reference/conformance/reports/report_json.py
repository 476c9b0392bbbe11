"""A report as JSON, and read back from the file that it was written to."""

import json
import math
from pathlib import Path
from typing import NoReturn

import msgspec

from reference.conformance.errors import ReportFileError
from reference.conformance.reports import schemas
from reference.conformance.reports.report_page import ShownReport
from reference.conformance.reports.schemas import fields
from reference.conformance.reports.wording import plain
from reference.conformance.verdicts import Report, Result
from reference.errors import BigramError, brief, printable, reason
from reference.spec.expect import clipped

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
    """Return a report as its JSON Schema has it: finite numbers, and text that UTF-8 can hold.

    The clauses' sentences and the cases as code are left out: the ids and the cases stand for them.
    """
    written = {
        **fields(schemas.Run, report),
        "notes": report.notes,
        "selection": report.selection and fields(schemas.Selection, report.selection),
        "clauses": [_clause_to_json(result) for result in report.clauses],
    }
    return {name: plain(value) for name, value in written.items()}


def _clause_to_json(result: Result) -> dict[str, object]:
    return {
        "id": result.id,
        **fields(schemas.Judged, result),
        "case": result.case,
        "replay": result.replay,
        "seconds": max(result.seconds, 0.0) if math.isfinite(result.seconds) else 0.0,
    }


def from_json(data: object) -> Report:
    """Read a report back, without the sentences and the code, which were not written.

    Raises: ReportError if a field is missing, unknown or of the wrong kind, or if the counts are
        not those of the clauses.
    """
    try:
        read = msgspec.convert(data, schemas.Report)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # a name with a lone surrogate
        raise ReportError(clipped(printable(error))) from error
    report = msgspec.convert(read, ShownReport, from_attributes=True)
    if report.selection is not None and report.selection.of < report.planned:
        raise ReportError(
            f"selection: of is {brief(report.selection.of)}; it must be at least planned, "
            f"{brief(report.planned)}"
        )
    ids = [result.id for result in report.clauses]
    if len(set(ids)) != len(ids):
        raise ReportError(f"{max(ids, key=ids.count)} has more than one verdict")
    for name in ("ran", "complete"):
        said, so = getattr(read, name), getattr(report, name)
        if said != so:
            raise ReportError(f"{name} is {said}; by the clauses it must be {so}")
    return report
