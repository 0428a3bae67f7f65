"""Command `scan`: how sensitive every layer of a network of the user's own is, over data."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import endings, own_network, several


def scan(
    network: own_network.Network,
    checkpoint: own_network.Checkpoint,
    data: own_network.Data,
    ratio: own_network.Ratio = None,
    layer: own_network.Layers = None,
    unit: Annotated[
        str, typer.Option(help="What is pruned: weights, or channels with torch-pruning.")
    ] = "weights",
    raw: own_network.Raw = None,
    split: own_network.Split = "test",
    examples: own_network.Examples = None,
    classes: own_network.Classes = None,
    image_size: own_network.ImageSize = None,
    mean: own_network.Mean = None,
    std: own_network.Std = None,
    batch_size: own_network.BatchSize = 256,
    threads: own_network.Threads = None,
    device: own_network.Device = "cpu",
    csv: own_network.Csv = None,
    html: own_network.Html = None,
    figure: Annotated[
        Path | None, typer.Option(help="Where the curves go, as PDF, PNG or SVG.")
    ] = None,
) -> None:
    """Prune every layer of a network alone, at several ratios, and measure the damage.

    Weights of lowest magnitude go first, or channels of smallest norm; layers that have to lose
    their channels together are one. ± are 95 % intervals over the examples.

    Example: ap3 scan resnet18 baseline.pt --data folder:val --csv scan.csv --figure scan.pdf
    """
    from ap3.diagnosing.scan import scan as scan_network
    from ap3.figures.drawing import save_as

    endings.refuse_others("--html", html, ".html", ".htm")
    endings.refuse_others("--figure", figure, ".pdf", ".png", ".svg")
    ratios = own_network.ratios_of(ratio)
    given = raw, split, examples, classes, image_size, mean, std, batch_size, threads, device
    with own_network.opened(network, checkpoint, data, *given) as (model, batches):
        found = scan_network(model, batches, ratios, several.texts(layer) or "all", unit=unit)
    if figure:
        save_as(found.figure(), figure)
    own_network.show(found, csv, html)
