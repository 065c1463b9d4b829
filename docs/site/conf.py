"""The site: `sphinx-build -W -c docs/site . site` in the root of the repository, or `tox -e docs`.

The sources are the repository itself, so that a link between two pages is the same here and where the repository is
browsed.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "napari-cpclnet"
author = "napari-cpclnet contributors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "generated"]

root_doc = "docs/index"
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "benchmarks/**.md",
    "src/napari_cpclnet/weights/README.md",
]
exclude_patterns = ["docs/site", "**/.*", "**/node_modules"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False  # two hyphens are an option
suppress_warnings = ["misc.highlighting_failure"]

autodoc_typehints = "none"  # numpydoc sections say them in words
autodoc_member_order = "bysource"
napoleon_google_docstring = False

html_theme = "furo"
html_title = "napari-cpclnet"
html_extra_path = ["root"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
