"""Formulas as MathML, which browsers draw by themselves: no script, no fonts, no network."""

import re
from html import escape
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# A power behind the closing bar belongs to all that the bars enclose.
_NORM_TO_A_POWER = re.compile(r"(\\lVert((?:(?!\\[lr]Vert).)*)\\rVert)(?=\s*[_^])", re.DOTALL)


def mathml(formula: str, display: str) -> str:
    """Convert a formula of LaTeX, `inline` or as a `block`."""
    return str(convert(_NORM_TO_A_POWER.sub(r"{\1}", formula), display=display))


def visit_inline(writer: Any, node: nodes.math) -> None:
    """Write a formula inside a line."""
    writer.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_display(writer: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number if it has one."""
    number = node.get("number")
    shown = f'<span class="eqno">({escape(str(number))})</span>' if number else ""
    writer.body.append(f'<div class="math">{shown}{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name `mathml`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
