"""What the pages have in common: text that stays text, and what a page is put together from."""

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template

from reference.conformance.reports.wording import counted, tally
from reference.conformance.verdicts import Result
from reference.errors import printable

HERE = files("reference.conformance.reports")


def text(raw: str, *, lines: bool = False) -> str:
    """Write text of anybody's so that it is no markup; `lines` keeps line ends."""
    return escape(printable(raw, lines=lines))


def block(title: str, code: str, *, kind: str) -> str:
    """Write code, which keeps its lines, below its title; nothing where there is none."""
    if not code:
        return ""
    return (
        f'<p class="soft">{title}:</p>\n'
        f'<pre class="{kind}" tabindex="0" aria-label="{title}"><code>{escape(code)}</code></pre>'
    )


def facts(named: Iterable[tuple[str, str]]) -> str:
    """Write a list of names and texts, without those that are empty."""
    rows = "\n".join(
        f"<dt>{name}</dt> <dd>{text(said, lines=True)}</dd>" for name, said in named if said
    )
    return f"<dl>\n{rows}\n</dl>" if rows else ""


def counts(results: Iterable[Result]) -> str:
    """Write how many there are of each mark."""
    return "".join(
        f'<span class="{mark.tone}">{mark.sign} {counted(count, mark)}</span>'
        for count, mark in tally(results)
    )


def fill(template: str, sections: Mapping[str, tuple[str, str]], **fields: str) -> str:
    """Fill a page's template: each section has an id, a title and a body; empty ones are left out.

    The look, the list of contents and the sections are the same on every page; the rest is in
    `fields`.
    """
    present = {name: section for name, section in sections.items() if section[1]}
    return Template(HERE.joinpath(template).read_text("utf-8")).substitute(
        look=HERE.joinpath("look.css").read_text("utf-8"),
        contents="\n".join(
            f'<li><a href="#{name}">{title}</a></li>' for name, (title, _body) in present.items()
        ),
        main="\n".join(
            f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{body}</section>'
            for name, (title, body) in present.items()
        ),
        **fields,
    )
