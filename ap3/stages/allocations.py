"""Stage `allocations`: how much of each layer goes, in every variant of a network."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import options, several


def allocations(
    checkpoint: options.CheckpointFile,
    out: Annotated[Path, typer.Option(help="Where the variants go (CSV): a row for each layer.")],
    mode: Annotated[list[str], typer.Option(help="How weights are chosen.")],
    ratio: Annotated[
        list[str], typer.Option(help="Total over the layers, such as 0.5 or 0.3,0.5.")
    ],
    layers: Annotated[
        list[str] | None,
        typer.Option(help="last, all, or names and patterns such as conv1,'layer4.*'."),
    ] = None,
    allocation: Annotated[str, typer.Option(help="uniform, global, or random:K.")] = "uniform",
    alone: Annotated[
        list[str] | None,
        typer.Option(help="Ratios at which each layer is pruned alone as well."),
    ] = None,
    model: options.OwnModel = None,
) -> None:
    """Allocate a ratio over the layers of a baseline, once or at random, as a table.

    Example: ap3 allocations --checkpoint baseline.safetensors --layers all --mode lowest --ratio 0.5
    --allocation random:150 --out allocations.csv
    """
    import torch

    from ap3.config.compressions import parse_allocation
    from ap3.models.checkpoint import Checkpoint
    from ap3.pruning import allocated
    from ap3.pruning.allocation import allocate as spread_over
    from ap3.pruning.network_layers import choose
    from ap3.pruning.pruned import Origin

    how = parse_allocation(allocation)
    wanted, modes = several.texts(layers) or ["all"], several.texts(mode)
    ratios, singly = several.numbers(ratio, "--ratio"), several.numbers(alone, "--alone")
    network = Checkpoint.load(checkpoint, torch.device("cpu"), model)
    identity = network.identity
    origin = Origin(identity.dataset, identity.model, identity.trial, identity.seed)
    chosen = choose(network.model, identity.head, wanted[0] if len(wanted) == 1 else wanted)
    allocated.check_modes(modes, chosen)
    variants = spread_over(chosen, origin, modes, ratios, how, singly)
    sizes = {name: weight.numel() for name, weight in chosen.items()}
    allocated.write(out, origin, variants, sizes)
