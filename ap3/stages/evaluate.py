"""Stage `evaluate`: every variant of a network over the data, its PD beside all measures of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import latent_options, options


def evaluate(
    allocations: Annotated[
        Path, typer.Argument(help="Variants, as `ap3 allocations` writes them.")
    ],
    checkpoint: options.CheckpointFile,
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            help="Where the measures go (CSV); those of single layers and the outcomes go beside it."
        ),
    ],
    batch_norm: Annotated[
        str, typer.Option(help="Running statistics of BatchNorm: kept, estimated or both.")
    ] = "kept",
    epochs: Annotated[
        int, typer.Option(min=0, help="Of fine-tuning the whole network; 0 is one shot.")
    ] = 0,
    batch_size: options.BatchSize = 32,
    learning_rate: options.LearningRate = 0.0,
    momentum: options.Momentum = 0.9,
    weight_decay: options.WeightDecay = 0.0,
    augmentation: options.Augmentation = "none",
    df: latent_options.Df = 4.0,
    groups: latent_options.Groups = None,
    examples: latent_options.Examples = None,
    variance: latent_options.Variance = "auto",
    beta: latent_options.Beta = "auto",
    share: latent_options.Share = "covariance",
    law: latent_options.OwnLaws = None,
    channels_last: options.ChannelsLast = False,
    compile: options.Compile = False,
    precision: options.Precision = "float32",
    model: options.OwnModel = None,
    device: options.Device = "auto",
    threads: options.Threads = 1,
) -> None:
    """Run every variant of a network over both splits, and measure it, layer by layer and whole.

    A row is a variant: one shot, and after fine-tuning where that is asked for. The training split
    is the --examples drawn once for the baseline. Beside OUT.csv lie OUT.layers.csv, a row for each
    layer that changed, OUT.single.csv, each layer pruned alone, and OUT.outcomes.safetensors.
    From OUT.kept.safetensors a later call takes the variants that it has; it may be deleted.

    Example: ap3 evaluate allocations.csv --checkpoint baseline.safetensors
    --data digits.safetensors --examples 512 --out evaluated.csv
    """
    from dataclasses import asdict

    import pandas as pd
    from threadpoolctl import threadpool_limits

    from ap3.datasets.images import Images
    from ap3.errors import InvalidValueError
    from ap3.files import csv_tables
    from ap3.files.storage import digest_of
    from ap3.machine.device import processor
    from ap3.measuring import network_calibration
    from ap3.measuring.network_laws import NetworkLaws
    from ap3.measuring.network_variants import Evaluator
    from ap3.models.checkpoint import Checkpoint
    from ap3.pruning import allocated
    from ap3.pruning.network_layers import layer_weights
    from ap3.pruning.pruned import Origin
    from ap3.study.provenance import network_digest
    from ap3.training.batch_norm import SETTINGS
    from ap3.training.outcomes import write_outcomes
    from ap3.training.resume import Resume, key_of
    from ap3.training.sgd import Recipe

    if batch_norm not in SETTINGS:
        raise InvalidValueError(
            f"batch_norm is {batch_norm!r}, but must be one of {', '.join(SETTINGS)}."
        )
    scales = latent_options.scales(variance, beta, "auto", "auto", share)
    sgd = epochs, batch_size, learning_rate, momentum, weight_decay
    recipe = Recipe(*sgd, augmentation, channels_last, compile) if epochs else None
    with processor(device, threads, precision) as where, threadpool_limits(threads):
        network = Checkpoint.load(checkpoint, where, model, channels_last)
        identity = network.identity
        origin = Origin(identity.dataset, identity.model, identity.trial, identity.seed)
        variants = allocated.read(allocations, origin)
        names = [*variants[0].ratios]
        known = layer_weights(network.model)
        weights = {name: known[name].detach().cpu().numpy() for name in names if name in known}
        laws = NetworkLaws(origin, weights, df, groups, law or (), scales)
        evaluator = Evaluator(network, Images.load(data), where, names, laws, examples, batch_norm)
        key = key_of(
            inputs=[digest_of(checkpoint), digest_of(data), names],
            settings=[batch_norm, df, groups, examples, asdict(scales), law, channels_last],
            recipe=recipe and asdict(recipe),
            arithmetic=[where.type, threads, precision],
            code=[
                _code({*(law or ()), *(each.mode for each in variants)}),
                network_digest(identity.model),
            ],
        )
        resume = Resume(out.with_suffix(".kept.safetensors"), key, "variant")
        found = evaluator.measure(variants, recipe, resume)
    rows, layers = pd.DataFrame(found.rows), pd.DataFrame(found.layers)
    single = network_calibration.sensitivity(rows, layers)
    rows = network_calibration.with_calibrated(rows, layers, single)
    added = [network_calibration.CALIBRATED, network_calibration.SUM]
    single = single.assign(**{name: rows.loc[single.index, name] for name in added})
    csv_tables.write(rows, out)
    csv_tables.write(layers, out.with_suffix(".layers.csv"))
    csv_tables.write(single, out.with_suffix(".single.csv"))
    write_outcomes(out.with_suffix(".outcomes.safetensors"), found.outcomes)


def _code(named: Iterable[str]) -> str:
    """Digest the stage with what is imported by name: laws, and modes and laws of the user's own."""
    from ap3.config.user_code import own_modules
    from ap3.measuring.catalogue import law_modules
    from ap3.study.code_digest import code_digest

    own = own_modules(sorted(named))
    return code_digest("ap3.stages.evaluate", *law_modules(), *own)
