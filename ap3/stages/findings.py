"""Stage `findings`: what came out of a study, in three sentences."""

from pathlib import Path
from typing import Annotated

import typer


def findings(
    folder: Annotated[Path, typer.Argument(help="Folder of a study, such as results/demo.")],
) -> None:
    """Say what came out of a study: how often AP2 orders its pruned networks as the loss does.

    The numbers are those of tables/agreement_summary.csv.

    Example: ap3 findings results/demo
    """
    from ap3.errors import InvalidFileError, MissingFileError
    from ap3.files import csv_tables
    from ap3.report.sentences import sentences

    keys = ("dataset", "model", "epoch", "reference", "pd", "among", "measure", "statistic", "sees")
    path = folder / "tables/agreement_summary.csv"
    if not path.exists():
        raise MissingFileError(
            f"{folder} has no tables/{path.name}; give the folder of a study of the last layer that "
            "snakemake has made, such as results/demo."
        )
    said = sentences(csv_tables.read(path, *keys, values=("n", "mean")))
    if not said:
        raise InvalidFileError(
            f"{path} counts no pair of networks; train for longer, or prune more."
        )
    print("\n".join(said))
