"""What the site knows: which page is home to each clause, question, erratum and line of the notes.

The role `{clause}` and the search find a clause by its id. What must be whole is checked when all
pages have been read: see `spec_site.checks`.
"""

from collections.abc import Iterable, Sequence, Set as AbstractSet
from typing import Any, ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinx.util.typing import ExtensionMetadata

LOG = logging.getLogger(__name__)

Homes = dict[str, str]
"""From the name of a thing to the page that it is on."""


class NumberedRole(XRefRole):
    """Show {question}`6` as "question 6"."""

    def process_link(
        self,
        env: BuildEnvironment,
        refnode: nodes.Element,
        has_explicit_title: bool,  # noqa: FBT001  Sphinx's own
        title: str,
        target: str,
    ) -> tuple[str, str]:
        return (title if has_explicit_title else f"{refnode['reftype']} {title}"), target


class SpecDomain(Domain):
    """The clauses, questions and errata, and the lines of the notes, by the page they are on."""

    name = "spec"
    label = "Contract"
    object_types: ClassVar[dict[str, ObjType]] = {
        "clause": ObjType("clause", "clause"),
        "erratum": ObjType("erratum", "erratum"),
        "question": ObjType("question", "question"),
    }
    roles: ClassVar[dict[str, XRefRole]] = {  # type: ignore[assignment]  # Domain's is wider
        "clause": XRefRole(warn_dangling=True),
        "erratum": NumberedRole(innernodeclass=nodes.inline, warn_dangling=True),
        "question": NumberedRole(innernodeclass=nodes.inline, warn_dangling=True),
    }
    initial_data: ClassVar[dict[str, Any]] = {
        **{kind: {} for kind in object_types},
        "line": {},  # of the notes -> page
        "code": {},  # line of the notes -> names of what does what it says
        "output": {},  # line of a question -> the line of output that answers it
        "also": {},  # page -> clauses that it cites, and is not home to
    }
    data_version = 1

    @staticmethod
    def of(env: BuildEnvironment) -> "SpecDomain":
        """Give the build's own."""
        domain = env.get_domain("spec")
        assert isinstance(domain, SpecDomain)  # noqa: S101  registered under this name
        return domain

    def homes(self, kind: str) -> Homes:
        """Give the page of each clause, erratum, question or line."""
        homes: Homes = self.data[kind]
        return homes

    def settle(self, kind: str, name: str, page: str) -> None:
        """Make a page the home of a thing, which must have no other, nor this one twice."""
        homes = self.homes(kind)
        if name in homes:
            LOG.warning(
                "%s %s has two homes: %s and %s", kind, name, homes[name], page, location=page
            )
        homes.setdefault(name, page)

    def quote(self, page: str, lines: Iterable[int], code: Sequence[str]) -> None:
        """Note that a page quotes these lines, and which code it shows for them."""
        for line in lines:
            self.settle("line", str(line), page)
            self.data["code"][str(line)] = list(code)

    def clear_doc(self, docname: str) -> None:
        for kind in (*self.object_types, "line"):
            homes = self.homes(kind)
            for name in [name for name, page in homes.items() if page == docname]:
                del homes[name]
        self.data["also"].pop(docname, None)

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        for kind in (*self.object_types, "line"):
            for name, page in otherdata[kind].items():
                if page in docnames:
                    self.settle(kind, name, page)
        for kind in ("code", "output", "also"):
            self.data[kind].update(otherdata[kind])

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: addnodes.pending_xref,
        contnode: nodes.Element,
    ) -> nodes.reference | None:
        # A clause's check and what it catches are parts of its box.
        page = self.homes("clause" if typ in {"check", "kills"} else typ).get(target)
        if page is None:
            return None
        return make_refnode(builder, fromdocname, page, anchor(typ, target), contnode)

    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: addnodes.pending_xref,
        contnode: nodes.Element,
    ) -> list[tuple[str, nodes.reference]]:
        found = self.resolve_xref(env, fromdocname, builder, "clause", target, node, contnode)
        return [] if found is None else [("spec:clause", found)]

    def get_objects(self) -> Iterable[tuple[str, str, str, str, str, int]]:
        for kind in self.object_types:
            for name, page in self.homes(kind).items():
                shown = name if kind == "clause" else f"{kind} {name}"
                yield name, shown, kind, page, anchor(kind, name), 1


def anchor(kind: str, name: str | int) -> str:
    """Name the place on its page of a clause, an erratum, a question or a line of the notes."""
    return f"notes-L{name}" if kind == "line" else f"{kind}-{name}"


def reference_to(domain: str, kind: str, name: str, page: str) -> addnodes.pending_xref:
    """Make a link that is resolved, or found dangling, once all pages have been read."""
    link = addnodes.pending_xref(
        "", refdomain=domain, reftype=kind, reftarget=name, refexplicit=False, refwarn=True
    )
    link["refdoc"] = page
    link += nodes.literal("", name, classes=["xref"])
    return link


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add the domain."""
    app.add_domain(SpecDomain)
    return {"env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
