"""A comparison as one HTML page that needs nothing else: a matrix, and what its signs stand for."""

from collections.abc import Iterable, Sequence

from reference.conformance.reports.comparison import (
    ABSENT,
    ALIKE,
    EMPTY,
    UNRECORDED,
    Column,
    Comparison,
    Row,
    numbers,
)
from reference.conformance.reports.markup import block, counts, facts, fill, text
from reference.conformance.reports.wording import (
    CHOICE,
    LISTED,
    MARKS,
    Mark,
    by_concept,
    example,
    is_choice,
    label,
    mark_of,
)
from reference.conformance.verdicts import Result, Verdict
from reference.errors import printable
from reference.spec.clause import Clause


def to_html(comparison: Comparison, clauses: Iterable[Clause]) -> str:
    """Write a page: the subjects, every clause by every subject, why, and the choices.

    The clauses lend their sentences to reports that were read back. `page.html#loss.scalar` leads
    to what is known about that clause.
    """
    sentences = {clause.id: clause.sentence for clause in clauses}
    sentences |= {row.id: row.sentence for row in comparison.rows if row.sentence}
    sections = {
        "matrix": ("Clauses by subjects", _matrix(comparison, sentences)),
        "findings": ("Causes", _findings(comparison, sentences)),
        "not-tried": ("Not tried", _untried(comparison)),
        "choices": ("Choices", _choices(comparison)),
    }
    heading = f"{len(comparison.columns)} subjects compared"
    names = ", ".join(column.report.subject for column in comparison.columns)
    return fill(
        "comparison.html",
        sections,
        title=f"{heading} · {text(names)}",
        heading=heading,
        about=_about(comparison),
        subjects="\n".join(map(_subject, comparison.columns)),
        warnings=_warnings(comparison),
    )


def _about(comparison: Comparison) -> str:
    reports = [column.report for column in comparison.columns]
    same = [name for name in ALIKE if len({getattr(report, name) for report in reports}) == 1]
    told = ", ".join(f"{name} {getattr(reports[0], name)}" for name in same)
    return f"Held against the same {text(told)}." if told else "Nothing about the runs is the same."


def _subject(column: Column) -> str:
    said = column.summary
    mark = MARKS[Verdict.PASS if said.passed else Verdict.FAIL]
    first = f"<p><strong>{text(said.unfinished)}</strong></p>\n" if said.unfinished else ""
    source = f' <span class="soft">from {_name(column.source)}</span>' if column.source else ""
    return (
        f'<li class="{mark.tone}">\n<p>{_who(column)}{source}</p>\n{first}'
        f"<p>{mark.sign} <strong>{text(said.outcome)}</strong></p>\n"
        f'<p class="soft">{text(said.meaning)}</p>\n<p class="soft">{said.counts}.</p>\n</li>'
    )


def _who(column: Column) -> str:
    return f'<span class="number">{column.number}</span> {_name(column.report.subject)}'


def _name(name: str) -> str:
    """Write a name so that letters of whatever direction leave what stands around it in place."""
    return f"<bdi>{text(name)}</bdi>"


def _warnings(comparison: Comparison) -> str:
    items = "".join(f"<li>{text(warning)}</li>\n" for warning in comparison.warnings)
    return f'<ul class="warnings">\n{items}</ul>' if items else ""


def _matrix(comparison: Comparison, sentences: dict[str, str]) -> str:
    if not comparison.rows:
        return f"<p>{EMPTY}</p>\n"
    heads = "".join(
        f'<th scope="col"><span class="number">{column.number}</span> '
        f'<span class="name">{_name(column.report.subject)}</span></th>'
        for column in comparison.columns
    )
    bodies = "".join(
        f"<tbody>\n{_concept(comparison, name, rows)}"
        f"{''.join(_row(row, sentences) for row in rows)}</tbody>\n"
        for name, rows in by_concept(comparison.rows).items()
    )
    few = sum(map(_is_told, comparison.rows))
    return (
        '<input type="checkbox" id="few" class="filter" checked> <label for="few" class="filter">'
        f"Only what is not kept, and choices in which subjects differ: {few} of "
        f"{len(comparison.rows)} clauses</label>\n"
        '<div class="scroll" role="region" aria-labelledby="matrix" tabindex="0">\n'
        f'<table class="matrix" style="--subjects: {len(comparison.columns)}">\n'
        "<caption>The verdict on each clause, of each subject</caption>\n"
        f'<thead><tr><th scope="col">clause</th>{heads}</tr></thead>\n{bodies}</table>\n</div>\n'
    )


def _is_told(row: Row) -> bool:
    """Tell whether a row is among the few that are shown at first; the others are counted."""
    return row.found or row.differs


def _concept(comparison: Comparison, name: str, rows: Sequence[Row]) -> str:
    cells = []
    for place, _column in enumerate(comparison.columns):
        there = [result for row in rows if (result := row.results[place])]
        lacking = len(rows) - len(there)
        absent = f'<span class="{ABSENT.tone}">{ABSENT.sign} {lacking} {ABSENT.word}</span>'
        cells.append(f"<td>{counts(there)}{absent if lacking else ''}</td>")
    return f'<tr class="concept"><th scope="rowgroup">{text(name)}</th>{"".join(cells)}</tr>\n'


def _row(row: Row, sentences: dict[str, str]) -> str:
    name = text(row.id)
    told_below = row.found or CHOICE in row.marks
    shown = f'<a href="#{name}">{name}</a>' if told_below else name
    attributes = ("" if told_below else f' id="{name}"') + (
        "" if _is_told(row) else ' class="rest"'
    )
    promise = sentences.get(row.id, "")
    said = f'<span class="promise">{text(promise)}</span>' if promise else ""
    cells = "".join(
        _cell(result, mark) for result, mark in zip(row.results, row.marks, strict=True)
    )
    levels = " or ".join(row.levels)
    return (
        f'<tr{attributes}><th scope="row"><span class="id">{shown}</span> '
        f'<span class="soft">{levels}</span>{said}</th>{cells}</tr>\n'
    )


def _cell(result: Result | None, mark: Mark) -> str:
    """Write a verdict, and of a choice what the subject does; it leads to where more is said."""
    word = text(result.seen or UNRECORDED) if result and is_choice(result) else mark.word
    said = f'<span class="sign">{mark.sign}</span> <span class="word">{word}</span>'
    target = _target(result)
    start, end = (f'a href="#{text(target)}"', "a") if target else ("span", "span")
    return f'<td class="{mark.tone}"><{start} class="cell">{said}</{end}></td>'


def _target(result: Result | None) -> str:
    if result is None or result.verdict in {Verdict.SKIP, Verdict.BLOCKED}:
        return "not-tried"
    return result.id if result.verdict in LISTED or is_choice(result) else ""


def _findings(comparison: Comparison, sentences: dict[str, str]) -> str:
    return "".join(
        _finding(comparison, row, sentences.get(row.id, "")) for row in comparison.rows if row.found
    )


def _finding(comparison: Comparison, row: Row, sentence: str) -> str:
    listed = [
        _one(column, result) for column, result in comparison.pairs(row) if result.verdict in LISTED
    ]
    others: dict[Mark, list[Column]] = {}
    for column, result, mark in zip(comparison.columns, row.results, row.marks, strict=True):
        if result is None or result.verdict not in LISTED:
            others.setdefault(mark, []).append(column)
    rest = "".join(
        f'<li><span class="{mark.tone}">{mark.sign} {mark.word}</span>: {numbers(columns)}</li>\n'
        for mark, columns in others.items()
    )
    parts = [
        f'<article id="{text(row.id)}">',
        f'<h3 class="id">{text(row.id)}</h3> <span class="soft">{" or ".join(row.levels)}</span>',
        f"<p>{text(sentence)}</p>" if sentence else "",
        *listed,
        f"<ul>\n{rest}</ul>" if rest else "",
        _answers(comparison, row) if CHOICE in row.marks else "",
        "</article>\n",
    ]
    return "\n".join(part for part in parts if part)


def _one(column: Column, result: Result) -> str:
    mark = mark_of(result)
    case = block("the smallest case", printable(example(result), lines=True), kind="code")
    replay = block("replay", printable(result.replay), kind="command")
    more = f"<details>\n<summary>the case, to be tried again</summary>\n{case}\n{replay}</details>"
    return (
        f'<p class="who">{_who(column)}: <strong class="{mark.tone}">{mark.sign} {mark.word}'
        f"</strong></p>\n"
        + facts(
            [(label(result), result.cause), ("expected", result.expected), ("saw", result.seen)]
        )
        + (more if case or replay else "")
    )


def _untried(comparison: Comparison) -> str:
    items = "".join(
        f'<li><span class="number">{numbers(columns)}</span> {text(because)}: '
        f'<span class="soft">{text(names)}</span></li>\n'
        for (because, names), columns in comparison.untried().items()
    )
    return f"<ul>\n{items}</ul>\n" if items else ""


def _choices(comparison: Comparison) -> str:
    rows = [row for row in comparison.rows if CHOICE in row.marks]
    told = "".join(
        f'<dt class="id" id="{text(row.id)}">{text(row.id)}</dt>\n'
        f"<dd>{_answers(comparison, row)}</dd>\n"
        for row in rows
        if not row.found
    )
    if not told:
        return ""
    return f"<p>The notes leave these open: no answer is wrong.</p>\n<dl>\n{told}</dl>\n"


def _answers(comparison: Comparison, row: Row) -> str:
    items = "".join(
        f'<li><span class="number">{numbers(columns)}</span> <span class="open">{text(answer)}'
        f"</span></li>"
        for answer, columns in comparison.answers(row).items()
    )
    return f'<ul class="answers">{items}</ul>'
