"""Stage `baseline`: train a network; keep its checkpoint and its history."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.models import names
from ap3.stages import options


def baseline(
    data: options.Data,
    model: Annotated[
        str,
        typer.Option(
            help="One of ap3 or torchvision, timm:NAME, or package.module:function of your own.",
            autocompletion=names.listed,
        ),
    ],
    checkpoint: Annotated[Path, typer.Option(help="Where the trained network goes (safetensors).")],
    history: Annotated[Path, typer.Option(help="Where the log goes (CSV, a row per epoch).")],
    epochs: options.Epochs,
    batch_size: options.BatchSize,
    learning_rate: options.LearningRate,
    momentum: options.Momentum = 0.9,
    weight_decay: options.WeightDecay = 0.0,
    augmentation: options.Augmentation = "none",
    channels_last: options.ChannelsLast = False,
    compile: options.Compile = False,
    precision: options.Precision = "float32",
    image_size: Annotated[
        int | None,
        typer.Option(min=1, help="Input size in pixels; that of the weights if not given."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from, as `ap3 weights` writes them, or a state dict "
            "(.safetensors, .pth or .pt); random ones if not given."
        ),
    ] = None,
    validation: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.9,
            help="Share of the training data held out to choose the best epoch by; 0: the last.",
        ),
    ] = 0.0,
    trial: Annotated[int, typer.Option(min=1, help="Number of the trial.")] = 1,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Train a network by SGD with momentum and cosine annealing (Sec. 5.1).

    Example: ap3 baseline --data digits.safetensors --model small_vgg --image-size 16 --epochs 2
    --batch-size 32 --learning-rate 0.05 --checkpoint baseline.safetensors --history baseline.csv
    """
    from dataclasses import asdict

    import pandas as pd

    from ap3.datasets.images import Images
    from ap3.files import csv_tables
    from ap3.files.storage import digest_of
    from ap3.machine.device import processor
    from ap3.models.checkpoint import Checkpoint
    from ap3.models.pretrained import Pretrained
    from ap3.study.code_digest import code_digest
    from ap3.study.provenance import network_digest
    from ap3.training import baseline
    from ap3.training.resume import Resume, key_of
    from ap3.training.sgd import Recipe

    sgd = epochs, batch_size, learning_rate, momentum, weight_decay
    recipe = Recipe(*sgd, augmentation, channels_last, compile)
    images = Images.load(data)
    pretrained = Pretrained.load(weights) if weights else None
    key = {
        "model": [model, image_size, network_digest(model)],
        "draws": [trial, seed, validation],
        "recipe": asdict(recipe),
        "inputs": [digest_of(path) for path in (data, weights) if path],
        "code": code_digest("ap3.stages.baseline"),
    }
    with processor(device, threads, precision) as where:
        resume = Resume(
            checkpoint.with_suffix(".resume.safetensors"),
            key_of(**key, arithmetic=[where.type, threads, precision]),
        )
        network, epochs_seen = baseline.train_baseline(
            images, model, image_size, recipe, validation, trial, seed, where, pretrained, resume
        )
    Checkpoint(network.model, network.identity).save(
        checkpoint, recipe=asdict(recipe), validation=validation
    )
    csv_tables.write(pd.DataFrame(epochs_seen), history)
    resume.remove()
