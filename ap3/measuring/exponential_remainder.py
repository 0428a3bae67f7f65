"""What is left of the exponential after its first two terms, to full precision anywhere.

φ(v) = eᵛ − 1 − v ≥ 0 and ψ(v) = φ(v)/v² = ∫₀¹ (1 − t) eᵗᵛ dt, which is positive, increases in v and
is ½ at zero. Written down as they stand they lose every digit near zero and overflow at 710; so
the logarithms are offered too, which take twice as long.
"""

from math import factorial
from typing import Any

import numpy as np

from ap3.latent.vectors import Vector

# ψ(v) = Σ vᵏ/(k + 2)!; of |v| ≤ 1 the terms left out are below 2⁻⁵³ of the sum.
_SERIES = [1 / factorial(k + 2) for k in range(18)][::-1]


def psi(v: Any) -> Vector:
    """ψ(v) = (eᵛ − 1 − v)/v², ½ at zero, infinite where it exceeds what float64 can hold.

    Parameters
    ----------
    v : array of any shape

    Examples
    --------
    >>> psi([0.0, 1e-9, 1.0, -1e4]).round(8)
    array([5.0000000e-01, 5.0000000e-01, 7.1828183e-01, 9.9990000e-05])
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(log_psi(v)))


def log_psi(v: Any) -> Vector:
    """Log ψ(v): finite for every finite v.

    Parameters
    ----------
    v : array of any shape

    Examples
    --------
    >>> log_psi([0.0, 1e4]).round(6)
    array([-6.93147000e-01,  9.98157932e+03])
    """
    v = np.asarray(v, dtype=float)
    # Most changes of logits are small, and each way is taken for those that need it alone.
    found = np.full(v.shape, np.nan)
    for where, way in ((np.abs(v) <= 1, _near), (v > 1, _above), (v < -1, _below)):
        if where.all():
            return way(v)
        found[where] = way(v[where])
    return found


def _near(v: Vector) -> Vector:
    return np.log(_series(v))


def _series(v: Vector) -> Vector:
    """ψ(v) of |v| ≤ 1, by Horner's scheme in place: as `np.polyval`, in two thirds of the time."""
    found = np.full(v.shape, _SERIES[0])
    for coefficient in _SERIES[1:]:
        found *= v
        found += coefficient
    return found


def _above(v: Vector) -> Vector:
    return v + np.log1p(-(1 + v) * np.exp(-v)) - 2 * np.log(v)


def _below(v: Vector) -> Vector:
    return np.log(np.exp(v) - 1 - v) - 2 * np.log(-v)


def remainder(v: Any) -> Vector:
    """φ(v) = eᵛ − 1 − v, to nearly all digits of any size; infinite from 710 on.

    Parameters
    ----------
    v : array of any shape

    Examples
    --------
    >>> remainder([0.0, 1.0, 1e-8])
    array([0.00000000e+00, 7.18281828e-01, 5.00000002e-17])
    """
    v = np.asarray(v, dtype=float)
    # The series of all is summed even where it will not do: to pick out some takes longer.
    with np.errstate(over="ignore"):
        near = np.square(v) * _series(v)
        small = np.abs(v) <= 1
        return np.asarray(near if small.all() else np.where(small, near, np.expm1(v) - v))


def log_remainder(v: Any) -> Vector:
    """Log φ(v) = log(eᵛ − 1 − v); −∞ at zero.

    Parameters
    ----------
    v : array of any shape

    Examples
    --------
    >>> log_remainder([0.0, 1.0, 1e-8]).round(6)
    array([       -inf,  -0.330893, -37.534509])
    """
    with np.errstate(divide="ignore"):
        return log_psi(v) + 2 * np.log(np.abs(np.asarray(v, dtype=float)))
