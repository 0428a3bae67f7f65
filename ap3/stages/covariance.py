"""Stage `covariance`: the eigenvectors of the non-diagonal covariance, drawn once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def covariance(
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where V and its spectrum go (safetensors).")],
    rotation: Annotated[
        str,
        typer.Option(help="dense (eigenvectors of R + Rᵀ), fast, or auto: dense where cheap."),
    ] = "auto",
    seed: options.Seed = 0,
    threads: options.Threads = 1,
) -> None:
    """Draw V of Σ = β V Λ Vᵀ (Sec. 2) for the last layer of a network.

    V follows from the seed and the names of data set and network, so all trials share it.

    Example: ap3 covariance --checkpoint baseline.safetensors --out covariance.safetensors
    """
    from threadpoolctl import threadpool_limits

    from ap3.config.seeds import derive
    from ap3.measuring.covariance import chosen, make_covariance, warning
    from ap3.pruning.pruned import read_unpruned

    baseline = read_unpruned(checkpoint)
    size = baseline.layers[baseline.only_layer].weight.size
    taken = chosen(rotation, size)
    print(warning(taken, size) or f"{size:,} weights: {taken} rotation", file=sys.stderr)
    names = (baseline.origin.dataset, baseline.origin.model, "covariance")
    with threadpool_limits(threads):
        make_covariance(out, size, taken, derive(seed, *names))
