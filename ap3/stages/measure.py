"""Stage `measure`: AP2, AP3 and PD of every variant of one baseline, epoch by epoch."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import latent_options, options


def measure(
    layers: latent_options.Layers,
    checkpoint: options.CheckpointFile,
    features: latent_options.FeaturesFile,
    covariance: latent_options.CovarianceFile,
    out: Annotated[
        Path,
        typer.Option(
            help="Where the measures go (CSV); what is known of their noise goes beside it."
        ),
    ],
    scope: latent_options.Scope = "head",
    df: latent_options.Df = 4.0,
    groups: latent_options.Groups = None,
    examples: latent_options.Examples = None,
    variance: latent_options.Variance = "auto",
    beta: latent_options.Beta = "auto",
    fisher_scale: latent_options.FisherScale = "auto",
    damping: latent_options.Damping = "auto",
    share: latent_options.Share = "covariance",
    monte_carlo: Annotated[
        int,
        typer.Option(min=0, help="Points of the Pyro estimate at the last epoch; 0 makes none."),
    ] = 0,
    law: latent_options.OwnLaws = None,
    threads: options.Threads = 1,
) -> None:
    """Measure AP2, AP3 under every latent law (exactly), and their rivals, beside the PD.

    Example: ap3 measure finetuned/*.safetensors --checkpoint baseline.safetensors
    --features features.safetensors --covariance covariance.safetensors --out measures.csv
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from ap3.config.variants import CONTROL
    from ap3.files import csv_tables
    from ap3.machine.progress import counted
    from ap3.measuring.measure import measures_of
    from ap3.measuring.outcomes import Outcomes
    from ap3.measuring.reference import Reference
    from ap3.measuring.sampling_noise import Evaluation
    from ap3.pruning.layers import Layer
    from ap3.training import splits

    frozen = latent_options.is_head(scope)
    scales = latent_options.scales(variance, beta, fisher_scale, damping, share)
    with threadpool_limits(threads):
        seen = splits.read(features)
        baseline = Reference.read(
            checkpoint, seen["train"], covariance, df, groups, examples, law or (), scales
        )
        evaluation = Evaluation(baseline.layer, seen)
        origin = baseline.layer.origin
        controls = {path: Layer.load(path, origin) for path in layers if path.stem == CONTROL}
        control = next(iter(controls.values()), None)
        measured = []
        for path in counted(layers, "measure"):
            tuned = controls.get(path) or Layer.load(path, origin)
            log = csv_tables.read(path.with_suffix(".csv"), "epoch")
            measured.append(measures_of(baseline, tuned, log, control, frozen, monte_carlo))
            stored = path.with_suffix(".outcomes.safetensors")
            evaluation.add(tuned, None if frozen else Outcomes.read(stored))
        noise = evaluation.noise()
    csv_tables.write(pd.concat(measured, ignore_index=True), out)
    noise.save(out.with_suffix(".safetensors"))
