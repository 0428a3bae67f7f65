"""Command `explain`: what pruning did to a network of the user's own, over data."""

from typing import Annotated

import typer

from ap3.stages import endings, own_network


def explain(
    network: own_network.Network,
    checkpoint: own_network.Checkpoint,
    pruned: Annotated[str, typer.Argument(help="Checkpoint of its pruned version.")],
    data: own_network.Data,
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
) -> None:
    """Explain what pruning did to a network: the performance difference, and which layer did it.

    Each layer's AP2, AP3 and Gauss–Newton form, and the damage of its change alone. ± are 95 %
    intervals over the examples; evaluation mode.

    Example: ap3 explain resnet18 baseline.pt pruned.pt --data folder:val --html explained.html
    """
    from ap3.diagnosing.explain import explain as explain_network

    endings.refuse_others("--html", html, ".html", ".htm")
    given = raw, split, examples, classes, image_size, mean, std, batch_size, threads, device
    with own_network.opened(network, checkpoint, data, *given) as (model, batches):
        found = explain_network(model, pruned, batches)
    own_network.show(found, csv, html)
