"""Directives for a page of the spec: its clauses, its errata, and the questions that it answers."""

import inspect
from collections.abc import Sequence
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, OptionSpec

from reference.conformance.reports.example import KILLS, answers_of, kills_of
from reference.conformance.reports.power import POWER, power_of
from reference.spec.catalogue import CONCEPTS, catalogue
from reference.spec.clause import PROFILES, Clause, Level
from reference.spec.errata import ERRATA, Erratum
from spec_site import notes
from spec_site.domain import SpecDomain, reference_to
from spec_site.grid import table

BY_ID = {clause.id: clause for clause in catalogue(None)}


class ClausesDirective(SphinxDirective):
    """Give clauses their home: each id on a line of its own becomes a box with all there is."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        domain = SpecDomain.of(self.env)
        found: list[nodes.Node] = []
        for clause in _chosen(self):
            domain.settle("clause", clause.id, self.env.docname)
            found.append(_clause_box(self, clause))
        return found


class AlsoDirective(SphinxDirective):
    """List clauses whose home is another page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        listed = nodes.bullet_list(classes=["also"])
        chosen = _chosen(self)
        SpecDomain.of(self.env).data["also"][self.env.docname] = [clause.id for clause in chosen]
        for clause in chosen:
            line = nodes.paragraph()
            line += reference_to("spec", "clause", clause.id, self.env.docname)
            line += nodes.Text(f": {clause.sentence}")
            listed += nodes.list_item("", line)
        return [listed]


class ErrataDirective(SphinxDirective):
    """Give errata their home: what the notes say, what is so, and what the reference does."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        by_number = {str(erratum.number): erratum for erratum in ERRATA}
        found: list[nodes.Node] = []
        for number in self.arguments[0].split():
            if number not in by_number:
                raise self.error(f"there is no erratum {number}; there are {', '.join(by_number)}")
            SpecDomain.of(self.env).settle("erratum", number, self.env.docname)
            found.append(_erratum_box(by_number[number]))
        return found


class AuditDirective(SphinxDirective):
    """Answer an @audit question of the notes, named by its line; `:output:` is the answer's line.

    That line must stand in the output of a sample within the answer.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[OptionSpec] = {"output": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        asked = notes.questions()
        if self.arguments[0] not in map(str, asked):
            raise self.error(f"no question stands in line {self.arguments[0]}; they do in {asked}")
        line = int(self.arguments[0])
        answer = self.parse_content_to_nodes()
        output = self.options.get("output", "")
        shown = [
            line
            for part in answer
            for block in part.findall(nodes.literal_block)
            if block.get("language") in {"text", "console"}
            for line in block.astext().splitlines()
        ]
        if output not in shown:
            raise self.error(f"`:output:` {output!r} is no line of the answer's output")
        number = str(asked.index(line) + 1)
        domain = SpecDomain.of(self.env)
        domain.settle("question", number, self.env.docname)
        domain.data["output"][number] = output
        words, above = notes.question(line)
        box = nodes.container(classes=["question"], ids=[f"question-{number}"])
        title = nodes.paragraph(classes=["question-title"])
        title += nodes.strong("", f"Question {number} of the notes, ")
        title += notes_link(line, self.env.docname)
        title += nodes.Text(f", at “{above}”: ")
        title += nodes.emphasis("", words)
        box += title
        box += answer
        return [box]


def _chosen(directive: SphinxDirective) -> list[Clause]:
    for module in CONCEPTS:  # so that a page is read anew when what it shows has changed
        directive.env.note_dependency(str(module.__file__))
    directive.env.note_dependency(str(KILLS))
    directive.env.note_dependency(str(POWER))
    chosen = []
    for written in directive.content:
        if written.strip() and written.strip() not in BY_ID:
            raise directive.error(f"there is no clause {written.strip()!r}: see `bigram spec`")
        if written.strip():
            chosen.append(BY_ID[written.strip()])
    return chosen


def _clause_box(directive: SphinxDirective, clause: Clause) -> nodes.Node:
    page = directive.env.docname
    box = nodes.container(classes=["clause", f"level-{clause.level}"], ids=[f"clause-{clause.id}"])
    title = nodes.paragraph(classes=["clause-title"])
    title += nodes.literal("", clause.id)
    title += nodes.inline("", clause.level.value, classes=["level"])
    title += permalink(f"clause-{clause.id}", f"Link to the clause {clause.id}")
    box += title
    box += nodes.paragraph("", clause.sentence, classes=["sentence"])
    for topic, text in clause.remarks.items():
        formula = topic == "Formula"
        shown = nodes.literal("", text.removesuffix(".")) if formula else nodes.Text(text)
        box += _field(topic, shown)
    line = notes.line_of(clause.source)
    box += _field("In the notes", notes_link(line, page), nodes.Text(", "), _way(clause))
    if clause.needs:
        needed: list[nodes.Node] = []
        for need in clause.needs:
            needed += [nodes.Text(", "), reference_to("spec", "clause", need, page)]
        box += _field("Needs", *needed[1:])
    if clause.profiles != PROFILES:
        box += _field("Of the profile", nodes.Text(" and ".join(clause.profiles)))
    box += _power(clause)
    box += _folded("The check", [_code(clause)], f"check-{clause.id}")
    box += _seen(clause)
    return box


def _power(clause: Clause) -> list[nodes.Node]:
    """Show the weakest fault of each family that the clause notices, if it judges by chance."""
    power = power_of(clause.id)
    if power is None:
        return []
    heads = ["Weakest that at least 99% of runs notice", *power["columns"]]
    rows = [[[nodes.Text(text)] for text in (name, *row)] for name, row in power["rows"].items()]
    widths = [40, *(60 // len(power["columns"]) for _column in power["columns"])]
    return [_folded("Power table", [table(heads, rows, widths)], f"power-{clause.id}")]


def _way(clause: Clause) -> nodes.Node:
    return nodes.inline("", " > ".join(clause.source), classes=["way"])


def _code(clause: Clause) -> nodes.Node:
    source = inspect.getsource(inspect.unwrap(clause.check))
    return nodes.literal_block(source, source, language="python")


def _seen(clause: Clause) -> nodes.Node:
    """List what the tests' implementations were seen to do."""
    if clause.level is Level.CHOICE:
        answers = answers_of(clause)
        items = [f"{answer}: {'; '.join(names)}" for answer, names in answers.items()]
        title = f"Fails nothing; {len(items)} behaviours seen"
    else:
        items = kills_of(clause)
        title = f"Catches {counted(len(items), 'wrong implementation')}"
    listed = nodes.bullet_list()
    for item in items:
        listed += nodes.list_item("", nodes.paragraph("", item))
    return _folded(title, [listed], f"kills-{clause.id}")


def counted(number: int, thing: str) -> str:
    """Say how many: 1 clause, 2 clauses."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _erratum_box(erratum: Erratum) -> nodes.Node:
    number = erratum.number
    box = nodes.container(classes=["erratum"], ids=[f"erratum-{number}"])
    title = nodes.paragraph(classes=["erratum-title"])
    title += nodes.strong("", f"Erratum {number}")
    title += permalink(f"erratum-{number}", f"Link to erratum {number}")
    box += title
    for name, text in (
        ("The notes ", erratum.notes),
        ("What is so: ", erratum.fact),
        ("The reference ", erratum.reference),
    ):
        box += nodes.paragraph("", "", nodes.strong("", name), *in_code(f"{text}."))
    return box


def in_code(text: str) -> list[nodes.Node]:
    """Show what stands between backticks as code."""
    parts = text.split("`")
    return [
        nodes.literal("", part) if at % 2 else nodes.Text(part) for at, part in enumerate(parts)
    ]


def _field(name: str, *shown: nodes.Node) -> nodes.Node:
    line = nodes.paragraph(classes=["field"])
    line += nodes.inline("", f"{name}: ", classes=["field-name"])
    line += shown
    return line


def _folded(title: str, content: Sequence[nodes.Node], place: str) -> nodes.Node:
    """Show a title that opens on a click."""
    box = nodes.container(classes=["folded"])
    box += nodes.raw("", f'<details id="{place}"><summary>{title}</summary>', format="html")
    box += content
    box += nodes.raw("", "</details>", format="html")
    return box


def notes_link(line: int, page: str) -> nodes.Node:
    """Link to a line of the notes, on the page that quotes it."""
    link = reference_to("spec", "line", str(notes.node_at(line).line), page)
    link.children = [nodes.inline("", f"line {line}")]
    return link


def permalink(target: str, label: str) -> nodes.Node:
    """Make the mark that a heading has, for a box."""
    return nodes.raw(
        "", f'<a class="headerlink" href="#{target}" title="{label}">¶</a>', format="html"
    )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directives."""
    app.add_directive("clauses", ClausesDirective)
    app.add_directive("also", AlsoDirective)
    app.add_directive("errata", ErrataDirective)
    app.add_directive("audit", AuditDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
