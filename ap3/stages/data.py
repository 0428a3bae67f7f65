"""Stage `data`: the raw files of a data set, decoded once into one safetensors file."""

from pathlib import Path
from typing import Annotated

import typer

from ap3 import datasets


def data(
    dataset: Annotated[
        str,
        typer.Option(
            help="Name of the data set, such as digits, package.module:function, or folder:PATH.",
            autocompletion=datasets.names,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
    raw: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the raw files; what a package ships needs none."),
    ] = None,
) -> None:
    """Decode a data set: uint8 images and labels, checked, in a training and a test split.

    Example: ap3 data --dataset digits --out digits.safetensors

    Raises
    ------
    UserError
        If a raw file is missing or damaged, or holds other images than the data set promises.
    """
    datasets.get(dataset).decode(raw).save(out)
