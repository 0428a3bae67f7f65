"""The scales of the latent laws from a baseline's weights alone.

Each Gaussian one makes the KL of pruning everything 1.9, below the 2 up to which Lemma 3.1 speaks;
the Student-t shares that Gaussian's covariance. As no pruned network has a say, no variant's AP3
depends on which others a study holds. Give the baseline's weights, never a variant's.
"""

from typing import Any, Literal

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.calibration import FULL_PRUNING_KL
from ap3.latent.fisher import DiagonalFisherGaussian, FisherGaussian, SoftmaxCurvature
from ap3.latent.gaussian import IsotropicGaussian
from ap3.latent.grouping import group_means
from ap3.latent.law import Law
from ap3.latent.rotation import Rotation
from ap3.latent.spectral import SpectralGaussian
from ap3.latent.student_t import shared_scale
from ap3.latent.vectors import as_vector


def auto_variance(weights: Any) -> float:
    """σ² = ‖ω‖²/3.8 of the isotropic Gaussian.

    Raises
    ------
    UserError
        If all weights are zero; so for every function here.

    Examples
    --------
    >>> round(auto_variance([3.8, 0.0]), 12)
    3.8
    """
    return _kl_of_pruning_all(IsotropicGaussian(weights, 1.0)) / FULL_PRUNING_KL


def auto_scale(weights: Any, rotation: Rotation, spectrum: Any) -> float:
    """β = ωᵀVΛ⁻¹Vᵀω/3.8 of the Gaussian with Σ = β V Λ Vᵀ.

    Parameters
    ----------
    weights
        The baseline's, n in all.
    rotation
        V, of order n.
    spectrum
        Λ: n positive numbers.

    Examples
    --------
    >>> from ap3.latent import FastRotation
    >>> round(auto_scale([3.8, 0.0], FastRotation(2, seed=0), [0.5, 0.5]), 12)
    7.6
    """
    return _kl_of_pruning_all(SpectralGaussian(weights, rotation, spectrum, 1.0)) / FULL_PRUNING_KL


def auto_student_t_scale(
    weights: Any,
    df: float = 4.0,
    groups: int | None = 100,
    share: Literal["scale", "covariance"] = "covariance",
) -> float:
    """Scale of the Student-t with the covariance (or scale matrix) of the calibrated Gaussian.

    Sec. 5.4 compares AP2 with AP3 under one covariance. The Gaussian meant is the one at the
    law's own location: σ² = ‖ω̄‖²/3.8 with the group means ω̄, or with the weights where there are
    no groups. Group means are far smaller than weights; under the weights' own σ² every KL would
    be next to nothing. Pruning everything then has a KL of more than 1.9: 3.55 with 4 degrees of
    freedom in 100 groups, since the scale matrix is half the covariance.

    Parameters
    ----------
    weights
        The baseline's.
    df
        Degrees of freedom ν.
    groups
        Number of group means; None for the weights themselves.
    share
        Whether the Student-t has the Gaussian's covariance, or its scale matrix.

    Examples
    --------
    >>> round(auto_student_t_scale([7.6, 0.0], df=4, groups=None, share="scale") ** 2, 12)
    15.2
    >>> from ap3.latent import StudentT
    >>> law = StudentT(np.ones(500), scale=auto_student_t_scale(np.ones(500)))
    >>> round(law.kl(law.at(np.zeros(500))), 2)
    3.55
    """
    vector = as_vector(weights)
    location = vector if groups is None else group_means(vector, groups)
    return shared_scale(auto_variance(location), df, share)


def auto_fisher_scale(
    weights: Any,
    curvature: SoftmaxCurvature,
    law: type[FisherGaussian] | type[DiagonalFisherGaussian] = FisherGaussian,
) -> float:
    """Factor c = 3.8 / ωᵀ(F + λI)ω of the Fisher law, or of its diagonal one.

    Parameters
    ----------
    weights
        The baseline's last layer, (C, d).
    curvature
        F + λI of that layer.
    law
        `FisherGaussian`, or `DiagonalFisherGaussian`.

    Examples
    --------
    >>> curvature = SoftmaxCurvature([[2.0]], logits=[[0.0, 0.0]], damping=0.9)
    >>> round(auto_fisher_scale([[1.0], [0.0]], curvature), 12)
    2.0
    """
    return FULL_PRUNING_KL / _kl_of_pruning_all(law(weights, curvature, 1.0))


def _kl_of_pruning_all(law: Law) -> float:
    kl = float(law.kl_many(np.broadcast_to(0.0, (1, law.weights.size)))[0])
    if kl <= 0:
        raise InvalidValueError(
            "a scale can't be had from a baseline whose location is all zero; "
            "give the scale as a number, or check the checkpoint."
        )
    return kl
