"""Stage `within`: what each measure says among networks pruned by the same ratio."""

from pathlib import Path
from typing import Annotated

import typer


def within(
    draws: Annotated[
        list[Path],
        typer.Argument(help="Measures, as `ap3 draws` writes them, each with its noise beside it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for within.csv and within_summary.csv.")],
    pdf: Annotated[Path, typer.Option(help="Where the figure goes.")],
    png: Annotated[Path | None, typer.Option(help="Where it goes as PNG as well.")] = None,
    level: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of the tests that decide pairs, and 1 − of intervals."),
    ] = 0.05,
) -> None:
    """Correlate every measure with the PD among random masks of one ratio, and draw that.

    Example: ap3 within draws.csv --out tables --pdf within.pdf
    """
    from ap3.explaining.trial_grids import AP2, VALUES, runs_of
    from ap3.explaining.within_ratio import within_ratio
    from ap3.explaining.within_summary import summarise
    from ap3.figures import save
    from ap3.figures.within import draw
    from ap3.files import csv_tables
    from ap3.measuring.sampling_noise import Noise

    joined = csv_tables.read_all(draws, *csv_tables.ROW, *AP2, values=VALUES)
    runs = runs_of(joined, [Noise.load(path.with_suffix(".safetensors")) for path in draws])
    table = within_ratio(runs, level)
    summary = summarise(table, level)
    csv_tables.write(table, out / "within.csv")
    csv_tables.write(summary, out / "within_summary.csv")
    save(draw(summary), pdf, png)
