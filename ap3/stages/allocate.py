"""Command `allocate`: how much of each layer of a network of the user's own to prune."""

from pathlib import Path
from typing import Annotated

import typer

from ap3.stages import endings, own_network, several


def allocate(
    network: own_network.Network,
    checkpoint: own_network.Checkpoint,
    data: own_network.Data,
    budget: Annotated[
        float, typer.Option(help="Share of the layers' weights (or FLOPs) that stays: 0.2.")
    ],
    of: Annotated[str, typer.Option(help="What the budget is of: weights or flops.")] = "weights",
    ratio: own_network.Ratio = None,
    layer: own_network.Layers = None,
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
    way: Annotated[
        str | None,
        typer.Option(
            help="Allocation that is written; that which loses least accuracy if not given."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the pruned network goes (safetensors).")
    ] = None,
    ratios: Annotated[Path | None, typer.Option(help="Where the ratios go (JSON).")] = None,
    calls: Annotated[
        Path | None, typer.Option(help="Where calls of torch.nn.utils.prune go (Python).")
    ] = None,
) -> None:
    """Choose how much of each layer to prune, so that a budget of weights or FLOPs is left.

    Scans the layers, spreads the budget in six ways, and measures each. The choice is made on these
    data, so judge it on others.

    Example: ap3 allocate resnet18 baseline.pt --data folder:val --budget 0.2 --ratios ratios.json
    """
    from ap3.diagnosing.allocate import allocate as allocate_network
    from ap3.diagnosing.allocate import refuse
    from ap3.diagnosing.scan import scan as scan_network
    from ap3.errors import InvalidValueError
    from ap3.files.storage import write_atomically

    refuse(budget, of, way)
    endings.refuse_others("--html", html, ".html", ".htm")
    endings.refuse_others("--out", out, ".safetensors")
    if ratios and ratios.suffix != ".json":
        raise InvalidValueError(
            f"--ratios is the .json file that the ratios are written to, but is {str(ratios)!r}; those "
            "that are tried are given by --ratio."
        )
    shares = own_network.ratios_of(ratio)
    given = raw, split, examples, classes, image_size, mean, std, batch_size, threads, device
    with own_network.opened(network, checkpoint, data, *given) as (model, batches):
        scanned = scan_network(model, batches, shares, several.texts(layer) or "all")
        found = allocate_network(scanned, budget, of)
    if ratios:
        found.to_json(ratios, way)
    if out:
        found.save(out, way)
    if calls:
        write_atomically(calls, lambda path: path.write_text(found.torch_calls(way), "utf-8"))
    own_network.show(found, csv, html)
