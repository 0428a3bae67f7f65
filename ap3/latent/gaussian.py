"""Gaussian latent laws with a diagonal covariance (Sec. 2, Eq. 3)."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import hyp2f1

from ap3.errors import InvalidValueError
from ap3.latent.law import Law
from ap3.latent.monte_carlo import Estimate, gaussian_kl_monte_carlo
from ap3.latent.spread import Spread
from ap3.latent.vectors import Vector, as_vector, positive, positive_vector


class GaussianLaw(Law):
    """N(ω, Σ) with a Σ that is shared: KL = ½ ΔᵀΣ⁻¹Δ, where Eq. 3's constant vanishes."""

    @abstractmethod
    def whiten(self, differences: Vector) -> Vector:
        """GΔ for some G with GᵀG = Σ⁻¹, so that |GΔ|² = ΔᵀΣ⁻¹Δ: (…, n) → (…, m)."""

    def kl_monte_carlo(self, other: Any, n: int, generator: np.random.Generator) -> Estimate:
        """Estimate KL(self ‖ other) in nats from `n` points drawn from this law."""
        self._require_same(other)
        return gaussian_kl_monte_carlo(self.whiten(other.weights - self.weights), 1.0, n, generator)

    def _kl_to(self, rows: Vector) -> Vector:
        return 0.5 * np.square(self.whiten(rows - self.weights)).sum(axis=-1)


class DiagonalGaussian(GaussianLaw):
    """N(ω, diag(variances)); two of them may have different variances.

    Then KL(P ‖ P̃) = ½ (log |Σ̃|/|Σ| + tr Σ̃⁻¹Σ + ΔᵀΣ̃⁻¹Δ − n). Eq. 3 as printed has Σ and Σ̃ the
    other way round, which is KL(P̃ ‖ P); for a shared Σ there is no difference.

    Parameters
    ----------
    weights
        Numbers of any shape, n in all.
    variances
        n positive numbers, of any shape, in the same order.

    Examples
    --------
    >>> law = DiagonalGaussian([1.0, 2.0], variances=[0.5, 2.0])
    >>> law.kl(law.at([0.0, 0.0]))
    2.0
    """

    def __init__(self, weights: Any, variances: Any) -> None:
        super().__init__(weights)
        self.variances: Vector = positive_vector(variances, self.weights.size, "variances")

    @property
    def shared(self) -> Mapping[str, Any]:
        """The variances."""
        return {"variances": self.variances}

    @property
    def spread(self) -> Spread:
        """Trace and extreme precisions of the variances."""
        variances = self.variances
        return Spread(
            float(variances.sum()), 1 / float(variances.max()), 1 / float(variances.min())
        )

    def whiten(self, differences: Vector) -> Vector:
        """Δ / σ, weight by weight."""
        return differences / np.sqrt(self.variances)

    def kl(self, other: Law) -> float:
        """KL(self ‖ other) in nats, exact; the variances may differ.

        Raises
        ------
        UserError
            If `other` has no diagonal covariance or another number of weights.
        """
        other = self._require_diagonal(other)
        from_means = other._kl_to(self.weights[np.newaxis])[0]
        return float(from_means + 0.5 * _variance_term(self.variances, other.variances).sum())

    def kl_monte_carlo(self, other: Any, n: int, generator: np.random.Generator) -> Estimate:
        """Estimate KL(self ‖ other) in nats from `n` points drawn from this law."""
        other = self._require_diagonal(other)
        stretch = np.sqrt(self.variances / other.variances)
        return gaussian_kl_monte_carlo(
            other.whiten(other.weights - self.weights), stretch, n, generator
        )

    def _kl_to(self, rows: Vector) -> Vector:
        # Not through `whiten`, whose square root would cost the last bit.
        return 0.5 * (np.square(rows - self.weights) / self.variances).sum(axis=-1)

    def _require_diagonal(self, other: Law) -> "DiagonalGaussian":
        if not isinstance(other, DiagonalGaussian):
            raise InvalidValueError(
                f"a Gaussian with diagonal covariance is compared with another such, but this is a "
                f"{type(other).__name__}; build the second law with law.at(weights)."
            )
        as_vector(other.weights, self.weights.size)
        return other


class IsotropicGaussian(DiagonalGaussian):
    """N(ω, σ²I): AP3 is AP2 / (2σ²).

    Parameters
    ----------
    weights
        Numbers of any shape.
    variance
        σ² > 0; `ap3.latent.auto_variance` gives one from a baseline's weights.

    Examples
    --------
    >>> law = IsotropicGaussian([[3.0, 0.0], [0.0, 4.0]], variance=0.5)
    >>> law.kl(law.at([[0.0, 0.0], [0.0, 0.0]]))
    25.0
    """

    def __init__(self, weights: Any, variance: float) -> None:
        Law.__init__(self, weights)
        self.variance = positive(variance, "variance")
        # A view of one number, so that no layer-sized copy of it exists.
        self.variances = np.broadcast_to(self.variance, self.weights.shape)

    def whiten(self, differences: Vector) -> Vector:
        """Δ / σ."""
        return differences / np.sqrt(self.variance)


def _variance_term(variances: Vector, others: Vector) -> Vector:
    """Twice the KL due to each pair of variances, r − 1 − log r with r = σ²/σ̃².

    Near r = 1 it cancels; there it is x²/2 · ₂F₁(1, 2; 3; −x) with x = r − 1.
    """
    ratio, x = variances / others, (variances - others) / others
    near = np.clip(x, -0.5, 0.5)
    return np.where(x == near, 0.5 * near**2 * hyp2f1(1, 2, 3, -near), x - np.log(ratio))
