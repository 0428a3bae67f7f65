"""The Gaussian latent law with a non-diagonal covariance, Σ = β V Λ Vᵀ (Sec. 2)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.gaussian import GaussianLaw
from ap3.latent.rotation import Rotation
from ap3.latent.spread import Spread
from ap3.latent.vectors import Vector, positive, positive_vector


def default_spectrum(n: int) -> Vector:
    """Eigenvalues Λ from small to large over two decades, evenly in the logarithm.

    The paper wants Λ positive and says no more. A constant one would make Σ diagonal again. This
    one is scaled to have mean(1/Λ) = 1, so that ΔᵀΣ⁻¹Δ, averaged over random V, is ‖Δ‖²/β: β
    stands where σ² stands in the isotropic law.

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> spectrum = default_spectrum(5)
    >>> np.allclose([spectrum[-1] / spectrum[0], np.mean(1 / spectrum)], [100, 1])
    True
    """
    spectrum = np.logspace(-1, 1, n) if n > 1 else np.ones(n)
    spectrum *= np.mean(1 / spectrum)
    return spectrum


class SpectralGaussian(GaussianLaw):
    """N(ω, β V Λ Vᵀ).

    For a V that knows nothing of the network, AP3 comes close to ‖Δ‖²/(2β) as n grows (relative
    spread near √(2/n)), so that this law orders pruned networks as AP2 does, but for that noise.

    Parameters
    ----------
    weights
        Numbers of any shape, n in all.
    rotation
        V: a `DenseRotation` or a `FastRotation` of order n.
    spectrum
        Λ: n positive numbers; see `default_spectrum`.
    scale
        β > 0; `ap3.latent.auto_scale` gives one from a baseline's weights.

    Examples
    --------
    >>> from ap3.latent import FastRotation
    >>> law = SpectralGaussian([3.0, 4.0], FastRotation(2, seed=0), spectrum=[2.0, 2.0], scale=0.5)
    >>> round(law.kl(law.at([0.0, 0.0])), 12)
    12.5
    """

    def __init__(self, weights: Any, rotation: Rotation, spectrum: Any, scale: float) -> None:
        super().__init__(weights)
        if rotation.n != self.weights.size:
            raise InvalidValueError(
                f"the rotation must have the order of the layer, {self.weights.size} weights, "
                f"but has {rotation.n}; draw one for this layer."
            )
        self.rotation = rotation
        self.spectrum: Vector = positive_vector(spectrum, rotation.n, "spectrum")
        self.scale = positive(scale, "scale")

    @property
    def shared(self) -> Mapping[str, Any]:
        """V, Λ and β."""
        return {"rotation": self.rotation, "spectrum": self.spectrum, "scale": self.scale}

    @property
    def spread(self) -> Spread:
        """Trace and extreme precisions of βΛ."""
        variances = self.scale * self.spectrum
        return Spread(
            float(variances.sum()), 1 / float(variances.max()), 1 / float(variances.min())
        )

    def whiten(self, differences: Vector) -> Vector:
        """(βΛ)^(−½) VᵀΔ."""
        return self.rotation.apply(differences) / np.sqrt(self.scale * self.spectrum)

    def _kl_to(self, rows: Vector) -> Vector:
        # In place and without the root of `whiten`: a large layer is held as few times as can be.
        turned = self.rotation.apply(rows - self.weights, overwrite_x=True)
        np.square(turned, out=turned)
        turned /= self.spectrum
        return np.asarray(turned.sum(axis=-1) / (2 * self.scale))
