"""The loss of a network as a function of its last layer alone, the layers below it frozen.

L(W, b) is the mean cross-entropy of softmax(W x + b) over the features x of a split. It is convex.
Slope and curvature are taken in W only, as AP2 is, and nothing of the size of W times W is formed.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from ap3.errors import InvalidValueError
from ap3.latent.top_eigenvalue import largest_eigenvalue, top_eigenvalue
from ap3.latent.vectors import Vector, as_float64, slices


class HeadLoss:
    """Mean cross-entropy of one split, given the last layer's weights (C, d) and bias (C,).

    Parameters
    ----------
    features : array of shape (N, d)
        What the last layer sees; read in blocks, so half types and memory maps will do.
    labels : array of shape (N,)
        Whole numbers from 0 to C − 1.

    Raises
    ------
    UserError
        If they don't hold one row and one label per example.

    Examples
    --------
    >>> loss = HeadLoss([[2.0]], [0])
    >>> value, gradient = loss.value_and_gradient(np.zeros((2, 1)), np.zeros(2))
    >>> round(float(value), 6)  # log 2
    0.693147
    >>> gradient  # (p − y) x
    array([[-1.],
           [ 1.]])
    >>> loss.curvature_bound  # ½ x²; the largest eigenvalue is ½ x² too where p = ½
    2.0
    """

    def __init__(self, features: Any, labels: Any) -> None:
        self.features, self.labels = np.asarray(features), np.asarray(labels)
        if self.features.ndim != 2 or self.labels.shape != self.features.shape[:1]:
            raise InvalidValueError(
                "features (N, d) and labels (N,) must hold one row and one label per example, but "
                f"have shapes {self.features.shape} and {self.labels.shape}."
            )

    def value_and_gradient(self, weight: Any, bias: Any) -> tuple[float, Vector]:
        """L(W, b) in nats, and ∂L/∂W = 1/N Σᵢ (pᵢ − yᵢ) xᵢᵀ, (C, d)."""
        value, gradient = self.value_and_full_gradient(weight, bias)
        return value, gradient[:, :-1]

    def value_and_full_gradient(self, weight: Any, bias: Any) -> tuple[float, Vector]:
        """L(W, b) in nats, and its gradient with ∂L/∂b = 1/N Σᵢ (pᵢ − yᵢ) as last column, (C, d + 1)."""
        value, gradient = 0.0, np.zeros((len(bias), np.shape(weight)[1] + 1))
        for rows, x in self._blocks(len(bias)):
            log_p = log_softmax(_logits(x, weight, bias), axis=1)
            answers = np.arange(len(x)), self.labels[rows]
            value -= log_p[answers].sum()
            residual = np.exp(log_p)
            residual[answers] -= 1
            gradient[:, :-1] += residual.T @ x
            gradient[:, -1] += residual.sum(axis=0)
        return value / len(self.labels), gradient / len(self.labels)

    def top_eigenvalue(
        self, weight: Any, bias: Any, start: Vector | None = None
    ) -> tuple[float, Vector]:
        """Return λ_max of ∂²L/∂W² and its eigenvector, as `top_eigenvalue` does."""
        blocks = self._blocks(len(bias))
        p = [softmax(_logits(x, weight, bias), axis=1) for _, x in blocks]
        return top_eigenvalue(self.features, np.concatenate(p), start)

    @cached_property
    def curvature_bound(self) -> float:
        """Λ = ½ λ_max(E[x xᵀ]), above every eigenvalue of ∂²L/∂W² at every W and b.

        For any p, diag p − ppᵀ has diagonal pⱼ(1 − pⱼ) and off-diagonal sums of the same size, so
        that Gershgorin's discs end at 2pⱼ(1 − pⱼ) ≤ ½. Hence ∂²L/∂W² ⪯ ½ I ⊗ E[x xᵀ] (Böhning's
        bound of 1992).
        """
        moment: Any = sum(x.T @ x for _, x in self._blocks(0)) / len(self.labels)
        return 0.5 * largest_eigenvalue(moment.__matmul__, len(moment))[0]

    def _blocks(self, classes: int) -> Iterator[tuple[slice, Vector]]:
        for rows in slices(len(self.labels), self.features.shape[1] + classes):
            yield rows, as_float64(self.features[rows], "features")


def _logits(x: Vector, weight: Any, bias: Any) -> Vector:
    return x @ as_float64(weight).T + as_float64(bias, "the bias")
