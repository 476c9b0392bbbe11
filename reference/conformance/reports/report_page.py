"""A report as one HTML page that needs nothing else, and as a fragment for a notebook."""

from collections.abc import Iterable

from reference.conformance.reports.markup import block, counts, facts, fill, text
from reference.conformance.reports.wording import (
    LISTED,
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
    reason,
    selected,
    summary,
    tally,
    uncounted,
)
from reference.conformance.verdicts import Report, Result, Verdict
from reference.errors import printable
from reference.spec.clause import Clause, Level

TONES = {
    "good": "#22884c",
    "bad": "#dc3d33",
    "odd": "#a56d0e",
    "open": "#2181a6",
    "quiet": "#727a83",
}
"""Colours that can be told from a white paper and from a black one."""


def to_html(report: Report, clauses: Iterable[Clause], *, level: Level = Level.SHOULD) -> str:
    """Write a page: the outcome, what is not kept, the choices, and every clause by concept.

    The clauses say where in the notes each comes from, and lend a report that was read back
    their sentences. `page.html#loss.scalar` leads to what is known about that clause.
    """
    known = {clause.id: clause for clause in clauses}
    said = summary(report, level=level)
    sections = {
        "findings": ("Findings", _findings(report, known, level)),
        "not-tried": ("Not tried", _not_tried(report)),
        "choices": ("Choices", _choices(report)),
        "notes": ("Notes", "".join(f"<p>{text(note)}</p>\n" for note in report.notes)),
        "clauses": ("Every clause", _every_clause(report, known)),
    }
    return fill(
        "page.html",
        sections,
        title=f"{text(said.outcome)} · {text(report.subject)}",
        subject=text(report.subject),
        contract=text(report.contract),
        profile=text(report.profile),
        seed=str(report.seed),
        selected=text(f"; {selected(report)}" if report.selection else ""),
        tone="good" if said.passed else "bad",
        outcome=_outcome(report, level),
    )


def fragment(report: Report) -> str:
    """Write the outcome, the counts and what is not kept, for the output of a notebook's cell.

    Notebooks drop style sheets, so the styles stand where they are used, and they leave the
    colours of text and paper to the notebook's own theme.
    """
    said = summary(report, level=Level.SHOULD)
    colour = TONES["good" if said.passed else "bad"]
    cell = "padding:2px 12px 2px 0;text-align:left;vertical-align:top"
    rows = "".join(
        f'<tr><th scope="row" style="{cell}">{text(name)}</th>'
        f'<td style="{cell}">{_inline_tally(results)}</td></tr>'
        for name, results in by_concept(report.clauses).items()
    )
    found = "".join(_inline_finding(result) for result in listed(report))
    head = f'<th scope="col" style="{cell}">'
    return (
        f'<div style="border-left:6px solid {colour};padding-left:12px">'
        f"<p><strong>{text(report.subject)}</strong>: {text(said.line)}.<br>"
        f'{text(said.meaning)}</p><table style="border-collapse:collapse">'
        f"<thead><tr>{head}concept</th>{head}clauses</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{f'<ul>{found}</ul>' if found else ''}</div>"
    )


def _inline_finding(result: Result) -> str:
    mark = mark_of(result)
    known = (
        ("", result.cause),
        ("expected ", result.expected),
        ("saw ", result.seen),
    )
    said = "".join(f"<br>{name}{text(one)}" for name, one in known if one)
    replay = f"<br><code>{text(result.replay)}</code>" if result.replay else ""
    colour = TONES[mark.tone]
    return (
        f'<li style="margin-bottom:6px"><code>{text(result.id)}</code> '
        f'<span style="color:{colour}">{mark.sign} {mark.word}</span>{said}{replay}</li>'
    )


def _inline_tally(results: list[Result]) -> str:
    return " &nbsp; ".join(
        f'<span style="color:{TONES[mark.tone]}">{mark.sign} {counted(count, mark)}</span>'
        for count, mark in tally(results)
    )


def _outcome(report: Report, level: Level) -> str:
    said = summary(report, level=level)
    mark = MARKS[Verdict.PASS if said.passed else Verdict.FAIL]
    first = f"<p><strong>{text(said.unfinished)}</strong></p>\n" if said.unfinished else ""
    return (
        f"{first}<p>{mark.sign} <strong>{text(said.outcome)}</strong></p>\n"
        f"<p>{text(said.meaning)}</p>\n<p>{said.counts}.</p>"
    )


def _findings(report: Report, known: dict[str, Clause], level: Level) -> str:
    ignored = uncounted(report, level=level)
    return "".join(
        _finding(result, known.get(result.id), ignored=result.id in ignored)
        for result in listed(report)
    )


def _finding(result: Result, clause: Clause | None, *, ignored: bool) -> str:
    mark = mark_of(result)
    named = [(label(result), result.cause), ("expected", result.expected), ("saw", result.seen)]
    if clause is not None:
        named.append(("formula", clause.remarks.get("Formula", "")))
        named.append(("in the notes", " > ".join(clause.source)))
    uncounting = ", not counted at this level" if ignored else ""
    parts = [
        f'<article id="{text(result.id)}">',
        f'<h3 class="id {mark.tone}">{mark.sign} {text(result.id)}</h3>',
        f'<span class="soft">{result.level}, {result.verdict}: {mark.word}{uncounting}</span>',
        f"<p>{text(_sentence(result, clause))}</p>",
        facts(named),
        block("the smallest case", printable(example(result), lines=True), kind="code"),
        block("replay", printable(result.replay), kind="command"),
        "</article>\n",
    ]
    return "\n".join(part for part in parts if part)


def _sentence(result: Result, clause: Clause | None) -> str:
    return result.sentence or (clause.sentence if clause is not None else "")


def _not_tried(report: Report) -> str:
    items = [
        f"<li><strong>{MARKS[verdict].word}</strong>, {text(because)}: "
        f'<span class="soft">{text(names_of(report.clauses, results))}</span></li>\n'
        for verdict in (Verdict.BLOCKED, Verdict.SKIP)
        for because, results in by_reason(report, verdict).items()
    ]
    return f"<ul>\n{''.join(items)}</ul>\n" if items else ""


def _choices(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row" class="id"><a href="#{text(result.id)}">{text(result.id)}</a></th>'
        f"<td>{text(result.seen or 'nothing was recorded')}</td></tr>\n"
        for result in report.clauses
        if is_choice(result)
    )
    if not rows:
        return ""
    return (
        "<p>The notes leave these open: no answer is wrong.</p>\n<table>\n<thead><tr>"
        '<th scope="col">clause</th><th scope="col">what the subject does</th>'
        f"</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )


def _every_clause(report: Report, known: dict[str, Clause]) -> str:
    head = "".join(
        f'<th scope="col" class="{name}">{title}</th>'
        for name, title in (
            ("mark", "verdict"),
            ("", "clause"),
            ("level", "level"),
            ("time", "time"),
        )
    )
    parts = []
    for name, results in by_concept(report.clauses).items():
        rows = "".join(_row(report, result, known.get(result.id)) for result in results)
        parts.append(
            f"<details open>\n<summary><h3>{text(name)}</h3>{counts(results)}</summary>\n"
            f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</details>\n"
        )
    return "".join(parts)


def _row(report: Report, result: Result, clause: Clause | None) -> str:
    mark = mark_of(result)
    name = text(result.id)
    if result.verdict in LISTED:  # what is known about it stands above
        start, id_ = "<tr>", f'<a href="#{name}">{name}</a>'
    else:
        start, id_ = f'<tr id="{name}">', name
    remark = {
        Verdict.SKIP: reason(report, result),
        Verdict.BLOCKED: reason(report, result),
        Verdict.PASS: result.seen if is_choice(result) else "",
    }.get(result.verdict, "")
    said = f'<br><span class="{mark.tone}">{text(remark)}</span>' if remark else ""
    return (
        f'{start}<td class="mark {mark.tone}">{mark.sign} {mark.word}</td>'
        f'<th scope="row"><span class="id">{id_}</span><br>'
        f"{text(_sentence(result, clause))}{said}</th>"
        f'<td class="level">{result.level}</td>'
        f'<td class="time">{result.seconds:.2f} s</td></tr>\n'
    )
