"""League table of allocations: which way to spread pruning over layers costs the least accuracy.

Trains the four small networks on the digits, and on request ResNet18 on part of Fashion-MNIST, scans
each on 512 of its training images, allocates 50, 70 and 80 % over all layers in six ways, one shot,
BatchNorm as it was, and judges every way on test images, which neither the scan nor the choice has seen:

    python bench/allocation.py --trials 3     # four networks, three trainings each
    python bench/allocation.py --networks resnet18 --raw /usr/share/datasets/fashion-mnist
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from small_networks import BATCH, SIZE, TRAININGS

import ap3
from ap3.datasets import get
from ap3.datasets.images import Images
from ap3.diagnosing.allocations import WAYS
from ap3.models.checkpoint import Checkpoint
from ap3.models.preprocessing import View
from ap3.training.baseline import train_baseline
from ap3.training.sgd import Recipe

LARGE = {"resnet18": (3, 0.05)}
"""Epochs and learning rate on 10,000 images of Fashion-MNIST, of whose test images 2,000 judge."""

PRUNED = (0.5, 0.7, 0.8)
_CALIBRATION = 512
_BATCH = 512
Pairs = list[tuple[torch.Tensor, torch.Tensor]]


def main() -> None:
    """Train, scan and allocate; print a row for each network and ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument(
        "--networks", nargs="*", default=list(TRAININGS), choices=[*TRAININGS, *LARGE]
    )
    parser.add_argument("--raw", type=Path, help="folder of Fashion-MNIST's files, for resnet18")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.networks:
        data = get("digits").decode() if name in TRAININGS else part_of_fashion(given.raw)
        for trial in range(1, given.trials + 1):
            rows += cells(data, name, trial)
    table = pd.DataFrame(rows)
    if given.csv:
        table.to_csv(given.csv, index=False)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.1f}"))
    print("\n".join(averaged(table)))
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
        by_kl = str(found.table.set_index("allocation")["kl_predictions"].idxmin())
        chosen = {"chosen": left[found.chosen], "choice": found.chosen, "by_kl": left[by_kl]}
        rows.append(about | left | chosen)
    return rows


def part_of_fashion(raw: Path) -> Images:
    """Take the first 10,000 training and 2,000 test images of Fashion-MNIST."""
    whole = get("fashion-mnist").decode(raw)
    train, test = slice(10_000), slice(2_000)
    return replace(
        whole,
        train_images=whole.train_images[train],
        train_labels=whole.train_labels[train],
        test_images=whole.test_images[test],
        test_labels=whole.test_labels[test],
    )


def trained(data: Images, name: str, trial: int) -> Checkpoint:
    """Train one network on all or part of the training images."""
    epochs, rate = (TRAININGS | LARGE)[name]
    batch, size = (BATCH, SIZE) if name in TRAININGS else (128, 32)
    recipe = Recipe(epochs, batch, rate, 0.9, 5e-4, "none", True)
    network, _ = train_baseline(data, name, size, recipe, 0.0, trial, 0, torch.device("cpu"))
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


def averaged(table: pd.DataFrame) -> list[str]:
    """Lay out as Markdown the means over the trainings."""
    shown = ["before", *WAYS, "chosen"]
    lines = [f"| network | n | pruned | {' | '.join(shown)} |", "|---" * (3 + len(shown)) + "|"]
    for (name, pruned), mine in table.groupby(["network", "pruned"], sort=False):
        means = " | ".join(f"{mine[one].mean():.1f}" for one in shown)
        lines.append(f"| {name} | {len(mine)} | {pruned:.0f} % | {means} |")
    return lines


def league(table: pd.DataFrame) -> dict[str, float]:
    """Return, for every way and for the choice, the shares of cells near the best and at it."""
    best = table[[*WAYS]].max(axis=1)
    found = {}
    for way in ("chosen", "by_kl", *WAYS):
        found[f"{way}, within a point of the best"] = float((table[way] >= best - 1.0).mean())
        found[f"{way}, best"] = float((table[way] >= best - 1e-9).mean())
    return found


if __name__ == "__main__":
    main()
