"""The notes quoted on a page: `{notes}` with their lines, word for word, each line an anchor."""

from collections.abc import Sequence
from html import escape
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata, OptionSpec

from spec_site import notes
from spec_site.domain import SpecDomain, anchor, reference_to


class NotesDirective(SphinxDirective):
    """Quote lines of the notes, and name the code that does what they say.

    ```{notes} 36-55
    :code: reference.data.get_batch
    ```
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[OptionSpec] = {"code": lambda written: written.split()}

    def run(self) -> list[nodes.Node]:
        try:
            chosen = set(notes.ranges(self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        self.env.note_dependency(str(notes.NOTES))
        quoted = [node for node in notes.nodes() if node.line in chosen]
        code: list[str] = self.options.get("code", [])
        if not code:
            raise self.error("`:code:` names no code that does what these lines say")
        SpecDomain.of(self.env).quote(self.env.docname, [node.line for node in quoted], code)
        html = f'<blockquote class="notes" aria-label="The notes">{_groups(quoted)}</blockquote>'
        named = nodes.paragraph(classes=["notes-code"])
        named += nodes.Text("In code: ")
        for at, name in enumerate(code):
            if at:
                named += nodes.Text(", ")
            named += reference_to("py", "obj", name, self.env.docname)
        return [nodes.raw("", html, format="html"), named]


def _groups(quoted: Sequence[notes.Node]) -> str:
    """Give the quoted nodes as trees, each below the way that leads to it."""
    inside = set(quoted)
    html, above = "", None
    for root in (node for node in quoted if node.parent not in inside):
        way = [notes.plain(node) for node in root.ancestors()]
        if way != above:
            html += f'<p class="notes-way">{escape(" > ".join(way))}</p>' if way else ""
            above = way
        html += f"<ul>{_item(root, inside)}</ul>"
    return html.replace("</ul><ul>", "")


def _item(node: notes.Node, inside: set[notes.Node]) -> str:
    below = "".join(_item(child, inside) for child in node.children if child in inside)
    below = f"<ul>{below}</ul>" if below else ""
    place = anchor("line", node.line)
    return f'<li id="{place}">{node.html}{below}</li>'


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_directive("notes", NotesDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
