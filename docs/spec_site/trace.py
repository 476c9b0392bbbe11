"""From a line of the notes to its page, code and clauses: what the matrix and the mind map show."""

from dataclasses import dataclass
from functools import cache

from reference.spec.catalogue import catalogue
from spec_site import notes
from spec_site.domain import SpecDomain


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Where a node of the notes leads."""

    page: str
    code: tuple[str, ...]
    """Names of what does what the node says."""
    own: tuple[str, ...]
    """Ids of the clauses that cite it."""
    near: int
    """Without any of its own: the line of the nearest node that has some, on the same page."""


@cache
def cited() -> dict[int, tuple[str, ...]]:
    """Give the clauses that cite each node of the notes, by its line."""
    found: dict[int, tuple[str, ...]] = {}
    for clause in catalogue(None):
        line = notes.node_at(notes.line_of(clause.source)).line
        found[line] = (*found.get(line, ()), clause.id)
    return found


def trace(domain: SpecDomain, node: notes.Node) -> Trace | None:
    """Say where a node leads; None where no page quotes it, or nothing near it is cited."""
    pages = domain.homes("line")
    page = pages.get(str(node.line))
    if page is None:
        return None
    own = cited().get(node.line, ())
    near = [
        other.line
        for other in _outwards(node)
        if other.line in cited() and pages.get(str(other.line)) == page
    ]
    # Where no clause cites the quotation, what the page lists is what there is to read.
    listed = page in domain.homes("clause").values() or domain.data["also"].get(page)
    if not near and not listed:
        return None
    return Trace(
        page=page,
        code=tuple(domain.data["code"][str(node.line)]),
        own=own,
        near=near[0] if near else 0,
    )


def _outwards(node: notes.Node) -> list[notes.Node]:
    """List the node and what is below it, then what is above and beside, nearest first."""
    found = _below(node)
    for above in reversed(node.ancestors()):
        found += [other for other in _below(above) if other not in found]
    return found


def _below(node: notes.Node) -> list[notes.Node]:
    return [node, *(other for child in node.children for other in _below(child))]
