"""Baseline training beside its limit and beside the plain PyTorch recipe.

The limit is bare forward, backward and step on one resident batch, in the order of memory that is
faster. The recipe reads through two DataLoader workers.

    python bench/training.py
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import recipe
import torch
import torch.nn.functional as F  # noqa: N812
from measuring import Ratio, conditions, in_turns, table, write_ratios
from torch import nn

from ap3 import datasets
from ap3.device import place
from ap3.models.names import FACTORIES
from ap3.models.registry import build
from ap3.training import Recipe, optimise, train
from ap3.views import View

CPU = torch.device("cpu")
CLASSES = 10
LEARNING_RATE = 0.01
LARGE = {"resnet18_32": ("resnet18", 32, 128, 4), "resnet50_64": ("resnet50", 64, 64, 2)}
"""Name of the ratio → network, pixels, batch, batches a round."""
SMALL_SIZE, SMALL_BATCH = 16, 32


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of each comparison")
    parser.add_argument("--threads", type=int, default=2, help="torch's CPU threads")
    parser.add_argument("--only", nargs="*", default=[*LARGE, "demo"], help="what to compare")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        conditions(
            workers_of_the_recipe=recipe.WORKERS, augmentation="crop-flip", precision="float32"
        )
    )
    ratios = {
        f"train_over_bare_{name}": beside_the_limit(name, options.rounds)
        for name in LARGE
        if name in options.only
    }
    if "demo" in options.only:
        ratios |= beside_the_recipe(options.rounds)
    write_ratios(options.json, ratios)


def beside_the_limit(name: str, rounds: int) -> Ratio:
    """Compare the training loop with bare steps on one batch; the faster of two bare ways counts."""
    model, size, batch, batches = LARGE[name]
    ways = {
        "training loop": _epochs(model, size, batch, batches),
        "bare step": _bare(model, size, batch, batches, torch.contiguous_format),
        "bare step, channels last": _bare(model, size, batch, batches, torch.channels_last),
    }
    times = in_turns(ways, rounds)
    print(table(f"{model} at {size} px, batch {batch}", times, batch * batches, "images/s"))
    loop, *bare = times.values()
    return min((Ratio.of(loop, way) for way in bare), key=lambda ratio: ratio.median)


def beside_the_recipe(rounds: int) -> dict[str, Ratio]:
    """Compare an epoch over the demo's digits with the recipe's, for each of the demo's networks."""
    digits = datasets.get("digits").decode(None)
    ratios = {}
    for model in FACTORIES:
        images = digits.train_images.repeat(3 // digits.train_images.shape[1], axis=1)
        batches = recipe.loader(images, digits.train_labels, SMALL_SIZE, SMALL_BATCH)
        theirs = recipe.epochs(_network(model, SMALL_SIZE), batches, LEARNING_RATE)
        ours = _training(
            _network(model, SMALL_SIZE),
            torch.from_numpy(digits.train_images),
            torch.from_numpy(digits.train_labels),
            SMALL_SIZE,
            SMALL_BATCH,
        )
        times = in_turns({"training loop": ours.__next__, "recipe": theirs.__next__}, rounds)
        count = len(digits.train_labels)
        print(table(f"{model} at {SMALL_SIZE} px, batch {SMALL_BATCH}", times, count, "images/s"))
        ratios[f"train_over_recipe_{model}"] = Ratio.of(*times.values())
    least = min(ratios.values(), key=lambda ratio: ratio.median)
    return ratios | {"train_over_recipe_demo": least}


def _network(model: str, size: int) -> nn.Module:
    torch.manual_seed(0)
    return place(build(model, CLASSES, size), CPU)


def _epochs(model: str, size: int, batch: int, batches: int) -> Callable[[], object]:
    """Make a way that trains for one epoch of so many batches of noise."""
    images = torch.randint(0, 256, (batch * batches, 3, size, size), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (batch * batches,))
    return _training(_network(model, size), images, labels, size, batch).__next__


def _training(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, size: int, batch: int
) -> Iterator[object]:
    """The real training loop; each `next` is an epoch."""
    wanted = Recipe(10**6, batch, LEARNING_RATE, augmentation="crop-flip")
    return train(network, images, labels, View(size), wanted, torch.Generator().manual_seed(0))


def _bare(
    model: str, size: int, batch: int, batches: int, order: torch.memory_format
) -> Callable[[], None]:
    """Make a way that does nothing but forward, backward and step, on a batch that is there."""
    network = _network(model, size).to(memory_format=order).train()
    pixels = torch.randn(batch, 3, size, size).contiguous(memory_format=order)
    labels = torch.randint(0, CLASSES, (batch,))
    optimizer, _ = optimise(list(network.parameters()), Recipe(1, batch, LEARNING_RATE))

    def run() -> None:
        for _ in range(batches):
            loss = F.cross_entropy(network(pixels), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    main()
