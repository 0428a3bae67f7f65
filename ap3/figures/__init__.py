"""Figures as data: one YAML description per figure, drawn from tidy tables of measures.

A description names roles, a study maps roles to its own networks and data sets (`Roles`), and
`draw` turns the two and a table into a page. Only `draw` and `save` import matplotlib and pandas,
and only when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

from ap3.figures.descriptions import Description, describe, names
from ap3.figures.roles import Roles

if TYPE_CHECKING:
    from ap3.figures.drawing import draw, save

__all__ = ["Description", "Roles", "describe", "draw", "names", "save"]


def __getattr__(name: str) -> Any:
    if name not in ("draw", "save"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ap3.figures import drawing

    return getattr(drawing, name)
