"""Stage `prune`: the last layer of a baseline under every mode and ratio."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options


def prune(
    variant: Annotated[
        list[str],
        typer.Argument(help="Variants to make: MODE-RATIO such as lowest-0.3, or control."),
    ],
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where all variants go (safetensors).")],
) -> None:
    """Prune the last layer; write its weights, bias and mask in each variant.

    A random mask follows from the names of data set, network, trial, mode and ratio and from the
    seed of the baseline, so it differs between trials and depends on no other variant.

    Example: ap3 prune lowest-0.3 highest-0.3 control --checkpoint baseline.safetensors
    --out pruned.safetensors
    """
    from ap3.config.variants import Variant
    from ap3.pruning import pruned
    from ap3.pruning.masks import prune_network

    baseline = pruned.read_unpruned(checkpoint)
    wanted = dict.fromkeys(map(Variant.parse, variant))
    pruned.save(out, [prune_network(baseline, chosen) for chosen in wanted])
