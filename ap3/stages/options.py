"""Options that several stages share."""

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(help="Seed of the study; every draw derives its own from it.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or one card: cuda:0.")]
Precision = Annotated[
    str, typer.Option(help="How networks multiply: float32, tf32 (CUDA cards) or bfloat16.")
]
Threads = Annotated[
    int, typer.Option(min=1, help="CPU threads of torch; they change the last bits of a result.")
]
Data = Annotated[Path, typer.Option(help="Decoded data set, as `ap3 data` writes it.")]
OwnModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Name of the network, needed for one of your own, package.module:function: a file "
        "alone never chooses code to run.",
    ),
]
CheckpointFile = Annotated[Path, typer.Option(help="Trained network, as `ap3 baseline` writes it.")]

Epochs = Annotated[int, typer.Option(min=0, help="Passes over the training data.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Largest number of examples in a batch.")]
LearningRate = Annotated[
    float, typer.Option(min=0, help="Initial learning rate; it is annealed to zero.")
]
Momentum = Annotated[float, typer.Option(min=0, max=1, help="Momentum of SGD.")]
WeightDecay = Annotated[float, typer.Option(min=0, help="Weight decay of SGD.")]
ChannelsLast = Annotated[
    bool,
    typer.Option(
        "--channels-last", help="Keep channels last in memory: faster, to other last bits."
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Translate the network with torch.compile first.")
]
Augmentation = Annotated[
    str, typer.Option(help="Random views of the training images: none, flip, crop or crop-flip.")
]
