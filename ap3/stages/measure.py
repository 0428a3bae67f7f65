"""Stage `measure`: AP2, AP3 and PD of every variant of one baseline, epoch by epoch."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import latent_options, options


def measure(
    finetuned: latent_options.Tuned,
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

    Example: ap3 measure finetuned.safetensors --checkpoint baseline.safetensors
    --features features.safetensors --covariance covariance.safetensors --out measures.csv
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from ap3.config.variants import CONTROL
    from ap3.files import csv_tables
    from ap3.finetuning.log import log_of, read_log
    from ap3.machine.progress import counted
    from ap3.measuring.measure import measures_of
    from ap3.measuring.reference import Reference
    from ap3.measuring.sampling_noise import Evaluation
    from ap3.pruning.pruned import Pruned
    from ap3.training.outcomes import read_outcomes
    from ap3.training.splits import read_splits

    frozen = latent_options.is_head(scope)
    scales = latent_options.scales(variance, beta, fisher_scale, damping, share)
    with threadpool_limits(threads):
        seen = read_splits(features)
        reference = Reference.read(
            checkpoint, seen["train"], covariance, df, groups, examples, law or (), scales
        )
        tuned, log = Pruned(finetuned, reference.origin), read_log(finetuned)
        tuned.check_training(reference.head, reference.layer.weight)
        stored = finetuned.with_suffix(".outcomes.safetensors")
        last = {} if frozen else read_outcomes(stored)
        evaluation = Evaluation(reference, seen)
        control = tuned.get(CONTROL)
        measured = []
        for network in counted(tuned.values(), "measure", len(tuned)):
            mine = log_of(log, network)
            measured.append(measures_of(reference, network, mine, control, frozen, monte_carlo))
            evaluation.add(network, last.get(str(network.variant)))
        noise = evaluation.noise()
    csv_tables.write(pd.concat(measured, ignore_index=True), out)
    noise.save(out.with_suffix(".safetensors"))
