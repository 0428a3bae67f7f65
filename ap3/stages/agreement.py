"""Stage `agreement`: which measure explains the PD, over all baselines of a study."""

from pathlib import Path
from typing import Annotated

import typer


def agreement(
    measures: Annotated[
        list[Path],
        typer.Argument(
            help="Measures, as `ap3 measure` writes them, each with its noise beside it."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for agreement.csv, mode_contrast.csv, ratio_choice.csv and summaries."
        ),
    ],
    pdf: Annotated[Path, typer.Option(help="Where the figure goes.")],
    png: Annotated[Path | None, typer.Option(help="Where it goes as PNG as well.")] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=1, help="PD of the test accuracy, a share, that is put up with."),
    ] = 0.01,
    level: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=0.5,
            help="Level of every test, by which pairs are decided and gains certain.",
        ),
    ] = 0.05,
) -> None:
    """Count how often a smaller measure means a smaller PD, and what each would have chosen.

    Example: ap3 agreement measures.csv --out tables --pdf agreement.pdf
    """
    from ap3.explaining.tables import explained
    from ap3.explaining.trial_grids import AP2, VALUES, runs_of
    from ap3.figures import save
    from ap3.figures.agreement import draw
    from ap3.files import csv_tables
    from ap3.measuring.sampling_noise import Noise

    joined = csv_tables.read_all(measures, *csv_tables.ROW, *AP2, values=VALUES)
    runs = runs_of(joined, [Noise.load(path.with_suffix(".safetensors")) for path in measures])
    made = explained(runs, tolerance, level)
    for name, table in made.items():
        csv_tables.write(table, out / f"{name}.csv")
    save(draw(made["agreement"]), pdf, png)
