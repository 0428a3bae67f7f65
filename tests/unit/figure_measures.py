"""Measures for the tests of figures: made up, plausible, with zeros where real ones have them."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ap3.figures import Roles

MODES = ("lowest", "highest", "random")
RATIOS = (0.1, 0.3, 0.5, 0.8)
METRICS = ("ap2", "ap3_gaussian", "ap3_nondiagonal", "ap3_student_t")
EXAMPLES = {"train": 1437, "test": 360}

NETWORKS = {name: f"small_{name}" for name in ("alexnet", "vgg", "resnet", "vit")}
SLOTS = ("ten_classes", "hundred_classes", "large_images")
THREE = Roles(NETWORKS, dict(zip(SLOTS, ("cifar10", "cifar100", "tiny-imagenet"), strict=True)))
ONE = Roles(NETWORKS, dict.fromkeys(SLOTS, "digits"))


def measures(roles: Roles, trials: int = 2, epochs: int = 4, ratios: Iterable[float] = RATIOS):
    """Return the measures of every network of `roles` on every data set of it, as one table."""
    rng = np.random.default_rng(7)
    variants = [(mode, ratio) for mode in MODES for ratio in ratios] + [("control", 0.0)]
    return pd.DataFrame(
        _row(rng, dataset, model, trial, mode, ratio, epoch)
        for dataset in dict.fromkeys(roles.data.values())
        for model in roles.networks.values()
        for trial in range(trials)
        for mode, ratio in variants
        for epoch in range(epochs + 1)
    )


def _row(rng, dataset, model, trial, mode, ratio, epoch):
    row = {"dataset": dataset, "model": model, "trial": trial, "mode": mode, "ratio": ratio}
    row["epoch"] = epoch
    size = {"lowest": 0.1, "highest": 3.0, "random": 1.0, "control": 0.0}[mode] * ratio
    for power, metric in enumerate(METRICS, start=1):
        row[metric] = 10.0 / power * (size + 1e-3 * epoch) * rng.uniform(0.8, 1.2)
    for split, examples in EXAMPLES.items():
        wrong = rng.poisson(0.2 * examples * size**2 / (1 + epoch))
        row |= {
            f"{split}_pd_accuracy": wrong / examples,
            f"{split}_pd_accuracy_signed": -wrong / examples,
            f"{split}_pd_accuracy_se": np.sqrt(wrong) / examples,
            f"{split}_pd_loss": 3.0 * wrong / examples,
            f"{split}_examples": examples,
        }
    return row
