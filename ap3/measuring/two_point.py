"""Corollary 2.6 in its sharp form: how small the KL of two laws with given means can be.

Let two laws have means a apart along some direction, and variance s² along it, both. Then

    KL ≥ 2x artanh x,   x = a/√(a² + 4s²)                      (Nishiyama and Sason 2020)

and two laws on the same two points reach it. With x = tanh θ, that is sinh θ = a/(2s), it reads
KL ≥ 2θ tanh θ, which has no cancellation at either end.

Derivation. Let P, Q have the means 0 and a, and R_λ = (1 − λ)P + λQ. Then d/dλ KL(P ‖ R_λ)
= χ²(P ‖ R_λ)/λ, and by Cauchy's inequality χ²(P ‖ R_λ) is at least the squared difference of the
means over the variance of R_λ, λ²a²/(s² + λ(1 − λ)a²). So KL ≥ ∫₀¹ λa²/(s² + λ(1 − λ)a²) dλ, where ½
may stand for λ in the numerator by symmetry; with λ = ½ + τ/2 it is ∫₋₁¹ dτ/(x⁻² − τ²) = 2x artanh x.
In many dimensions project both laws on Δ, which makes no KL larger: a = ‖Δ‖, and s² ≤ λ_max(Σ).

Beside Corollary 2.6 there is no factor n, as no trace enters, and no condition ε < 2. Where
the two laws' variances along Δ differ, s² is the larger one, and the bound is no longer reached.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import Vector

_STEPS = 60


def two_point_kl(distance2: Any, variance: Any) -> Vector:
    """Least KL of two laws whose means are √`distance2` apart: 2θ tanh θ, sinh θ = a/(2s).

    Parameters
    ----------
    distance2 : array
        a², squared distance of the means.
    variance : array
        s² > 0, variance of both laws along the line through the means, or anything above it, such
        as λ_max(Σ). In the unit of `distance2`.

    Returns
    -------
    array, in nats

    Examples
    --------
    >>> two_point_kl([2.0, 1e300], 1.0).round(6)
    array([  0.760346, 690.775528])
    """
    distance2, variance = (np.asarray(values, dtype=float) for values in (distance2, variance))
    theta = np.arcsinh(0.5 * np.sqrt(distance2) / np.sqrt(variance))
    return np.asarray(2 * theta * np.tanh(theta))


def two_point_distance2(kl: Any, variance: Any) -> Vector:
    """Above ‖Δ‖² of any two laws with KL ≤ `kl`: 4 s² sinh² θ, where 2θ tanh θ = `kl`.

    In the words of x = tanh θ it is 4 s² x²/(1 − x²). For small ε it is 2 s² ε, which two Gaussians
    reach; for large ε it grows like s² eᵋ, as two laws on two points do.

    Parameters
    ----------
    kl : array
        ε ≥ 0, in nats; any size.
    variance : array
        s², or λ_max(Σ) of the covariance that both laws share.

    Returns
    -------
    array, in the unit of `variance`
        Infinite where float64 cannot hold it, from ε near 700 on.

    Examples
    --------
    >>> two_point_distance2(two_point_kl(3.0, 0.5), 0.5).round(12)
    np.float64(3.0)
    >>> two_point_distance2([1e-200, 5.0, 1e5], 1.0)
    array([2.00000000e-200, 1.56169629e+002,             inf])
    """
    variance = np.asarray(variance, dtype=float)
    with np.errstate(over="ignore"):
        return np.asarray(4 * variance * np.square(np.sinh(_theta(0.5 * np.asarray(kl, float)))))


def _theta(half: Vector) -> Vector:
    """Solve θ tanh θ = `half` for θ ≥ 0 by Newton's method between two bounds.

    θ tanh θ is at most θ² and at most θ, and at least θ²/(1 + θ), which gives the bounds.
    """
    low = np.maximum(np.sqrt(half), half)
    high = 0.5 * half + np.sqrt(half) * np.sqrt(0.25 * half + 1)
    theta = low
    for _ in range(_STEPS):
        tanh = np.tanh(theta)
        slope = tanh + theta * (1 - tanh) * (1 + tanh)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(slope > 0, (half - theta * tanh) / slope, 0.0)
        moved = np.clip(theta + step, low, high)
        if np.array_equal(moved, theta):
            break
        theta = moved
    return theta
