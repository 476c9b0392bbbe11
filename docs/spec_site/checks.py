"""What must be whole before the site is: anything missing is a warning, which ends the build."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

from reference.spec.catalogue import catalogue
from reference.spec.errata import ERRATA
from spec_site import notes
from spec_site.domain import SpecDomain
from spec_site.trace import trace

LOG = logging.getLogger(__name__)

RHYTHM = (
    "What the notes say",
    "In one sentence",
    "Formula",
    "Code",
    "Shapes",
    "Example",
    "Clauses",
)
"""The sections that every page of the spec has, in this order; others may stand between."""


def check_all_told(app: Sphinx, env: BuildEnvironment) -> None:
    """Hold the pages against the catalogue and the notes."""
    for complaint in complaints(env):
        LOG.warning("%s", complaint, type="spec")


def complaints(env: BuildEnvironment) -> list[str]:
    """Say what no page tells."""
    domain = SpecDomain.of(env)
    said = [
        f"the clause {clause.id} has no page: name it in a `clauses` directive"
        for clause in catalogue(None)
        if clause.id not in domain.homes("clause")
    ]
    said += [
        f"erratum {erratum.number} has no page: name it in an `errata` directive"
        for erratum in ERRATA
        if str(erratum.number) not in domain.homes("erratum")
    ]
    said += [
        f"question {number}, in line {line} of the notes, has no answer: write an `audit` directive"
        for number, line in enumerate(notes.questions(), start=1)
        if str(number) not in domain.homes("question")
    ]
    for node in notes.nodes():
        if str(node.line) not in domain.homes("line"):
            said.append(f"no page quotes line {node.line} of the notes: {notes.plain(node)!r}")
        elif trace(domain, node) is None:
            said.append(f"line {node.line} of the notes leads to no clause: {notes.plain(node)!r}")
    for page in sorted(env.found_docs):
        if page.startswith("spec/") and page != "spec/index":
            said += _out_of_step(env, page)
    return said


def _out_of_step(env: BuildEnvironment, page: str) -> list[str]:
    """Say where a page lacks the rhythm that they all have."""
    headings = [
        section.next_node(nodes.title).astext()  # type: ignore[union-attr]  # a section has one
        for section in env.get_doctree(page).findall(nodes.section)
    ]
    kept = [heading for heading in headings if heading in RHYTHM]
    if kept == list(RHYTHM):
        return []
    return [f"{page} has the sections {kept}; every page of the spec has {list(RHYTHM)}"]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Check when all pages have been read."""
    app.connect("env-check-consistency", check_all_told)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
