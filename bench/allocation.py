"""League table of allocations: which way to spread pruning over layers costs the least accuracy.

Trains the demo's four networks on the digits, scans each on 512 of its training images, allocates
50, 70 and 80 % over all layers in six ways, one shot, BatchNorm as it was, and judges every way on
the 360 test images, which neither the scan nor the choice has seen:

    python bench/allocation.py                # four networks, one training each
    python bench/allocation.py --trials 3
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import ap3
from ap3.datasets import get
from ap3.datasets.images import Images
from ap3.diagnosing.allocations import WAYS
from ap3.models.checkpoint import Checkpoint
from ap3.models.preprocessing import View
from ap3.training.baseline import train_baseline
from ap3.training.sgd import Recipe

NETWORKS = {
    "small_alexnet": (15, 0.03),
    "small_vgg": (7, 0.05),
    "small_resnet": (7, 0.1),
    "small_vit": (20, 0.03),
}
"""Epochs and learning rate of each, as in study `demo`."""

PRUNED = (0.5, 0.7, 0.8)
_CALIBRATION = 512
_BATCH = 512
Pairs = list[tuple[torch.Tensor, torch.Tensor]]


def main() -> None:
    """Train, scan and allocate; print a row for each network and ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = get("digits").decode()
    rows = [
        row
        for name in given.networks
        for trial in range(1, given.trials + 1)
        for row in cells(data, name, trial)
    ]
    table = pd.DataFrame(rows)
    if given.csv:
        table.to_csv(given.csv, index=False)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    summary = league(table)
    for name, value in summary.items():
        print(f"{name}: {value:.2f}")
    if given.json:
        given.json.write_text(json.dumps(summary), encoding="utf-8")


def cells(data: Images, name: str, trial: int) -> list[dict[str, Any]]:
    """Return test accuracy in percent under every way, for one training, a row for each ratio."""
    network = trained(data, name, trial)
    view = network.identity.view
    drawn = torch.randperm(len(data.train_labels), generator=torch.Generator().manual_seed(trial))[
        :_CALIBRATION
    ].numpy()
    calibration = batches(data.train_images[drawn], data.train_labels[drawn], view)
    test = batches(data.test_images, data.test_labels, view)
    scanned = ap3.scan(network.model, calibration)
    rows = []
    for pruned in PRUNED:
        found = ap3.allocate(scanned, 1 - pruned)
        judged = ap3.allocate(scanned, 1 - pruned, batches=test).table.set_index("allocation")
        before = accuracy(network.model, test)
        left = {way: before - 100 * float(judged.loc[way, "pd_accuracy"]) for way in WAYS}
        about = {"network": name, "trial": trial, "pruned": 100 * pruned, "before": before}
        rows.append(about | left | {"chosen": left[found.chosen], "choice": found.chosen})
    return rows


def trained(data: Images, name: str, trial: int) -> Checkpoint:
    """Train one network as study `demo` does."""
    epochs, rate = NETWORKS[name]
    recipe = Recipe(epochs, 32, rate, 0.9, 5e-4, "none", True)
    network, _ = train_baseline(data, name, 16, recipe, 0.0, trial, 0, torch.device("cpu"))
    return network


def batches(images: Any, labels: Any, view: View) -> Pairs:
    """Put images and labels into batches as the network sees them."""
    pixels = view.still(torch.from_numpy(images))
    return list(zip(pixels.split(_BATCH), torch.from_numpy(labels).split(_BATCH), strict=True))


@torch.no_grad()
def accuracy(network: torch.nn.Module, pairs: Pairs) -> float:
    """Return the accuracy in percent."""
    network.eval()
    right = sum(int((network(x).argmax(1) == y).sum()) for x, y in pairs)
    return 100 * right / sum(len(y) for _, y in pairs)


def league(table: pd.DataFrame) -> dict[str, float]:
    """Return, for every way and for the choice, the shares of cells near the best and at it."""
    best = table[[*WAYS]].max(axis=1)
    found = {}
    for way in ("chosen", *WAYS):
        found[f"{way}, within a point of the best"] = float((table[way] >= best - 1.0).mean())
        found[f"{way}, best"] = float((table[way] >= best - 1e-9).mean())
    return found


if __name__ == "__main__":
    main()
