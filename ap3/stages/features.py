"""Stage `features`: one pass of the frozen trunk, which serves every pruned variant."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def features(
    data: options.Data,
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where the features go (safetensors).")],
    views: Annotated[
        int,
        typer.Option(
            min=1, help="Augmented views of the training images; epoch t learns from view t."
        ),
    ] = 1,
    augmentation: options.Augmentation = "none",
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Store what the last layer sees, of both splits as they are and of augmented training views."""
    from ap3.checkpoints import Checkpoint
    from ap3.datasets.images import Images
    from ap3.device import processor
    from ap3.features import Features

    images = Images.load(data)
    with processor(device, threads) as where:
        Features.extract(
            Checkpoint.load(checkpoint, where), images, views, augmentation, where
        ).save(out)
