"""Command `compare`: AP2 and AP3 of any two checkpoints, layer by layer, without data."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.errors import InvalidValueError
from ap3.stages import latent_options


def compare(
    baseline: Annotated[
        Path, typer.Argument(help="Checkpoint of the network: safetensors, or a state dict in .pt.")
    ],
    pruned: Annotated[Path, typer.Argument(help="Checkpoint of its pruned version.")],
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer to compare, such as fc or 'layer4.*'; can be given repeatedly."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of rows as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    df: latent_options.Df = 4.0,
    groups: Annotated[
        int,
        typer.Option(min=0, help="Group means that locate the Student-t law; 0 takes all weights."),
    ] = 100,
    law: latent_options.OwnLaws = None,
) -> None:
    """Compare any network with its pruned version: sparsity, AP2 and AP3 of every layer.

    Layers are tensors of two or more dimensions called weight; biases and norms are not compared.
    A dash stands for what has no value: what is relative to a layer of zeros, and the non-diagonal
    AP3 of layers above 33 million weights.

    Example: ap3 compare baseline.safetensors pruned.safetensors
    """
    if as_json and as_csv:
        raise InvalidValueError("--json and --csv were both given; choose one.")
    from ap3.comparing import printing
    from ap3.comparing.layer_table import compare as compare_weights
    from ap3.files.state_dicts import read

    table = compare_weights(
        read(baseline), read(pruned), layer or ["*"], df, groups or None, law or ()
    )
    if as_json:
        print(printing.as_json(table))
    elif as_csv:
        print(table.to_csv(index=False), end="")
    else:
        printing.show(table)
