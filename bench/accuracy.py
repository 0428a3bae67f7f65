"""Whether the speed costs accuracy: the small networks trained by ap3's loop and by the recipe.

Both train on the digits with random resized crops and flips, for as many epochs and at the same
annealed learning rates, from the same weights in each trial, and are tested alike.

    python bench/accuracy.py
"""

import argparse
from collections import deque
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import recipe
import small_networks as small
import torch
from measuring import conditions, write_ratios
from networks import untrained

from ap3.models.preprocessing import View
from ap3.training.evaluation import PerExample, logits_of
from ap3.training.sgd import Recipe, train

AUGMENTATION, CPU = "crop-flip", torch.device("cpu")


def main() -> None:
    """Train, test, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="trainings of each network, each way")
    parser.add_argument(
        "--epochs", type=int, help="epochs of every network; as many as each needs if not given"
    )
    parser.add_argument("--models", nargs="*", help="networks; all four if not given")
    parser.add_argument("--threads", type=int, default=2, help="torch's CPU threads")
    parser.add_argument("--json", type=Path, help="file for the ratio")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(conditions(augmentation=AUGMENTATION, batch=small.BATCH, precision="float32"))
    print(
        f"{'test accuracy, mean ± sd':24}{'n':>3}{'epochs':>8}{'recipe':>18}{'ours':>18}   difference ± se"
    )
    means = []
    for model, (epochs, learning_rate) in small.TRAININGS.items():
        if options.models and model not in options.models:
            continue
        epochs = options.epochs or epochs
        pairs = [both(model, epochs, learning_rate, seed) for seed in range(options.trials)]
        print(row(model, epochs, pairs))
        means.append(tuple(map(fmean, zip(*pairs, strict=True))))
    theirs, ours = map(fmean, zip(*means, strict=True))
    write_ratios(options.json, {"accuracy_over_recipe_demo": ours / theirs})


def both(model: str, epochs: int, learning_rate: float, seed: int) -> tuple[float, float]:
    """Train one network from the same weights by the recipe and by ours; returns test accuracies."""
    images, labels, *test = small.digits()
    colour = images.expand(-1, 3, -1, -1)
    batches = recipe.loader(colour.numpy(), labels.numpy(), small.SIZE, small.BATCH)
    theirs, ours = (untrained(model, small.CLASSES, small.SIZE, seed) for _ in range(2))
    deque(recipe.epochs(theirs, batches, learning_rate, epochs), maxlen=0)
    wanted = Recipe(
        epochs, small.BATCH, learning_rate, augmentation=AUGMENTATION, channels_last=True
    )
    order = torch.Generator().manual_seed(seed)
    deque(train(ours, images, labels, View(small.SIZE), wanted, order), maxlen=0)
    return _accuracy(theirs, *test), _accuracy(ours, *test)


def _accuracy(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    outcomes = PerExample.of(logits_of(network, images, View(small.SIZE), CPU), labels)
    return outcomes.correct.mean().item()


def row(model: str, epochs: int, pairs: list[tuple[float, float]]) -> str:
    """Say what came of both ways, and the mean of the differences with its standard error."""
    cells = "".join(f"{fmean(one):11.4f} ±{_spread(one):.4f}" for one in zip(*pairs, strict=True))
    differences = [ours - theirs for theirs, ours in pairs]
    error = _spread(differences) / sqrt(len(pairs))
    return f"{model:24}{len(pairs):3}{epochs:8}{cells}   {fmean(differences):+.4f} ± {error:.4f}"


def _spread(values: list[float] | tuple[float, ...]) -> float:
    return stdev(values) if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
