"""What others made for the reader's browser: fetched by npm, copied into the site by the build.

The reader's browser then needs no other host.
"""

import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

MODULES = Path(__file__).parents[1] / "node_modules"
ASSETS = {
    "d3.js": MODULES / "d3/dist/d3.min.js",
    "markmap-view.js": MODULES / "markmap-view/dist/browser/index.js",
    # Without a font for mathematics a browser does not stretch braces, or enlarge sums.
    "math.woff2": MODULES
    / "@fontsource/noto-sans-math/files/noto-sans-math-latin-400-normal.woff2",
}


def check_assets(app: Sphinx) -> None:
    """Find out before the work whether they are there.

    Raises: ExtensionError where npm has not fetched them.
    """
    for path in ASSETS.values():
        if not path.exists():
            raise ExtensionError(f"the site needs {path}: run `npm ci --prefix docs` first")


def copy_assets(app: Sphinx, exception: Exception | None) -> None:
    """Copy them beside the site's own files."""
    if exception is None and app.builder.format == "html":
        for name, path in ASSETS.items():
            shutil.copyfile(path, app.outdir / "_static" / name)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Check before a build, copy after it."""
    app.connect("builder-inited", check_assets)
    app.connect("build-finished", copy_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
