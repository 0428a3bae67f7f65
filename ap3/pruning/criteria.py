"""Pruning criteria that are not magnitude alone: each scores the weights, and the lowest go first.

Some rank the weights within each class, a row of the layer, so that every class loses the same
share. Those that look at data see the layer's inputs on training images, and their labels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import softmax

from ap3.errors import InvalidValueError
from ap3.latent.fisher import SoftmaxCurvature
from ap3.latent.vectors import FloatArray, Vector, as_float64
from ap3.pruning import weight_scores
from ap3.pruning.optimal_brain_surgeon import obs, softmax_hessian
from ap3.training.splits import Split


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """The last layer as it was trained, and what it sees of the training images.

    Attributes
    ----------
    weight : array of shape (C, d)
    bias : array of shape (C,)
    seen
        Inputs, (N, d), and labels, (N,).
    """

    weight: FloatArray
    bias: FloatArray
    seen: Split

    def __post_init__(self) -> None:
        if self.seen.features.shape[1:] != self.weight.shape[1:]:
            raise InvalidValueError(
                f"the features are of shape {self.seen.features.shape}, but the last layer sees "
                f"{self.weight.shape[1]} numbers; give what ap3 features made of this baseline."
            )

    @cached_property
    def logits(self) -> Vector:
        """What the layer puts out, (N, C)."""
        return as_float64(self.seen.features) @ as_float64(self.weight).T + as_float64(self.bias)

    @cached_property
    def curvature(self) -> SoftmaxCurvature:
        """The Hessian of the mean loss in the weights, with its automatic damping, unformed."""
        return SoftmaxCurvature(self.seen.features, self.logits)

    @cached_property
    def gradient(self) -> Vector:
        """∂L/∂W of the mean loss, 1/N Σᵢ (pᵢ − yᵢ) xᵢᵀ: (C, d)."""
        residual = softmax(self.logits, axis=1)
        residual[np.arange(len(residual)), self.seen.labels] -= 1
        return np.asarray(residual.T @ as_float64(self.seen.features) / len(residual))

    @cached_property
    def _scores(self) -> dict[str, Vector]:
        return {}

    def scores(self, criterion: str) -> Vector:
        """Score the weights by a criterion of `SCORES`, once: (C, d)."""
        if criterion not in self._scores:
            self._scores[criterion] = SCORES[criterion](self)
        return self._scores[criterion]


def within_rows(scores: Any) -> Vector:
    """Rank the scores of each row from 1; of equal ones the earlier comes first.

    Pruning the lowest ranks takes the same number of weights from every row, but for one where
    that does not come out even: then the upper rows lose one more.

    Parameters
    ----------
    scores : array of shape (C, d)

    Examples
    --------
    >>> within_rows([[0.3, 0.1, 0.2], [7.0, 9.0, 7.0]])
    array([[3., 1., 2.],
           [1., 3., 2.]])
    """
    order = np.argsort(np.asarray(scores), axis=1, kind="stable")
    ranks = np.empty(order.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, order.shape[1] + 1)[np.newaxis], axis=1)
    return ranks


def _obd(layer: TrainedLayer) -> Vector:
    return weight_scores.obd(layer.weight, layer.curvature.diagonal)


def _obs(layer: TrainedLayer) -> Vector:
    hessian = softmax_hessian(layer.seen.features, layer.logits, layer.curvature.damping)
    return obs(layer.weight, hessian)


def _snip(layer: TrainedLayer) -> Vector:
    return weight_scores.snip(layer.weight, layer.gradient)


def _wanda(layer: TrainedLayer) -> Vector:
    """Wanda compares the weights of one output with each other (Sun et al. 2023, Sec. 3)."""
    return within_rows(weight_scores.wanda(layer.weight, layer.seen.features))


SCORES: Mapping[str, Callable[[TrainedLayer], Vector]] = {
    "obd": _obd,
    "obs": _obs,
    "snip": _snip,
    "wanda": _wanda,
}
"""Criteria that look at data, by the name of the pruning mode."""
