"""Stage `weights`: pretrained weights of a network, downloaded or taken from disk, checked."""

from pathlib import Path
from typing import Annotated

import typer


def weights(
    model: Annotated[str, typer.Option(help="Name of a network of torchvision.")],
    weights: Annotated[str, typer.Option(help="Name of its weights, such as IMAGENET1K_V1.")],
    out: Annotated[Path, typer.Option(help="Where the weights go (safetensors).")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder to take the file from instead of downloading it."),
    ] = None,
) -> None:
    """Get pretrained weights of torchvision, with the input size and normalisation they go with.

    Example: ap3 weights --model resnet18 --weights DEFAULT --out resnet18.safetensors

    Raises
    ------
    UserError
        If there are no such weights, or their file is missing, cannot be downloaded, or has the
        wrong digest.
    """
    from ap3.models import published

    published.write(model, weights, out, data_dir)
