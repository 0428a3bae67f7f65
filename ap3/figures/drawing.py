"""Draw a description, and write the page, in the package's own style."""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from ap3.figures import curves, schematic
from ap3.figures.descriptions import Description
from ap3.figures.roles import Roles
from ap3.files.storage import write_atomically


def draw(description: Description, measures: pd.DataFrame, roles: Roles) -> Figure:
    """Draw a figure from measures; a schematic needs neither them nor roles.

    Parameters
    ----------
    measures
        One row per variant and epoch, in the columns `dataset`, `model`, `trial`, `mode`, `ratio`,
        `epoch`, and those that the description draws. Accuracies are fractions; their differences
        are drawn in percentage points.
    roles
        The networks and data sets that stand for the roles of the description.

    Returns
    -------
    Figure
        Each axes has the gid `data set/network/split or metric/panel`; each curve of it, the
        arithmetic mean over the trials, has the gid `data set/network/mode/ratio/column`, and the
        dots of the single trials the same with `/trials` behind it. A zero stands in the marked
        strip at the foot of the logarithmic axis, each curve's in a lane of its own.

    Raises
    ------
    UserError
        If a role is not mapped, or the measures miss or repeat a row, or hold a value that is
        negative or not finite.
    """
    with paper_style():
        if description.kind == "schematic":
            return schematic.draw()
        return curves.draw(description, measures, roles)


def save(figure: Figure, pdf: Path, png: Path | None = None) -> None:
    """Write a figure as PDF, and as PNG where asked; the same figure gives the same bytes."""
    _write(figure, pdf, "pdf", metadata={"CreationDate": None})
    if png:
        _write(figure, png, "png")


def save_png(figure: Figure, png: Path) -> None:
    """Write a figure as PNG alone."""
    _write(figure, png, "png")


def save_as(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's ending, such as .png, .pdf or .svg."""
    _write(figure, path, path.suffix.removeprefix(".").lower())


def _write(figure: Figure, path: Path, kind: str, **options: Any) -> None:
    """Draw in memory first: on a full disk matplotlib's writer of PDF fails in ways of its own."""
    drawn = BytesIO()
    with paper_style():
        figure.savefig(drawn, format=kind, **options)
    write_atomically(path, lambda partial: partial.write_bytes(drawn.getvalue()))


def paper_style() -> AbstractContextManager[None]:
    """Return the style as a context: the package's own, whatever the user's matplotlibrc says."""
    with as_file(files("ap3.figures") / "paper.mplstyle") as path:
        return style.context(["default", str(path)])
