"""Stage `fetch`: one raw file of a data set, downloaded or taken from disk, its digest checked."""

from pathlib import Path
from typing import Annotated

import typer

from ap3 import datasets


def fetch(
    dataset: Annotated[
        str,
        typer.Option(help="Name of the data set, such as cifar10.", autocompletion=datasets.names),
    ],
    file: Annotated[str, typer.Option(help="Name of one of its raw files.")],
    out: Annotated[Path, typer.Option(help="Where to put the file.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to take the file from instead of downloading it."),
    ] = None,
) -> None:
    """Get one raw file of a data set.

    Example: ap3 fetch --dataset cifar10 --file cifar-10-python.tar.gz --out raw/cifar-10-python.tar.gz

    Raises
    ------
    UserError
        If the file is unknown, missing, cannot be downloaded, or has the wrong digest.
    """
    from ap3.datasets.raw import fetch as fetching

    fetching.fetch(datasets.get(dataset).file(file), out, data_dir)
