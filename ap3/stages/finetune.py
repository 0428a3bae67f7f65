"""Stage `finetune`: all pruned variants of one baseline; a log and the layer's states for each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ap3.stages import options


def finetune(
    pruned: Annotated[Path, typer.Argument(help="Pruned variants, as `ap3 prune` writes them.")],
    checkpoint: options.CheckpointFile,
    out: Annotated[
        Path,
        typer.Option(
            help="Where the states of all epochs go (safetensors); the log (CSV), "
            "and how far each layer has moved, go beside it."
        ),
    ],
    epochs: options.Epochs,
    batch_size: options.BatchSize,
    learning_rate: options.LearningRate,
    features: Annotated[
        Path | None, typer.Option(help="Features of the frozen trunk; only the last layer learns.")
    ] = None,
    views: Annotated[
        Path | None,
        typer.Option(help="Features of augmented views to learn from, as `ap3 views` writes them."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data set; the whole network learns.")] = None,
    momentum: options.Momentum = 0.9,
    weight_decay: options.WeightDecay = 0.0,
    augmentation: options.Augmentation = "none",
    channels_last: options.ChannelsLast = False,
    compile: options.Compile = False,
    precision: options.Precision = "float32",
    model: options.OwnModel = None,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Fine-tune pruned variants: only the last layer (--features) or the whole network (--data).

    A row of the log is an epoch of a variant, 0 before fine-tuning: loss, accuracy and PD on both
    splits, in evaluation mode. Where the whole network learns, OUT.layers.csv says how far each
    layer has moved, and OUT.outcomes.safetensors how every test example fares at the end; where
    only the last layer does, it multiplies in float32 whatever the precision.

    Example: ap3 finetune pruned.safetensors --checkpoint baseline.safetensors
    --features features.safetensors --epochs 3 --batch-size 32 --learning-rate 0.05
    --out finetuned.safetensors
    """
    from dataclasses import asdict

    from ap3.errors import InvalidValueError
    from ap3.files.storage import digest_of
    from ap3.finetuning import trajectory
    from ap3.machine.device import processor
    from ap3.pruning.pruned import Pruned, read_unpruned
    from ap3.study.code_digest import code_digest
    from ap3.training.resume import Resume, key_of
    from ap3.training.sgd import Recipe

    if (features is None) == (data is None):
        raise InvalidValueError(
            "give either --features (only the last layer learns) or --data (all layers learn)."
        )
    sgd = epochs, batch_size, learning_rate, momentum, weight_decay
    recipe = Recipe(*sgd, augmentation, channels_last, compile)
    baseline = read_unpruned(checkpoint)
    variants = Pruned(pruned, baseline.origin)
    variants.check_training(baseline.only_layer, baseline.layers[baseline.only_layer].weight)
    networks = list(variants.values())
    key: dict[str, Any] = {
        "recipe": asdict(recipe),
        "inputs": [digest_of(path) for path in (pruned, checkpoint, features, views, data) if path],
        "code": code_digest("ap3.stages.finetune"),
    }

    def resume(name: str, **more: Any) -> Resume:
        return Resume(out.with_suffix(f".{name}.resume.safetensors"), key_of(**key, **more))

    precision = precision if data else "float32"
    with processor(device, threads, precision) as where:
        key["arithmetic"] = [where.type, threads, precision]
        if features is not None:
            from ap3.finetuning.head_scope import through_head
            from ap3.training.features import Features

            resumes = [resume("heads")]
            seen = Features.load(features, views)
            done = through_head(networks, baseline, seen, recipe, where, resumes[0])
        elif data is not None:
            from ap3.datasets.images import Images
            from ap3.finetuning.network_scope import through_network
            from ap3.models.checkpoint import Checkpoint
            from ap3.study.provenance import network_digest

            trained = Checkpoint.load(checkpoint, where, model)
            key["network"] = network_digest(trained.identity.model)
            resumes = [resume(str(one.variant)) for one in networks]
            done = through_network(networks, trained, Images.load(data), recipe, where, resumes)
    trajectory.save(out, done)
    for one in resumes:
        one.remove()
