"""Generated tables: the clauses, the errata, the ten questions, and the traceability matrix.

Each directive leaves a mark, which is replaced once all pages have been read.
"""

from collections.abc import Callable, Sequence
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from reference.conformance.reports.example import answers_of, kills_of
from reference.spec.catalogue import catalogue
from reference.spec.clause import Clause, Level
from reference.spec.errata import ERRATA
from spec_site import fault_tables, notes
from spec_site.boxes import counted, in_code, notes_link
from spec_site.domain import SpecDomain, reference_to
from spec_site.grid import Row, table
from spec_site.trace import trace


class table_mark(nodes.General, nodes.Element):  # noqa: N801  docutils names its nodes so
    """Stands where a table will be."""


class TableDirective(SphinxDirective):
    """Give one of the generated tables: `{generated} matrix`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in TABLES:
            raise self.error(f"no table {self.arguments[0]!r}; there are {', '.join(TABLES)}")
        return [table_mark("", table=self.arguments[0])]


class PutTables(SphinxPostTransform):
    """Replace the marks."""

    default_priority = 5  # before links are resolved

    def run(self, **kwargs: Any) -> None:  # noqa: ANN401  as Sphinx has it
        for mark in list(self.document.findall(table_mark)):
            mark.replace_self(TABLES[mark["table"]](self.env, self.env.docname))


def _clauses(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """List every clause by concept: its level, id and sentence."""
    found: list[nodes.Node] = []
    for concept in dict.fromkeys(clause.concept for clause in catalogue(None)):
        rows: list[Row] = [
            [
                [nodes.inline("", clause.level.value, classes=["level", f"level-{clause.level}"])],
                [reference_to("spec", "clause", clause.id, page)],
                [nodes.Text(clause.sentence)],
            ]
            for clause in catalogue(None)
            if clause.concept == concept
        ]
        found.append(nodes.rubric("", concept))
        found.append(table(["Level", "Clause", "What it says"], rows, [10, 30, 60]))
    return found


def _matrix(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """Trace every clause: line of the notes, clause, check, what it catches, page."""
    rows: list[Row] = []
    for clause in catalogue(None):
        home = SpecDomain.of(env).homes("clause").get(clause.id, "")
        rows.append(
            [
                [notes_link(notes.line_of(clause.source), page)],
                [reference_to("spec", "clause", clause.id, page)],
                [_check(clause, page)],
                [_caught(clause, page)],
                [_page_link(env, home, page)],
            ]
        )
    heads = ["Notes", "Clause", "Check", "Seen to catch", "Page"]
    return [table(heads, rows, [10, 30, 25, 20, 15])]


def _lines(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """Trace every line of the notes: page, code, clauses."""
    rows: list[Row] = []
    for node in notes.nodes():
        found = trace(SpecDomain.of(env), node)
        if found is None:  # spec_site.checks says which, and ends the build
            continue
        if found.own:
            clauses = _listed([reference_to("spec", "clause", name, page) for name in found.own])
        elif found.near:
            clauses = [nodes.Text("see "), notes_link(found.near, page)]
        else:
            clauses = [nodes.Text("see "), _page_link(env, found.page, page)]
        rows.append(
            [
                [notes_link(node.line, page)],
                [nodes.Text(notes.plain(node)[:60])],
                [_page_link(env, found.page, page)],
                _listed([reference_to("py", "obj", name, page) for name in found.code]),
                clauses,
            ]
        )
    return [table(["Line", "The notes", "Page", "Code", "Clauses"], rows, [8, 32, 15, 20, 25])]


def _questions(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """List the ten questions, each with the line of output that answers it."""
    domain = SpecDomain.of(env)
    rows: list[Row] = []
    for number, line in enumerate(notes.questions(), start=1):
        words, above = notes.question(line)
        link = reference_to("spec", "question", str(number), page)
        link.children = [nodes.inline("", f"Question {number}")]
        home = domain.homes("question").get(str(number), "")
        rows.append(
            [
                [link],
                [nodes.Text(f"{above}: "), nodes.emphasis("", words)],
                [nodes.literal("", domain.data["output"].get(str(number), ""))],
                [_page_link(env, home, page)],
            ]
        )
    return [table(["", "The notes ask", "What answers, when run", "Page"], rows, [12, 38, 38, 12])]


def _errata(env: BuildEnvironment, page: str) -> list[nodes.Node]:
    """List every erratum: what the notes say, what is so, and the page that tells it."""
    rows: list[Row] = []
    for erratum in ERRATA:
        link = reference_to("spec", "erratum", str(erratum.number), page)
        home = SpecDomain.of(env).homes("erratum").get(str(erratum.number), "")
        rows.append(
            [
                [link],
                in_code(erratum.notes),
                in_code(erratum.fact),
                [_page_link(env, home, page)],
            ]
        )
    return [table(["", "The notes", "What is so", "Page"], rows, [6, 40, 40, 14])]


def _faults(figures: Callable[[str], fault_tables.Table]) -> Callable[..., list[nodes.Node]]:
    """Return what lists figures of the machine-made faults."""
    return lambda _env, page: [table(*figures(page))]


TABLES: dict[str, Callable[[BuildEnvironment, str], list[nodes.Node]]] = {
    "clauses": _clauses,
    "matrix": _matrix,
    "lines": _lines,
    "questions": _questions,
    "errata": _errata,
    "faults": _faults(fault_tables.summary),
    "fault-parts": _faults(lambda _page: fault_tables.groups("by part")),
    "fault-operators": _faults(lambda _page: fault_tables.groups("by operator")),
    "fault-conditions": _faults(lambda _page: fault_tables.groups("by condition")),
    "fault-clauses": _faults(fault_tables.clauses),
    "fault-allowances": _faults(fault_tables.allowed),
    "fault-survivors": _faults(fault_tables.survivors),
}


def _check(clause: Clause, page: str) -> nodes.Node:
    link = reference_to("spec", "clause", clause.id, page)
    link["reftype"] = "check"
    link.children = [nodes.literal("", f"{clause.concept}.{clause.check.__name__}")]
    return link


def _caught(clause: Clause, page: str) -> nodes.Node:
    link = reference_to("spec", "clause", clause.id, page)
    link["reftype"] = "kills"
    if clause.level is Level.CHOICE:
        words = counted(len(answers_of(clause)), "behaviour")
    else:
        words = counted(len(kills_of(clause)), "mistake")
    link.children = [nodes.inline("", words)]
    return link


def _page_link(env: BuildEnvironment, target: str, page: str) -> nodes.Node:
    link = reference_to("std", "doc", f"/{target}", page)
    title = env.titles[target].astext() if target in env.titles else ""
    link.children = [nodes.inline("", title)]
    return link


def _listed(links: Sequence[nodes.Node]) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for link in links:
        found += [nodes.Text(", "), link]
    return found[1:]


def _always(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the pages with generated tables anew, whatever page has changed."""
    made = ("clauses", "matrix", "questions", "errata", "mindmap", "faults")
    return [page for page in made if page in env.all_docs]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_node(table_mark)
    app.add_directive("generated", TableDirective)
    app.add_post_transform(PutTables)
    app.connect("env-updated", _always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
