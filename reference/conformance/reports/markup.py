"""What makes the pages: Jinja2, which escapes every text that a template shows."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reference.conformance.reports.wording import (
    ABSENT,
    CHOICE,
    LISTED,
    behaviour,
    by_concept,
    counted,
    example,
    facts,
    is_choice,
    label,
    listed,
    mark_of,
    tally,
)
from reference.errors import printable

WORDS = (
    behaviour,
    by_concept,
    counted,
    example,
    facts,
    is_choice,
    label,
    listed,
    mark_of,
    tally,
)


def render(page: str, **shown: object) -> str:
    """Return a page of the folder `pages`, filled in; no text in what is shown becomes markup."""
    return _environment().get_template(page).render(**shown)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("reference.conformance.reports", "pages"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {word.__name__: word for word in WORDS}
    made.globals |= {"ABSENT": ABSENT, "CHOICE": CHOICE, "LISTED": LISTED}
    made.filters["lines"] = _lines
    return made


def _printable(value: object) -> str:
    """Return text without control characters; Jinja2 then escapes it, unless it is markup."""
    return value if isinstance(value, Markup) else printable(value)


def _lines(text: str) -> Markup:
    """Return text as markup that keeps its line ends."""
    return escape(printable(text, lines=True))
