"""How wide a latent law is: what the bounds of Secs. 2 and 3 ask of its covariance."""

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True)
class Spread:
    """What the bounds ask of a latent law's covariance Σ, which both laws of a pair share.

    Attributes
    ----------
    trace
        tr Σ; NaN where it would take the whole spectrum, and where the law has no covariance.
    precision_min, precision_max
        Extreme eigenvalues of Σ⁻¹; NaN where they are not known.
    gaussian
        Whether ε = ½ ΔᵀΣ⁻¹Δ, as Corollary 3.2 and Eqs. 4 and 5 suppose.
    sees_every_weight
        Whether the location is the weights. The mean of a grouped law is not, so that bounds on
        the difference of the means say nothing of ‖Δ‖.
    """

    trace: float = nan
    precision_min: float = nan
    precision_max: float = nan
    gaussian: bool = True
    sees_every_weight: bool = True


UNKNOWN = Spread(gaussian=False, sees_every_weight=False)
"""Of a law that tells nothing of its covariance: the bounds that ask for it are left out."""
