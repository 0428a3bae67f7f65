"""Stage `draws`: many random masks of one baseline beside its other variants, before and after tuning."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import latent_options, options, several


def draws(
    variant: Annotated[
        list[str],
        typer.Argument(help="Variants beside the random masks: MODE-RATIO, and control."),
    ],
    checkpoint: options.CheckpointFile,
    features: latent_options.FeaturesFile,
    covariance: latent_options.CovarianceFile,
    out: Annotated[
        Path,
        typer.Option(
            help="Where the measures go (CSV); what is known of their noise goes beside it."
        ),
    ],
    masks: Annotated[
        int, typer.Option(min=1, help="Random masks to draw at each ratio of the variants.")
    ],
    epochs: options.Epochs,
    batch_size: options.BatchSize,
    learning_rate: options.LearningRate,
    views: Annotated[
        Path | None,
        typer.Option(help="Features of augmented views to learn from, as `ap3 views` writes them."),
    ] = None,
    momentum: options.Momentum = 0.9,
    weight_decay: options.WeightDecay = 0.0,
    augmentation: options.Augmentation = "none",
    channels_last: options.ChannelsLast = False,
    compile: options.Compile = False,
    df: latent_options.Df = 4.0,
    groups: latent_options.Groups = None,
    examples: latent_options.Examples = None,
    variance: latent_options.Variance = "auto",
    beta: latent_options.Beta = "auto",
    fisher_scale: latent_options.FisherScale = "auto",
    damping: latent_options.Damping = "auto",
    share: latent_options.Share = "covariance",
    law: latent_options.OwnLaws = None,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Draw random masks, tune all last layers together, and measure them at epoch 0 and at the last.

    The random masks are the variants random.1-RATIO, random.2-RATIO, …; nothing of the size of their
    weights is written. Only the last layer learns.

    Example: ap3 draws lowest-0.5 obd-0.5 control --masks 100 --checkpoint baseline.safetensors
    --features features.safetensors --covariance covariance.safetensors --epochs 3 --batch-size 32
    --learning-rate 0.05 --out draws.csv
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from ap3.config.variants import CONTROL, drawn
    from ap3.files import csv_tables
    from ap3.finetuning.head_scope import through_head
    from ap3.finetuning.log import joined, log_of
    from ap3.machine.device import processor
    from ap3.machine.progress import counted
    from ap3.measuring.measure import measures_of
    from ap3.measuring.reference import Reference
    from ap3.measuring.sampling_noise import Evaluation
    from ap3.pruning.masks import prune_network, trained_layer
    from ap3.pruning.pruned import read_unpruned
    from ap3.training.features import Features
    from ap3.training.sgd import Recipe

    sgd = epochs, batch_size, learning_rate, momentum, weight_decay
    recipe = Recipe(*sgd, augmentation, channels_last, compile)
    baseline, seen = read_unpruned(checkpoint), Features.load(features, views)
    named = several.variants(variant)
    ratios = dict.fromkeys(one.ratio for one in named if one.mode != CONTROL)
    trained = trained_layer(baseline, seen.splits["train"], examples)
    with processor(device, threads, "float32") as where:
        networks = [
            prune_network(baseline, one, trained) for one in (*named, *drawn(ratios, masks))
        ]
        done = through_head(networks, baseline, seen, recipe, where, ends=True)
    scales = latent_options.scales(variance, beta, fisher_scale, damping, share)
    with threadpool_limits(threads):
        train = seen.splits["train"]
        reference = Reference.read(
            checkpoint, train, covariance, df, groups, examples, law or (), scales
        )
        evaluation, log = Evaluation(reference, seen.splits), joined(one.log for one in done)
        tuned = [one.tuned for one in done]
        control = next((one for one in tuned if one.variant.mode == CONTROL), None)
        measured = []
        for network in counted(tuned, "draws", len(tuned)):
            measured.append(measures_of(reference, network, log_of(log, network), control))
            evaluation.add(network)
        noise = evaluation.noise(resamples=1)
    csv_tables.write(pd.concat(measured, ignore_index=True), out)
    noise.save(out.with_suffix(".safetensors"))
