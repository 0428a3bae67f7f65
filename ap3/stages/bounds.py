"""Stage `bounds`: the paper's bounds beside the PD of every variant of one baseline."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import latent_options, options


def bounds(
    finetuned: latent_options.Tuned,
    checkpoint: options.CheckpointFile,
    features: latent_options.FeaturesFile,
    covariance: latent_options.CovarianceFile,
    out: Annotated[Path, typer.Option(help="Where the bounds go (CSV).")],
    scope: latent_options.Scope = "head",
    df: latent_options.Df = 4.0,
    groups: latent_options.Groups = None,
    examples: latent_options.Examples = None,
    variance: latent_options.Variance = "auto",
    beta: latent_options.Beta = "auto",
    fisher_scale: latent_options.FisherScale = "auto",
    damping: latent_options.Damping = "auto",
    share: latent_options.Share = "covariance",
    threads: options.Threads = 1,
) -> None:
    """Evaluate Cor. 2.6, Lemma 3.1, Cor. 3.2, Def. 2.7 and Thm. 3.6 under every latent law.

    Example: ap3 bounds finetuned.safetensors --checkpoint baseline.safetensors
    --features features.safetensors --covariance covariance.safetensors --out bounds.csv
    """
    from threadpoolctl import threadpool_limits

    from ap3.files import csv_tables
    from ap3.finetuning.log import log_of, read_log
    from ap3.machine.progress import counted
    from ap3.measuring.bounds import LOG, bounds_of
    from ap3.measuring.reference import Reference
    from ap3.pruning.pruned import Pruned
    from ap3.training.splits import read_splits

    frozen = latent_options.is_head(scope)
    scales = latent_options.scales(variance, beta, fisher_scale, damping, share)
    with threadpool_limits(threads):
        seen = read_splits(features)
        reference = Reference.read(
            checkpoint, seen["train"], covariance, df, groups, examples, scales=scales
        )
        tuned, log = Pruned(finetuned, reference.origin), read_log(finetuned, *LOG)
        tuned.check_training(reference.head, reference.layer.weight)
        variants = (
            (network, log_of(log, network))
            for network in counted(tuned.values(), "bounds", len(tuned))
        )
        table = bounds_of(reference, variants, seen["test"], frozen)
    csv_tables.write(table, out)
