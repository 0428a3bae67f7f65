"""Stage `depth`: AP2 and AP3 of every layer, where the whole network was fine-tuned."""

from pathlib import Path
from typing import Annotated

import typer


def depth(
    layers: Annotated[
        list[Path],
        typer.Argument(help="finetuned.layers.csv of every baseline, as `ap3 finetune` writes it."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for layers.csv and layers_summary.csv.")],
) -> None:
    """Join the distances of all layers, and see how each goes with that of the layer before.

    Example: ap3 depth results/fashion_all/*/*/*/finetuned.layers.csv --out tables
    """
    from ap3.explaining import depth as layerwise
    from ap3.files import csv_tables

    keys = (*csv_tables.ROW, "layer", "depth")
    joined = csv_tables.read_all(layers, *keys, values=("norm2", "ap2"))
    complete = layerwise.with_ap3(layerwise.by_variant(joined))
    csv_tables.write(complete, out / "layers.csv")
    csv_tables.write(layerwise.summarise(complete), out / "layers_summary.csv")
