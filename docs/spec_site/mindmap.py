"""The notes as the mind map that they are, each node linked to its page, code and clauses.

markmap draws it in the reader's browser; `spec_site.assets` copies what that takes into the site.
"""

import json
from html import escape
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from spec_site import notes
from spec_site.boxes import counted
from spec_site.domain import SpecDomain, anchor
from spec_site.trace import Trace, trace

Json = dict[str, Any]

SCRIPTS = ("d3.js", "markmap-view.js", "mindmap.js")


class mindmap_mark(nodes.General, nodes.Element):  # noqa: N801  docutils names its nodes so
    """Stands where the mind map will be."""


class MindMapDirective(SphinxDirective):
    """Draw the notes as a mind map."""

    def run(self) -> list[nodes.Node]:
        return [mindmap_mark()]


class PutMindMap(SphinxPostTransform):
    """Write the map's data, once it is known where each node leads."""

    default_priority = 5
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:  # noqa: ANN401  as Sphinx has it
        for mark in list(self.document.findall(mindmap_mark)):
            data = {"options": _options(), "root": self._branch(notes.nodes()[0])}
            written = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
            html = (
                '<div class="mindmap" id="mindmap"><div class="mindmap-buttons">'
                '<button type="button" data-do="fit">Whole map</button>'
                '<button type="button" data-do="open">Open all</button>'
                '<button type="button" data-do="fold">Fold</button>'
                '<button type="button" data-do="full">Full screen</button></div>'
                '<svg class="markmap" role="group" aria-label="The notes as a mind map"></svg>'
                "</div>"
                f'<script type="application/json" id="mindmap-data">{written}</script>'
                + "".join(f'<script src="{self._up()}_static/{name}"></script>' for name in SCRIPTS)
            )
            mark.replace_self(nodes.raw("", html, format="html"))

    def _branch(self, node: notes.Node) -> Json:
        below = [self._branch(child) for child in node.children]
        return {"content": self._linked(node), "children": below}

    def _linked(self, node: notes.Node) -> str:
        found = trace(SpecDomain.of(self.env), node)
        if found is None:  # spec_site.checks says which, and ends the build
            return node.html
        text = node.html.removeprefix("<p>").removesuffix("</p>")
        words = self._link(found.page, anchor("line", node.line), text, "mm-text")
        return f'{words}<div class="mm-links">{self._code(found)} {self._clauses(found)}</div>'

    def _code(self, found: Trace) -> str:
        python = self.env.get_domain("py")
        assert isinstance(python, PythonDomain)  # noqa: S101  Sphinx's own
        links: list[str] = []
        for name in found.code:
            if name in python.objects:  # if not, the page's own link is found dangling
                entry = python.objects[name]
                words = "code" if not links else f"code {len(links) + 1}"
                links.append(self._link(entry.docname, entry.node_id, words, "mm-code", name))
        return " ".join(links)

    def _clauses(self, found: Trace) -> str:
        homes = SpecDomain.of(self.env).homes("clause")
        own = [name for name in found.own if name in homes]
        if not own:
            return self._link(found.page, "clauses", "clauses", "mm-clause")
        words = own[0] if len(own) == 1 else counted(len(own), "clause")
        place = anchor("clause", own[0])
        return self._link(homes[own[0]], place, words, "mm-clause", ", ".join(own))

    def _link(self, page: str, place: str, html: str, kind: str, title: str = "") -> str:
        uri = self.app.builder.get_relative_uri(self.env.docname, page)
        hint = f' title="{escape(title)}"' if title else ""
        return f'<a class="{kind}" href="{escape(uri)}#{escape(place)}"{hint}>{html}</a>'

    def _up(self) -> str:
        return "../" * self.env.docname.count("/")


def _options() -> Json:
    """Read the notes' own settings for their map."""
    front = notes.NOTES.read_text(encoding="utf-8").split("\n---\n")[0].removeprefix("---\n")
    options: Json = yaml.safe_load(front)["markmap"]
    return options


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the directive."""
    app.add_node(mindmap_mark)
    app.add_directive("mindmap", MindMapDirective)
    app.add_post_transform(PutMindMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
