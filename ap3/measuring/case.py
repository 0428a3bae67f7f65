"""One variant against what it is measured from: what every measure of the catalogue is taken of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ap3.latent.vectors import FloatArray, Vector, as_float64
from ap3.measuring import catalogue
from ap3.measuring.catalogue import Measure
from ap3.measuring.curvature_laws import fisher_both_ends
from ap3.measuring.laws import BaselineLayer
from ap3.measuring.logit_change import means
from ap3.measuring.output_distances import flipped, squared_change
from ap3.measuring.predictive_law import DIVERGENCES
from ap3.measuring.reference import Reference
from ap3.measuring.slopes import SLOPES
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork

OUTPUTS = {
    **DIVERGENCES,
    **SLOPES,
    "fisher_both_ends": fisher_both_ends,
    "squared_change": squared_change,
    "flipped": flipped,
}
"""Functions of how one example's logits change, by name."""


@dataclass(frozen=True, eq=False)
class Case:
    """A variant, epoch by epoch, beside its baseline or beside the control.

    Attributes
    ----------
    reference
        The baseline, with the laws at it.
    tuned
        The variant, its layers with a leading axis of E epochs.
    control
        What was fine-tuned without pruning, if the variant is measured from it at the same epoch.
    frozen
        Whether all but the pruned layers were held (scope `head`).
    """

    reference: Reference
    tuned: PrunedNetwork
    control: PrunedNetwork | None = None
    frozen: bool = True

    def value(self, measure: Measure) -> Any:
        """Compute a measure: (E,), or one number for all epochs; NaN where it cannot be had."""
        if measure.law:
            return self._sum_of_kl(measure)
        return catalogue.function(measure.of)(self)

    def _sum_of_kl(self, measure: Measure) -> Vector | float:
        """AP3 of the network: the laws of its layers are independent, and so their KL adds up."""
        laws = self.reference.laws[measure]
        if set(laws) < set(self.weights):
            return np.nan
        return sum(laws[name].kl_many(weights) for name, weights in self.weights.items())

    @cached_property
    def weights(self) -> Mapping[str, FloatArray]:
        """The pruned layers' weights, (E, *S) each, by name.

        Every law is one of location, so its KL depends on the difference of the weights only, and
        the difference to the control can be measured from the baseline's weights.
        """
        found = {name: layer.weight for name, layer in self.tuned.layers.items()}
        if self.control is None:
            return found
        return {
            name: as_float64(self.reference.layers[name].weight)
            + (as_float64(weight) - as_float64(self.control.layers[name].weight))
            for name, weight in found.items()
        }

    @cached_property
    def flat(self) -> FloatArray:
        """All pruned weights of the network, one behind the other: (E, n)."""
        return _side_by_side([w.reshape(len(w), -1) for w in self.weights.values()])

    @cached_property
    def flat_baseline(self) -> FloatArray:
        """Those of the baseline, in the same order: (n,)."""
        return _side_by_side([self.reference.layers[name].weight.ravel() for name in self.weights])

    @cached_property
    def outputs(self) -> Mapping[str, Vector]:
        """Means over the training examples of what `OUTPUTS` names, (E,) each, in one pass.

        Only where the last layer alone has moved: its outputs follow from the features then.
        """
        loss = self.reference.loss
        start, head = (with_bias(layer.weight, layer.shift) for layer in (self.start, self.head))
        return means(loss.features, start, head, OUTPUTS, loss.labels)

    @property
    def head(self) -> PrunedLayer:
        """The variant's last layer."""
        return self.tuned.layers[self.reference.head]

    @property
    def start(self) -> PrunedLayer | BaselineLayer:
        """What the last layer is measured from: the baseline's, or the control's."""
        if self.control is not None:
            return self.control.layers[self.reference.head]
        return self.reference.layer

    @property
    def outputs_known(self) -> bool:
        """Whether what the variant puts out follows from the baseline's features."""
        return self.frozen and self.only_head

    @property
    def only_head(self) -> bool:
        """Whether the last layer, and no other, was pruned."""
        return set(self.weights) == {self.reference.head}


def _side_by_side(parts: list[FloatArray]) -> FloatArray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def with_bias(weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Weights with the bias as last column, (…, C, d + 1)."""
    return np.concatenate([weight, bias[..., np.newaxis]], axis=-1)
