"""Stage `views`: the frozen trunk over random views of the training images, for all variants."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def views(
    data: options.Data,
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where the features of the views go (safetensors).")],
    views: Annotated[
        int, typer.Option(min=1, help="How many; epoch t of fine-tuning learns from view t.")
    ],
    augmentation: options.Augmentation,
    view_dtype: Annotated[
        str, typer.Option(help="Type that they are stored in: float32 or float16.")
    ] = "float32",
    channels_last: options.ChannelsLast = False,
    precision: options.Precision = "float32",
    model: options.OwnModel = None,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Store what the last layer sees of augmented views of the training images.

    Example: ap3 views --data digits.safetensors --checkpoint baseline.safetensors --views 20
    --augmentation crop-flip --out views.safetensors
    """
    from ap3.datasets.images import Images
    from ap3.machine.device import processor
    from ap3.models.checkpoint import Checkpoint
    from ap3.training.features import write_views

    images = Images.load(data)
    with processor(device, threads, precision) as where:
        network = Checkpoint.load(checkpoint, where, model, channels_last)
        write_views(out, network, images, views, augmentation, where, view_dtype)
