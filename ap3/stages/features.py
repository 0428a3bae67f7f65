"""Stage `features`: one pass of the frozen trunk, which serves every pruned variant."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def features(
    data: options.Data,
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where the features go (safetensors).")],
    channels_last: options.ChannelsLast = False,
    precision: options.Precision = "float32",
    model: options.OwnModel = None,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Store what the last layer sees of both splits, as they are.

    Example: ap3 features --data digits.safetensors --checkpoint baseline.safetensors
    --out features.safetensors
    """
    from ap3.datasets.images import Images
    from ap3.machine.device import processor
    from ap3.models.checkpoint import Checkpoint
    from ap3.training import features

    images = Images.load(data)
    with processor(device, threads, precision) as where:
        network = Checkpoint.load(checkpoint, where, model, channels_last)
        features.write(out, network, images, where)
