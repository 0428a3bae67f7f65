"""Stage `theory`: the bounds of all baselines as one table, how often they fail, their figure."""

from pathlib import Path
from typing import Annotated

import typer


def theory(
    bounds: Annotated[list[Path], typer.Argument(help="Bounds, as `ap3 bounds` writes them.")],
    out: Annotated[Path, typer.Option(help="Folder for bounds.csv and bounds_summary.csv.")],
    pdf: Annotated[Path, typer.Option(help="Where the figure goes.")],
    png: Annotated[Path | None, typer.Option(help="Where it goes as PNG as well.")] = None,
) -> None:
    """Join the bounds of a study, count where they fail, and draw them against the PD.

    Example: ap3 theory bounds.csv --out tables --pdf bounds.pdf
    """
    from ap3.figures import save
    from ap3.figures.bounds import draw
    from ap3.files import csv_tables
    from ap3.measuring.bounds import VALUES, summarise

    joined = csv_tables.read_all(bounds, *csv_tables.ROW, "law", values=VALUES)
    csv_tables.write(joined, out / "bounds.csv")
    csv_tables.write(summarise(joined), out / "bounds_summary.csv")
    save(draw(joined), pdf, png)
