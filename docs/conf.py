"""How Sphinx builds the site. What the site adds to Sphinx is in `spec_site/`."""

import sys
from pathlib import Path

import torch

torch.set_num_threads(1)  # what is drawn is small: several threads would wait for one another
sys.path.insert(0, str(Path(__file__).parent))

project = "bigram-reference"
author = "the authors of bigram-reference"
copyright = "2026, the authors of bigram-reference"  # noqa: A001  Sphinx's name for it

extensions = [
    "myst_parser",
    "spec_site.domain",
    "spec_site.quotes",
    "spec_site.boxes",
    "spec_site.tables",
    "spec_site.mindmap",
    "spec_site.pictures",
    "spec_site.mathml",
    "spec_site.api",
    "spec_site.assets",
    "spec_site.checks",
]
exclude_patterns = ["README.md", "_build", "notes", "spec_site", "node_modules"]
nitpicky = True
primary_domain = "spec"  # so that a page may write {clause}, {question} and {erratum}

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # the notes are quoted word for word

add_module_names = False
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 120  # counted before names are shortened

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "bigram-reference"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_copy_source = False
