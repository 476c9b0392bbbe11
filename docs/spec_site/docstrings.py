r"""The package's docstrings, as Sphinx reads them.

They are plain text: backticks are code, a line that opens with Shape, Units, Raises or Source is a
field, and `*`, `_` and `|` mean themselves. Here they become reStructuredText.
"""

import builtins
import re
from collections.abc import Iterator, Mapping

FIELDS = ("Shape", "Units", "Raises", "Source")
FIELD = re.compile(rf"({'|'.join(FIELDS)}): (.*)")
MARKUP = re.compile(r"[\\*_|`]|::")
EMPHASIS = re.compile(r"(?<![\\\w*])\\\*(\w+)\\\*(?![\w*\\])")
"""A word between stars, which are escaped by then: the one thing besides code that is meant."""

BULLET = "- "
CODE = " " * 4


def to_rst(lines: list[str], errors: Mapping[str, str]) -> list[str]:
    """Turn a docstring; `errors` gives where each exception of ours is documented."""
    out: list[str] = []
    for block in blocks(lines):
        if all(line.startswith(CODE) for line in block):
            out += ["::", "", *block]
        elif block[0].startswith("|"):
            out += table(block)
        elif block[0].startswith(BULLET):
            out += [f"- {inline(item)}" for item in joined(block, BULLET)]
        else:
            out += paragraph_and_fields(block, errors)
        out.append("")
    return out


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """Give the lines between blank ones."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def joined(block: list[str], opening: str) -> list[str]:
    """Give the items of a list, each on one line."""
    text = "\n".join(block)
    return [" ".join(one.split()) for one in re.split(rf"^{opening}", text, flags=re.MULTILINE)[1:]]


def paragraph_and_fields(block: list[str], errors: Mapping[str, str]) -> list[str]:
    """Turn text, and the fields that may follow it without a blank line."""
    prose = [line for line in block if not line.startswith(" ")]
    first = next((line for line in prose if FIELD.match(line)), None)
    at = len(block) if first is None else block.index(first)
    out = [start(inline(" ".join(line.strip() for line in block[:at])))] if at else []
    if at and first is not None:
        out.append("")
    for name, text in fields(block[at:]):
        out += field(name, text, errors)
    return out


def fields(lines: list[str]) -> list[tuple[str, str]]:
    """Give each field with its text; what is indented below goes on with it."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if match := FIELD.fullmatch(line):
            found.append((match[1], match[2]))
        else:
            name, text = found.pop()
            found.append((name, f"{text} {line.strip()}"))
    return found


def field(name: str, text: str, errors: Mapping[str, str]) -> list[str]:
    """Write a field; of several cases, each becomes an item of a list."""
    if name == "Source":
        return [f":{name}: {inline(text.replace(' > ', ' → '))}"]
    write = exceptions if name == "Raises" else lambda part, _errors: inline(arrows(part))
    parts = [write(part, errors) for part in re.split(r";\s+", text)]
    if len(parts) == 1:
        return [f":{name}: {parts[0]}"]
    return [f":{name}:", *(f"    - {part}" for part in parts)]


def arrows(text: str) -> str:
    """Write -> as one character."""
    return text.replace("->", "→")


def exceptions(text: str, errors: Mapping[str, str]) -> str:
    """Write a part of Raises: the exceptions are links where they are ours, and code where not."""
    out = ""
    for piece in re.split(r"(`[^`]+`|\b(?:\w+\.)*[A-Z]\w+\b)", text):
        if piece in errors:
            out += f":py:exc:`~{errors[piece]}`"
        elif not re.fullmatch(r"[\w.]*[A-Z]\w*Error", piece):
            out += inline(piece)
        elif "." in piece or hasattr(builtins, piece):
            out += f"``{piece}``"
        else:  # a name that there is not: the link that leads nowhere is a warning
            out += f":py:exc:`{piece}`"
    return out


def inline(text: str) -> str:
    """Write a text in which only backticks mean something."""
    pieces = re.split(r"`([^`]+)`", text)
    out = ""
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            plain = MARKUP.sub(lambda found: "".join(f"\\{one}" for one in found[0]), piece)
            out += EMPHASIS.sub(r"*\1*", plain)
        else:  # code, which has to stand apart from a word beside it
            before = "\\ " if out[-1:].isalnum() else ""
            after = "\\ " if pieces[place + 1][:1].isalnum() else ""
            out += f"{before}``{piece}``{after}"
    return out


def start(text: str) -> str:
    """Keep a paragraph from being taken for an item of a numbered list, or a heading's line."""
    return f"\\{text}" if re.match(r"\(?\w+[.)] |[-+•] |\.\. |>>> |:\w+:", text) else text


def table(block: list[str]) -> list[str]:
    """Turn a table; a row whose first cell is empty goes on with the one above."""
    rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in block]
    merged = [rows[0]]
    for row in rows[2:]:  # after the rule below the head
        if row[0]:
            merged.append(row)
        else:
            above = merged.pop()
            merged.append([f"{a} {b}".strip() for a, b in zip(above, row, strict=True)])
    out = [".. list-table::", "   :header-rows: 1", ""]
    for first, *others in merged:
        out.append(f"   * - {inline(first)}")
        out += [f"     - {inline(cell)}" for cell in others]
    return out
