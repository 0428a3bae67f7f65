"""Stage `prune`: the last layer of a baseline under every mode and ratio."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options, several


def prune(
    variant: Annotated[
        list[str],
        typer.Argument(help="Variants to make: MODE-RATIO such as lowest-0.3, or control."),
    ],
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where all variants go (safetensors).")],
    features: Annotated[
        Path | None,
        typer.Option(help="Features of the trunk, for the modes obd, obs, snip and wanda."),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(min=1, help="Training examples that these modes look at; all if left out."),
    ] = None,
) -> None:
    """Prune the last layer; write its weights, bias and mask in each variant.

    The modes are lowest, highest and random (random.1, random.2, … are further draws), per_class,
    obd, obs, snip and wanda, or package.module:function.

    A random mask follows from the names of data set, network, trial, mode and ratio and from the
    seed of the baseline, so it differs between trials and depends on no other variant.

    Example: ap3 prune lowest-0.3 highest-0.3 control --checkpoint baseline.safetensors
    --out pruned.safetensors
    """
    from ap3.pruning import pruned
    from ap3.pruning.masks import prune_network, trained_layer
    from ap3.training.splits import read_splits

    baseline = pruned.read_unpruned(checkpoint)
    wanted = several.variants(variant)
    train = read_splits(features)["train"] if features else None
    trained = None if train is None else trained_layer(baseline, train, examples)
    pruned.save(out, [prune_network(baseline, chosen, trained) for chosen in wanted])
