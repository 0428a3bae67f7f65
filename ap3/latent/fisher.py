"""Gaussian latent laws shaped by the data: their precision is the curvature of the loss.

The curvature is the generalised Gauss–Newton matrix F of the mean softmax cross-entropy in the
last layer's weights W (C, d), with logits W x + b. For this loss it is also the Hessian in W and
the Fisher information: F = 1/N Σᵢ (diag pᵢ − pᵢ pᵢᵀ) ⊗ xᵢ xᵢᵀ. It is never formed. The bias is no
part of it, as it is no part of AP2.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import softmax

from ap3.errors import InvalidValueError
from ap3.latent.gaussian import DiagonalGaussian, GaussianLaw
from ap3.latent.spread import Spread
from ap3.latent.top_eigenvalue import top_eigenvalue
from ap3.latent.vectors import BLOCK, Vector, as_float64, positive


class SoftmaxCurvature:
    """F + λI of a linear layer with softmax cross-entropy, as products with weight differences.

    Parameters
    ----------
    features : array of shape (N, d)
        The layer's inputs; read in batches, so a memory map will do.
    logits : array of shape (N, C)
        The baseline's outputs for them. Logs of probabilities serve as well, but logits keep
        digits that probabilities near 1 have lost.
    damping
        λ > 0; by default 10⁻³ · tr F / n with n = C · d weights. Without it F has a null space.

    Raises
    ------
    UserError
        If the shapes don't fit, a value is not finite, or λ must be given because F is zero.

    Examples
    --------
    >>> curvature = SoftmaxCurvature([[2.0]], logits=[[0.0, 0.0]], damping=0.5)
    >>> curvature.trace  # two weights, each x² p (1 − p)
    2.0
    >>> curvature.quadratic(np.array([[1.0, 0.0]]))  # x² p (1 − p) + λ
    array([1.5])
    """

    def __init__(self, features: Any, logits: Any, damping: float | None = None) -> None:
        self.features = features if hasattr(features, "shape") else np.asarray(features)
        self.logits = logits if hasattr(logits, "shape") else np.asarray(logits)
        self.shape = _layer_shape(self.features, self.logits)
        self._given_damping = None if damping is None else positive(damping, "damping")

    @property
    def size(self) -> int:
        """Number of weights n = C · d."""
        return self.shape[0] * self.shape[1]

    @property
    def damping(self) -> float:
        """λ."""
        if self._given_damping is not None:
            return self._given_damping
        if self.trace <= 0:
            raise InvalidValueError(
                "the curvature is zero (no features, or predictions that are certain), so that no "
                "damping follows from it; give damping as a number."
            )
        return 1e-3 * self.trace / self.size

    @cached_property
    def trace(self) -> float:
        """Trace of F, without λ."""
        return float(self.diagonal.sum())

    @cached_property
    def diagonal(self) -> Vector:
        """Diagonal of F, without λ: shape (n,), in the order of the flattened weights."""
        total = np.zeros(self.shape)
        for x, p in self._batches(width=sum(self.shape)):
            total += (p * _complement(p)).T @ x**2
        return total.ravel() / len(self.features)

    def quadratic(self, differences: Vector) -> Vector:
        """Δᵀ(F + λI)Δ for each of many weight differences: (m, n) → (m,)."""
        total = self.damping * np.square(differences).sum(axis=1)
        for u, p in self._centred_logits(differences):
            total += (np.square(u) * p[:, np.newaxis]).sum(axis=(0, 2)) / len(self.features)
        return total

    def whiten(self, differences: Vector) -> Vector:
        """GΔ with GᵀG = F + λI: (n,) → (N · C + n,)."""
        blocks = self._centred_logits(differences[np.newaxis])
        factors = [(np.sqrt(p / len(self.features)) * u[:, 0]).ravel() for u, p in blocks]
        return np.concatenate([*factors, np.sqrt(self.damping) * differences])

    def _centred_logits(self, differences: Vector) -> Iterator[tuple[Vector, Vector]]:
        """Change of logits u = Δx less its mean under p, (batch, m, C), and p, (batch, C).

        The mean of p·u² over all examples is ΔᵀFΔ.
        """
        maps = differences.reshape(-1, self.shape[1]).T
        for x, p in self._batches(width=max(maps.shape)):
            u = (x @ maps).reshape(len(x), -1, self.shape[0])
            # F doesn't see a shift of all logits. Measured from the likeliest class, u − p·u keeps
            # its digits where that class has all but the last bits of the probability.
            u -= np.take_along_axis(u, p.argmax(axis=1)[:, np.newaxis, np.newaxis], axis=2)
            u -= np.einsum("bmc,bc->bm", u, p)[:, :, np.newaxis]
            yield u, p

    def _batches(self, width: int) -> Iterator[tuple[Vector, Vector]]:
        """Features and probabilities in batches of at most so many numbers a row."""
        step = max(1, BLOCK // width)
        for first in range(0, len(self.features), step):
            rows = slice(first, first + step)
            logits = as_float64(self.logits[rows], "logits")
            yield as_float64(self.features[rows], "features"), softmax(logits, axis=1)


class FisherGaussian(GaussianLaw):
    """N(ω, Σ) with Σ⁻¹ = c (F + λI): a latent space that measures weights by what they do.

    KL = c/2 Δᵀ(F + λI)Δ, to second order the mean KL of the network's predictions, times c.

    Parameters
    ----------
    weights
        The last layer's weights, (C, d) or flattened.
    curvature
        F + λI of that layer at the baseline.
    scale
        c > 0; `ap3.latent.auto_fisher_scale` gives one from the baseline's weights.

    Examples
    --------
    >>> curvature = SoftmaxCurvature([[2.0]], logits=[[0.0, 0.0]], damping=0.5)
    >>> law = FisherGaussian([[1.0], [0.0]], curvature, scale=2.0)
    >>> law.kl(law.at([[0.0], [0.0]]))
    1.5
    """

    def __init__(self, weights: Any, curvature: SoftmaxCurvature, scale: float) -> None:
        super().__init__(weights)
        _require_layer(self.weights, curvature)
        self.curvature = curvature
        self.scale = positive(scale, "scale")

    @property
    def shared(self) -> Mapping[str, Any]:
        """The curvature (one object) and c."""
        return {"curvature": self.curvature, "scale": self.scale}

    @property
    def spread(self) -> Spread:
        """Extreme precisions c λ and c (λ_max(F) + λ); F does not see a shift of all logits."""
        curvature = self.curvature
        largest, _ = top_eigenvalue(curvature.features, softmax(curvature.logits, axis=1))
        damping = curvature.damping
        return Spread(np.nan, self.scale * damping, self.scale * (largest + damping))

    def whiten(self, differences: Vector) -> Vector:
        """√c GΔ with GᵀG = F + λI: (n,) → (N · C + n,)."""
        return np.sqrt(self.scale) * self.curvature.whiten(differences)

    def _kl_to(self, rows: Vector) -> Vector:
        return 0.5 * self.scale * self.curvature.quadratic(rows - self.weights)


class DiagonalFisherGaussian(DiagonalGaussian):
    """N(ω, Σ) with Σ⁻¹ = c (diag F + λI): the Fisher law with no ties between weights.

    Parameters
    ----------
    weights, curvature, scale
        As `FisherGaussian` takes them.

    Examples
    --------
    >>> curvature = SoftmaxCurvature([[2.0]], logits=[[0.0, 0.0]], damping=1.0)
    >>> DiagonalFisherGaussian([[1.0], [0.0]], curvature, scale=2.0).variances
    array([0.25, 0.25])
    """

    def __init__(self, weights: Any, curvature: SoftmaxCurvature, scale: float) -> None:
        precisions = positive(scale, "scale") * (curvature.diagonal + curvature.damping)
        super().__init__(weights, 1 / precisions)
        self.scale, self.damping = float(scale), curvature.damping


def _layer_shape(features: Any, logits: Any) -> tuple[int, int]:
    """(C, d) of the layer between them."""
    if len(features.shape) != 2 or len(logits.shape) != 2 or features.shape[0] != logits.shape[0]:
        raise InvalidValueError(
            "features (N, d) and logits (N, C) must be tables with one row per example, but have "
            f"shapes {tuple(features.shape)} and {tuple(logits.shape)}."
        )
    if 0 in (*features.shape, *logits.shape):
        raise InvalidValueError(
            "features and logits must hold at least one example, but are empty."
        )
    return int(logits.shape[1]), int(features.shape[1])


def _require_layer(weights: Vector, curvature: SoftmaxCurvature) -> None:
    if weights.size != curvature.size:
        raise InvalidValueError(
            f"the curvature is that of {curvature.size} weights, shape {curvature.shape}, but the "
            f"layer has {weights.size}; take the features that feed this layer."
        )


def _complement(p: Vector) -> Vector:
    """1 − p per class, where p is nearly 1 from the other classes: (batch, C) → (batch, C)."""
    top = p.argmax(axis=1)[:, np.newaxis]
    others = p.copy()
    np.put_along_axis(others, top, 0.0, axis=1)
    complement = 1 - p
    np.put_along_axis(complement, top, others.sum(axis=1, keepdims=True), axis=1)
    return complement
