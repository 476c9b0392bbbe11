"""Formulas as MathML, made from their LaTeX while the site is built: a reader needs no script.

latex2mathml lets much pass that it does not know: an unknown command comes out as its own name, and
a brace too many as a brace. So what it gives is held against what a browser can show, and every
formula that is not right is a warning with its page and line.

A block formula is `div.formula > math`, which the site's CSS lets scroll sideways by itself.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final
from xml.etree import ElementTree as ET

from docutils import nodes
from latex2mathml.commands import MATRICES
from latex2mathml.converter import Converter
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.util.typing import ExtensionMetadata

LOG = logging.getLogger(__name__)

ENVIRONMENTS = {name.removeprefix("\\") for name in MATRICES}
ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([^}]*)\}")
RENAMED = {"aligned": "split", "align": "align*"}
"""Environments by the name under which latex2mathml knows them: `align` it would number itself."""

CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2} | {
    "msubsup": 3,
    "munderover": 3,
}
"""How many parts an element must have; with fewer, an argument of the command is missing."""

SCRIPTED = frozenset({"msub", "msup", "msubsup", "munder", "mover", "munderover"})
SPACE: Final = "0.167em"
"""TeX's thin space, which stands between a function's name and what it is taken of."""

SIGNS = frozenset("+\N{MINUS SIGN}±")
CLOSING = frozenset(")]}|‖⟩!")
BARS = frozenset("|\N{DIVIDES}‖")

UPRIGHT = "normal"
"""The one mathvariant that browsers know; every other alphabet has characters of its own."""


class FormulaError(ValueError):
    """A formula that does not convert."""


def to_mathml(latex: str, *, block: bool) -> str:
    """Turn LaTeX into a `math` element, which keeps the LaTeX as its annotation.

    Raises: FormulaError, which says what is wrong with it.
    """
    source = " ".join(latex.split())
    check_braces(source)
    prepared = renamed(source)
    try:
        root = Converter(display="block" if block else "inline").convert_to_element(prepared)
    except Exception as error:  # latex2mathml has no common one, and falls over others besides
        raise FormulaError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    unescape_all(root)
    for element in root.iter():
        check_element(element)
    for element in list(root.iter()):
        join_letters(element)
        set_operators(element)
        space_functions(element)
        place_limits(element, block=block)
    root.set("alttext", source)
    return annotated(root, source)


def renamed(latex: str) -> str:
    """Say the environments as latex2mathml knows them, and put lines of a formula into one.

    Raises: FormulaError where it does not know one.
    """
    for _kind, name in ENVIRONMENT.findall(latex):
        if RENAMED.get(name, name) not in ENVIRONMENTS:
            raise FormulaError(f"there is no environment {name!r}")
    known = ENVIRONMENT.sub(_rename, latex)
    if r"\\" in known and not ENVIRONMENT.search(known):
        return rf"\begin{{split}}{known}\end{{split}}"
    return known


def _rename(found: re.Match[str]) -> str:
    kind, name = found.groups()
    return f"\\{kind}{{{RENAMED.get(name, name)}}}"


def check_braces(latex: str) -> None:
    """Refuse braces and environments that do not close in the order in which they open.

    Raises: FormulaError.
    """
    still_open: list[str] = []
    for token in re.finditer(r"\\(begin|end)\s*\{([^}]*)\}|\\.|[{}]", latex):
        if token[1] == "begin" or token[0] == "{":
            still_open.append(token[2] or "{")
        elif token[1] == "end" or token[0] == "}":
            wanted = token[2] or "{"
            if not still_open or still_open.pop() != wanted:
                raise FormulaError(f"{token[0]} closes nothing")
    if still_open:
        raise FormulaError(f"{still_open[-1]!r} is not closed")


def unescape_all(root: ET.Element) -> None:
    """Read the character references which latex2mathml leaves in its texts."""
    for element in root.iter():
        element.text = unescape(element.text) if element.text else element.text


def check_element(element: ET.Element) -> None:
    """Refuse what a browser would show wrongly or as it stands.

    Raises: FormulaError.
    """
    text = element.text or ""
    wanted = CHILDREN.get(element.tag, len(element))
    variant = element.get("mathvariant", UPRIGHT)
    if element.tag == "mi" and text in {"{", "}"}:
        raise FormulaError(f"an argument is missing before {text}")
    if "\\" in text:
        raise FormulaError(f"{text} is no command that is known here")
    if text == "&" or element.get("linebreak"):
        raise FormulaError(r"an & or a \\ stands outside of an environment")
    if len(element) != wanted:
        raise FormulaError(f"a part of {element.tag} is missing: {len(element)} of {wanted}")
    if variant != UPRIGHT:
        raise FormulaError(f"no browser has the alphabet {variant!r} for {text!r}")


def join_letters(row: ET.Element) -> None:
    r"""Make the letters of one \mathrm{name} one name."""
    letters = list(row)
    if len(letters) < 2 or any(  # noqa: PLR2004  a single letter is a name already
        one.tag != "mi" or one.get("mathvariant") != UPRIGHT for one in letters
    ):
        return
    name = "".join(one.text or "" for one in letters)
    for letter in letters:
        row.remove(letter)
    ET.SubElement(row, "mi").text = name


def set_operators(row: ET.Element) -> None:
    """Tell a sign from an operation, and bars around letters from those around a matrix."""
    before: ET.Element | None = None
    matrix = row.find("mtable") is not None
    for child in row:
        after_operator = before is not None and before.tag == "mo" and before.text not in CLOSING
        if child.tag == "mo" and child.text in SIGNS and after_operator:
            child.set("form", "prefix")
        if child.tag == "mo" and child.text in BARS and not matrix:
            child.attrib.setdefault("stretchy", "false")
        before = child


def space_functions(row: ET.Element) -> None:
    """Set thin spaces around the names of functions, as TeX does: log p, not logp."""
    for child in row:
        if child.tag == "mo" and is_name(child.text):
            child.tag = "mi"  # a browser would space it as a relation
    spaced: list[ET.Element] = []
    if row.tag not in {"mrow", "mtd", "msqrt"}:
        return
    for child in row:
        before = spaced[-1] if spaced else None
        if before is not None and needs_space(before, child):
            spaced.append(ET.Element("mspace", width=SPACE))
        spaced.append(child)
    row[:] = spaced


def is_name(text: str | None) -> bool:
    """Tell whether a text is a word of several letters."""
    return text is not None and len(text) > 1 and text.isalpha()


def is_function(element: ET.Element) -> bool:
    """Tell whether an element is a function's name, with or without something below it."""
    if element.tag in SCRIPTED or (element.tag == "mrow" and len(element) == 1):
        return is_function(element[0])
    return element.tag in {"mi", "mo"} and is_name(element.text)


def needs_space(before: ET.Element, after: ET.Element) -> bool:
    """Tell whether TeX puts a thin space between two neighbours, of which one is a function."""
    if is_function(before):
        return after.tag not in {"mo", "mspace"} and not opens(after)
    return is_function(after) and before.tag not in {"mo", "mspace", "mtext"}


def opens(element: ET.Element) -> bool:
    """Tell whether an element begins with a bracket."""
    if element.tag == "mrow" and len(element):
        return opens(element[0])
    return element.tag == "mo" and element.get("form") == "prefix"


def place_limits(element: ET.Element, *, block: bool) -> None:
    """Put the limits of sums, products and maxima below and above them in a block, as TeX does."""
    below = {"msub": "munder", "msup": "mover", "msubsup": "munderover"}
    if block and element.tag in below and (element[0].text or "") in {"∑", "∏", "max", "min"}:
        element.tag = below[element.tag]


def annotated(root: ET.Element, latex: str) -> str:
    """Write the element, with its LaTeX for those who copy it."""
    children = list(root)
    for child in children:
        root.remove(child)
    semantics = ET.SubElement(root, "semantics")
    semantics.extend(children)
    ET.SubElement(semantics, "annotation", encoding="application/x-tex").text = latex
    return ET.tostring(root, encoding="unicode")


def converted(node: nodes.Element, *, block: bool) -> str:
    """Give a node's MathML; where there is none, warn, and give its LaTeX as code."""
    latex = node.astext()
    try:
        return to_mathml(latex, block=block)
    except FormulaError as error:
        message = "this formula does not convert: %s, in %s"
        LOG.warning(message, error, latex, location=node, type="mathml")
        written = ET.Element("code")
        written.text = latex
        return ET.tostring(written, encoding="unicode")


def visit_inline(translator: Any, node: nodes.math) -> None:  # noqa: ANN401  whatever Sphinx's HTML writer is
    """Write a formula in a line."""
    translator.body.append(converted(node, block=False))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:  # noqa: ANN401  likewise
    """Write a formula of its own, with its number where it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="formula"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, _("Link to this equation"))
        translator.body.append("</span>")
    translator.body += [converted(part, block=True) for part in parts_of(node)]
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def parts_of(node: nodes.math_block) -> Iterator[nodes.math_block]:
    """Give each formula of a block: a blank line ends one."""
    for text in re.split(r"\n\s*\n", node.astext().strip()):
        part = nodes.math_block(text, text)
        part.source, part.line, part.parent = node.source, node.line, node.parent
        yield part


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the renderer; `html_math_renderer = "mathml"` chooses it."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
