"""The notes as a tree: each heading and list item with its line, its text and its place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

NOTES = Path(__file__).parents[1] / "notes/nn-module.markmap.md"
_DECORATION = re.compile(r"\*\*|`|🕸️|🧮|🪬|🧠|👁️🗨️|🧩|📥|🎯|👀|🥚|🪺|🏷️|♻️|==(?=\[)|(?<=\])==")
"""What is left out where a source is looked for: the notes' emphasis and pictures."""
_MARKED = re.compile(r"==(?=\S)(.+?)(?<=\S)==")
_AUDIT = "@audit"
_PARSER = MarkdownIt("commonmark", {"maxNesting": 100})  # the notes go deep


@dataclass(kw_only=True, eq=False)
class Node:
    """One heading or list item: an annotation of the notes."""

    line: int
    """Its first line, counted from 1."""
    html: str
    """Its own content, without that of its children."""
    parent: "Node | None"
    children: list["Node"] = field(default_factory=list)

    def ancestors(self) -> list["Node"]:
        """List the nodes above, from the outside in."""
        above = self.parent
        return [] if above is None else [*above.ancestors(), above]


@cache
def text() -> str:
    """Give the notes without their front matter, each line in its place."""
    whole = NOTES.read_text(encoding="utf-8")
    front = whole.index("\n---\n") + len("\n---\n")
    return "\n" * whole.count("\n", 0, front) + whole[front:]


@cache
def lines() -> tuple[str, ...]:
    """List the notes' lines; line n is at n - 1."""
    return tuple(text().splitlines())


@cache
def nodes() -> tuple[Node, ...]:
    """List every node in the notes' order.

    Raises: ValueError where the notes hold what is neither a heading nor a list.
    """
    found: list[Node] = []
    headings: list[tuple[int, Node]] = []  # those that are open, from the outside in
    for block in SyntaxTreeNode(_PARSER.parse(text())).children:
        if block.type == "heading":
            depth = int(block.tag[1:])
            while headings and headings[-1][0] >= depth:
                headings.pop()
            above = headings[-1][1] if headings else None
            found.append(_node(block.children, block, above))
            headings.append((depth, found[-1]))
        elif block.type == "bullet_list":
            found += _items(block, headings[-1][1])
        else:
            raise ValueError(f"the notes hold a {block.type}, which the site cannot quote")
    return tuple(found)


def _items(items: SyntaxTreeNode, parent: Node) -> list[Node]:
    found = []
    for item in items.children:
        lists = [part for part in item.children if part.type == "bullet_list"]
        node = _node([part for part in item.children if part not in lists], item, parent)
        found.append(node)
        for below in lists:
            found += _items(below, node)
    return found


def _node(content: list[SyntaxTreeNode], at: SyntaxTreeNode, parent: Node | None) -> Node:
    tokens = [token for part in content for token in part.to_tokens()]
    html = _PARSER.renderer.render(tokens, _PARSER.options, {}).strip()
    assert at.map is not None  # noqa: S101  every block has its lines
    node = Node(line=at.map[0] + 1, html=_marked(html), parent=parent)
    if parent is not None:
        parent.children.append(node)
    return node


def _marked(html: str) -> str:
    """Show ==x== as the notes' own program does, outside of code."""
    parts = re.split(r"(<pre>.*?</pre>|<code>.*?</code>)", html, flags=re.DOTALL)
    return "".join(
        part if at % 2 else _MARKED.sub(r"<mark>\1</mark>", part) for at, part in enumerate(parts)
    )


def node_at(line: int) -> Node:
    """Give the node that a line belongs to."""
    return max((node for node in nodes() if node.line <= line), key=lambda node: node.line)


def line_of(source: tuple[str, ...]) -> int:
    """Find the line to which a way through the notes leads.

    Raises: ValueError where the notes do not have it.
    """
    plain, starts = _plain()
    at = 0
    for place in source:
        found = plain.find(" ".join(_DECORATION.sub("", place).split()), at)
        if found < 0:
            raise ValueError(f"the notes have no {place!r} in {' > '.join(source)!r}")
        at = found
    return max(line for line, start in starts.items() if start <= at)


@cache
def _plain() -> tuple[str, dict[int, int]]:
    """Give the notes' words without decoration, and where in them each line begins."""
    plain, starts = "", {}
    for number, line in enumerate(lines(), start=1):
        words = " ".join(_DECORATION.sub("", line).split())
        if words:
            starts[number] = len(plain)
            plain += words + " "
    return plain, starts


@cache
def questions() -> tuple[int, ...]:
    """List the lines of the notes' @audit questions."""
    return tuple(number for number, line in enumerate(lines(), start=1) if _AUDIT in line)


def question(line: int) -> tuple[str, str]:
    """Give a question's words, and those of the node above it, which say what it is about."""
    above = node_at(line).parent
    assert above is not None  # noqa: S101  a question stands below what it asks about
    words = re.sub(r"\*\*|`|==", "", lines()[line - 1]).strip().removeprefix("- ")
    return words, plain(above)


def plain(node: Node) -> str:
    """Give a node's words without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", node.html)).split())


def ranges(written: str) -> Iterator[int]:
    """Give the lines that "7-17, 21" names.

    Raises: ValueError where it names none, or a line that is not there.
    """
    for part in written.split(","):
        first, _, last = part.strip().partition("-")
        begin, end = int(first), int(last or first)
        if not 1 <= begin <= end <= len(lines()):
            raise ValueError(f"lines {part.strip()!r}: the notes have 1 to {len(lines())}")
        yield from range(begin, end + 1)
