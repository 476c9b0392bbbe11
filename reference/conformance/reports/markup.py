"""What makes the pages: Jinja2, which escapes every text that a template shows."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reference.conformance.reports import wording
from reference.errors import printable


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
    made.globals |= {name: word for name, word in vars(wording).items() if name[0] != "_"}
    made.filters["lines"] = _lines
    return made


def _printable(value: object) -> str:
    """Return text without control characters; Jinja2 then escapes it, unless it is markup."""
    return value if isinstance(value, Markup) else printable(value)


def _lines(text: str) -> Markup:
    """Return text as markup that keeps its line ends."""
    return escape(printable(text, lines=True))
