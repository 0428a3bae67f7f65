"""Stage `tables`: the measures of all baselines as one tidy table, and what they say together."""

from pathlib import Path
from typing import Annotated

import typer


def tables(
    measures: Annotated[list[Path], typer.Argument(help="Measures, as `ap3 measure` writes them.")],
    out: Annotated[
        Path, typer.Option(help="Folder for measures.csv, summary.csv and baselines.csv.")
    ],
) -> None:
    """Join the measures of a study and average them over its trials.

    Example: ap3 tables measures.csv --out tables
    """
    from ap3 import summary, tables

    values = (*summary.MEASURES, *summary.PERFORMANCE)
    joined = tables.read_all(measures, *tables.ROW, values=values)
    tables.write(joined, out / "measures.csv")
    tables.write(summary.summarise(joined), out / "summary.csv")
    tables.write(summary.baselines(joined), out / "baselines.csv")
