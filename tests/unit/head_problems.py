"""Small softmax problems with a last layer, for the tests of measures and bounds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ap3.config.variants import Variant
from ap3.latent import FastRotation, Law, default_spectrum
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.laws import AUTO, BaselineLayer, Scales
from ap3.measuring.reference import Reference
from ap3.pruning.pruned import Origin, PrunedLayer, PrunedNetwork

ORIGIN = Origin("blobs", "net", trial=1, seed=0)


@dataclass
class Problem:
    """Features (N, d), labels (N,), and a layer trained a little on them."""

    features: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @property
    def loss(self) -> HeadLoss:
        return HeadLoss(self.features, self.labels)

    def reference(self, groups: int | None = 3) -> Reference:
        return Reference.of(ORIGIN, "fc", {"fc": self.layer(groups)}, self.loss)

    def layer(self, groups: int | None = 3, scales: Scales = AUTO) -> BaselineLayer:
        size = self.weight.size
        covariance = FastRotation(size, seed=0), default_spectrum(size)
        own = self.weight, self.bias, self.features
        return BaselineLayer(*own, *covariance, 4.0, groups, scales)


def problem(seed: int = 0, examples: int = 40, inputs: int = 5, classes: int = 3) -> Problem:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(examples, inputs)) * rng.uniform(0.2, 3)
    labels = rng.integers(classes, size=examples)
    weight, bias = 0.5 * rng.normal(size=(classes, inputs)), 0.1 * rng.normal(size=classes)
    loss = HeadLoss(features, labels)
    for _ in range(rng.integers(60)):
        weight = weight - loss.value_and_gradient(weight, bias)[1] / loss.curvature_bound
    return Problem(features, labels, weight, bias)


def tuned(made: Problem, seed: int = 1, epochs: int = 3, name: str = "random-0.4") -> PrunedNetwork:
    """A pruned layer that wanders off, its mask held, the bias free; epoch 0 is just pruned."""
    rng = np.random.default_rng(seed)
    mask = rng.random(made.weight.shape) > 0.4
    if name == "control":
        mask[:] = True
    steps = rng.normal(size=(epochs, *made.weight.shape)) * 0.2
    steps[0] = 0
    shifts = rng.normal(size=(epochs, *made.bias.shape)) * 0.1
    shifts[0] = 0
    weight = mask * (made.weight + steps.cumsum(0))
    layer = PrunedLayer(mask, weight, made.bias + shifts.cumsum(0))
    return PrunedNetwork(ORIGIN, Variant.parse(name), {"fc": layer})


def layer_of(network: PrunedNetwork) -> PrunedLayer:
    """The one layer that was pruned."""
    return network.layers[network.only_layer]


def laws_of(reference: Reference) -> dict[str, Law]:
    """The laws at the last layer, by name."""
    return {measure.law_name: laws["fc"] for measure, laws in reference.laws.items()}


def log_of(made: Problem, network: PrunedNetwork) -> pd.DataFrame:
    """The log that fine-tuning would have written, of the training split twice."""
    layer = layer_of(network)
    base, _ = made.loss.value_and_gradient(made.weight, made.bias)
    losses = [
        made.loss.value_and_gradient(w, b)[0] for w, b in zip(layer.weight, layer.bias, strict=True)
    ]
    gap = np.array(losses) - base
    columns = {"epoch": np.arange(len(gap))}
    for split in ("train", "test"):
        for what in ("loss", "accuracy"):
            columns[f"{split}_pd_{what}"] = np.abs(gap)
            columns[f"{split}_pd_{what}_signed"] = gap
            columns[f"{split}_pd_{what}_se"] = 0.0 * gap
    return pd.DataFrame(columns)
