"""Command `compare`: AP2 and AP3 of any two checkpoints, layer by layer, without data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ap3.errors import InvalidValueError
from ap3.stages import latent_options


def compare(
    baseline: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint of the network: safetensors, a file of torch.save, or a folder."
        ),
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
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            help="A further latent law: nondiagonal (slow), or your own, package.module:function; "
            "can be given repeatedly.",
        ),
    ] = None,
) -> None:
    """Compare any network with its pruned version: sparsity, AP2, AP3, and what was done.

    Layers are tensors of two or more dimensions; biases and norms are not compared. A dash stands
    for what has no value: what is relative to a layer of zeros, and the non-diagonal AP3 of layers
    above 33 million weights. Remarks go to the standard error, and with --json or --csv so does
    the sentence on what was done.

    Example: ap3 compare baseline.safetensors pruned.safetensors
    """
    if as_json and as_csv:
        raise InvalidValueError("--json and --csv were both given; choose one.")
    from ap3.comparing import printing
    from ap3.comparing.layer_table import compare as compare_weights

    table = compare_weights(baseline, pruned, layer or ["*"], df, groups or None, law or ())
    print(table.verdict, file=sys.stderr if as_json or as_csv else sys.stdout, flush=True)
    if as_json:
        print(printing.as_json(table))
    elif as_csv:
        print(printing.as_csv(table), end="")
    else:
        printing.show(table)
    for remark in table.remarks:
        print(remark, file=sys.stderr)
