"""Stage `tables`: the measures of all baselines as one tidy table, and what they say together."""

from pathlib import Path
from typing import Annotated

import typer


def tables(
    measures: Annotated[list[Path], typer.Argument(help="Measures, as `ap3 measure` writes them.")],
    out: Annotated[
        Path, typer.Option(help="Folder for measures.csv, averages.csv and baselines.csv.")
    ],
) -> None:
    """Join the measures of a study and average them over its trials.

    Example: ap3 tables measures.csv --out tables
    """
    from ap3.explaining import averages
    from ap3.files import csv_tables

    values = (*averages.MEASURES, *averages.PERFORMANCE)
    joined = csv_tables.read_all(measures, *csv_tables.ROW, values=values)
    csv_tables.write(joined, out / "measures.csv")
    csv_tables.write(averages.summarise(joined), out / "summary.csv")
    csv_tables.write(averages.baselines(joined), out / "baselines.csv")
