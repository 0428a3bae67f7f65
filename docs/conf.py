"""How Sphinx builds these pages: `make docs`, without network and without scripts from elsewhere."""

import sys
from pathlib import Path
from typing import Any

from ap3 import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ap3"
release = __version__
copyright = "2026 The ap3 developers"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "mathml",
]
exclude_patterns = ["_build", "results/*/conditions.md"]

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
smartquotes = False  # -- is an option here, and no dash

copybutton_exclude = ".linenos, .gp, .go"  # of an example in Python what is typed is copied

html_theme = "furo"
html_title = "ap3"
html_math_renderer = "mathml"
html_static_path: list[str] = []

default_role = "code"  # docstrings have names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app: Any) -> None:
    """Let |x| in a docstring be a magnitude, and not the substitution that it is to docutils."""
    app.connect("autodoc-process-docstring", _escape_bars)


def _escape_bars(
    _app: Any, _what: str, _name: str, _it: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = [line if ">>>" in line else line.replace("|", r"\|") for line in lines]
