"""Stage `measure`: AP2, AP3 and PD of every variant of one baseline, epoch by epoch."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def measure(
    layers: Annotated[
        list[Path],
        typer.Argument(
            help="Fine-tuned layers, VARIANT.safetensors, each with its VARIANT.csv beside it."
        ),
    ],
    checkpoint: options.CheckpointFile,
    covariance: Annotated[Path, typer.Option(help="Covariance, as `ap3 covariance` writes it.")],
    out: Annotated[Path, typer.Option(help="Where the measures go (CSV).")],
    df: Annotated[float, typer.Option(help="Degrees of freedom of the Student-t law.")] = 4.0,
    groups: Annotated[
        int | None,
        typer.Option(help="Group means that locate the Student-t law; all weights if not given."),
    ] = None,
    monte_carlo: Annotated[
        int,
        typer.Option(min=0, help="Points of the Pyro estimate at the last epoch; 0 makes none."),
    ] = 0,
    threads: options.Threads = 1,
) -> None:
    """Measure AP2 and AP3 under every latent law, exactly, beside the PD of the log."""
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from ap3 import covariances, tables
    from ap3.layers import Layer
    from ap3.measures import Laws, measures_of

    baseline = Layer.of_checkpoint(checkpoint)
    with threadpool_limits(threads):
        laws = Laws.of_baseline(baseline.weight, *covariances.load(covariance), df, groups)
        measured = [
            measures_of(
                baseline,
                Layer.load(path),
                tables.read(path.with_suffix(".csv"), "epoch"),
                laws,
                monte_carlo,
            )
            for path in layers
        ]
    tables.write(pd.concat(measured, ignore_index=True), out)
