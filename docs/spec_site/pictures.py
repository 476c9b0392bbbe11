"""The directive `picture`: a figure drawn by the build from the code, for either theme.

```{picture} growing
A caption, in Markdown.
```
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from spec_site import pictures_learned, pictures_notes, pictures_rates, pictures_shapes
from spec_site.pictures_base import PALETTES, Drawn, Palette, Picture, drawn

DRAWINGS: Mapping[str, Callable[[Palette], Picture]] = {
    "loss": pictures_learned.loss,
    "tables": pictures_learned.tables,
    "softmax": pictures_notes.softmax,
    "words": pictures_notes.words,
    "law": pictures_learned.law,
    "growing": pictures_shapes.growing,
    "flatten": pictures_shapes.flatten,
    "windows": pictures_shapes.windows,
    "learning_rates": pictures_rates.learning_rates,
}


def _code() -> list[Path]:
    """List the code that the pictures are drawn from; of the package, the contract is no part."""
    here = Path(__file__)
    package = here.parents[2] / "reference"
    found = [*here.parent.glob("pictures*.py")]
    found += [path for part in ("", "oracle", "fast") for path in (package / part).glob("*.py")]
    return sorted(found)


@cache
def _key() -> str:
    """Name a state of that code."""
    return sha256(b"".join(path.read_bytes() for path in _code())).hexdigest()


def _drawn(name: str, palette: Palette, kept: Path) -> Drawn:
    """Draw a picture, or take it as an earlier build drew it from the same code."""
    file = kept / f"{name}-{palette.name}.json"
    if file.exists():
        fields = json.loads(file.read_text(encoding="utf-8"))
        if fields.pop("key") == _key():
            return Drawn(**fields)
    picture = drawn(DRAWINGS[name], palette)
    write(file, json.dumps({"key": _key(), "svg": picture.svg, "alt": picture.alt}))
    return picture


class PictureDirective(SphinxDirective):
    """Draws one of DRAWINGS; the content is its caption, one paragraph."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], object]]] = {}

    def run(self) -> list[nodes.Node]:
        """Give a figure of two images, of which the page shows the one for its theme."""
        name = self.arguments[0]
        if name not in DRAWINGS:
            raise self.error(f"there is no picture {name!r}; there are {', '.join(DRAWINGS)}")
        caption = self.parse_content_to_nodes()
        if len(caption) != 1 or not isinstance(caption[0], nodes.paragraph):
            raise self.error(f"picture {name!r} needs a caption of one paragraph")
        paragraph = caption[0]
        figure = nodes.figure()
        for palette in PALETTES:
            picture = _drawn(name, palette, self.env.doctreedir / "drawn")
            image = nodes.image(
                uri=self._uri(f"{name}-{palette.name}.svg", picture.svg),
                alt=picture.alt,
                align="center",
                classes=[f"only-{palette.name}"],
            )
            self.set_source_info(image)
            figure += image
        figure += nodes.caption(paragraph.rawsource, "", *paragraph.children)
        self.set_source_info(figure)
        for code in _code():
            self.env.note_dependency(str(code))
        return [figure]

    def _uri(self, filename: str, svg: str) -> str:
        """Put a picture with the doctrees, and give its place as Sphinx takes places."""
        path = self.env.doctreedir / "pictures" / filename
        write(path, svg)
        # A leading slash stands for the source directory, which the path may well leave. From
        # there Sphinx copies the file to the output by itself, for every builder.
        return "/" + Path(os.path.relpath(path, self.env.srcdir)).as_posix()


def write(path: Path, text: str) -> None:
    """Write a file in one piece, and only where it would change.

    Two readers may draw the same picture at once. And a picture with a new date would have every
    page that shows it read again by the next build.
    """
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("picture", PictureDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
