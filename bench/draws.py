"""What hundreds of random masks cost beside the twelve variants of a study, piece by piece.

    python bench/draws.py --variants 12 1000

One last layer of 128 inputs and 10 classes, on features drawn for 1,257 training and 540 test examples.
Each piece runs once, in one thread; processor time, so that other jobs disturb it less.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
import torch

from ap3.config.variants import CONTROL, Variant, drawn
from ap3.explaining.trial_grids import runs_of
from ap3.explaining.within_ratio import within_ratio
from ap3.finetuning.head_scope import through_head
from ap3.finetuning.log import joined, log_of
from ap3.latent import FastRotation, default_spectrum
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.laws import BaselineLayer
from ap3.measuring.measure import measures_of
from ap3.measuring.reference import Reference
from ap3.measuring.sampling_noise import Evaluation
from ap3.pruning.masks import prune_network, trained_layer
from ap3.pruning.pruned import Origin, PrunedLayer, PrunedNetwork
from ap3.training.features import Features
from ap3.training.sgd import Recipe
from ap3.training.splits import Split

CLASSES, WIDTH = 10, 128
COUNTS = {"train": 1257, "test": 540}
RATIOS = (0.3, 0.5)
RECIPE = Recipe(20, 32, 0.05, 0.9, 5e-4, "none", False, False)
PIECES = ("prune", "fine-tune, 20 epochs", "measure at both ends", "noise", "order within ratios")


def problem(rng: np.random.Generator) -> tuple[PrunedNetwork, dict[str, Split]]:
    """Draw what a last layer sees of classes that overlap a little, and train the layer."""
    centres = rng.normal(size=(CLASSES, WIDTH))
    splits = {}
    for name, count in COUNTS.items():
        labels = rng.integers(CLASSES, size=count)
        features = np.maximum(0.25 * centres[labels] + rng.normal(size=(count, WIDTH)), 0)
        splits[name] = Split(features.astype(np.float32), labels)
    loss = HeadLoss(splits["train"].features, splits["train"].labels)
    weight, bias = np.zeros((CLASSES, WIDTH)), np.zeros(CLASSES)
    for _ in range(300):
        weight -= loss.value_and_gradient(weight, bias)[1] / loss.curvature_bound
    layer = PrunedLayer.whole(weight.astype(np.float32), bias.astype(np.float32))
    origin = Origin("drawn", "head", 1, 0)
    return PrunedNetwork(origin, Variant(CONTROL, 0.0), {"fc": layer}), splits


class Clock:
    """Processor seconds by piece."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def of(self, piece: str) -> Iterator[None]:
        """Add what the block takes."""
        start = time.process_time()
        yield
        self.seconds[piece] = self.seconds.get(piece, 0.0) + time.process_time() - start


def cost(variants: int, baseline: PrunedNetwork, splits: dict[str, Split]) -> dict[str, float]:
    """Do for so many pruned variants and the control what `ap3 draws` and `ap3 within` do."""
    clock = Clock()
    train = splits["train"]
    named = [Variant(CONTROL, 0.0), *drawn(RATIOS, variants // len(RATIOS))]
    with clock.of("prune"):
        trained = trained_layer(baseline, train, None)
        networks = [prune_network(baseline, one, trained) for one in named]
    features = Features(splits, torch.from_numpy(train.features)[None])
    with clock.of("fine-tune, 20 epochs"):
        done = through_head(networks, baseline, features, RECIPE, torch.device("cpu"), ends=True)
    with clock.of("measure at both ends"):
        (layer,) = baseline.layers.values()
        size = layer.weight.size
        law = BaselineLayer(
            layer.weight, layer.bias, train.features, FastRotation(size, 0), default_spectrum(size)
        )
        loss = HeadLoss(train.features, train.labels)
        reference = Reference.of(baseline.origin, "fc", {"fc": law}, loss)
        log, tuned = joined(one.log for one in done), [one.tuned for one in done]
        tables = [measures_of(reference, one, log_of(log, one), tuned[0]) for one in tuned]
    with clock.of("noise"):
        evaluation = Evaluation(reference, splits)
        for one in tuned:
            evaluation.add(one)
        noise = evaluation.noise(resamples=1)
    with tempfile.TemporaryDirectory() as folder:
        noise.save(Path(folder, "noise.safetensors"))
        print(f"  noise of {variants}: {Path(folder, 'noise.safetensors').stat().st_size:,} bytes")
    with clock.of("order within ratios"):
        within_ratio(runs_of(pd.concat(tables, ignore_index=True), [noise]))
    return clock.seconds


def main() -> None:
    """Print a row per piece."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--variants", type=int, nargs="+", default=[12, 1000])
    wanted = parser.parse_args().variants
    torch.set_num_threads(1)
    print(measuring.conditions(n=1, variants=wanted))
    baseline, splits = problem(np.random.default_rng(0))
    found = {count: cost(count, baseline, splits) for count in wanted}
    print(f"{'processor seconds':28}" + "".join(f"{count:>10,}" for count in found))
    for piece in (*PIECES, "all"):
        values = [sum(one.values()) if piece == "all" else one[piece] for one in found.values()]
        print(f"{piece:28}" + "".join(f"{value:10.1f}" for value in values))


if __name__ == "__main__":
    main()
