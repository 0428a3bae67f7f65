"""What a few trials say of a mean: Student's intervals and tests, and Holm's correction for many.

With ten trials a percentile bootstrap of the mean is a fifth too narrow, because the spread of ten
numbers is used as if it were known; Student's t has the right width for normal values, and nearly
so for others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from ap3.latent.vectors import Vector


@dataclass(frozen=True, eq=False)
class TrialMean:
    """Means over trials.

    Attributes
    ----------
    n
        Trials that have a value.
    mean
        NaN where none has.
    low, high
        Ends of the interval; NaN with fewer than two trials.
    p_value
        Two-sided, of the mean being `null`; NaN with fewer than two trials, and where they do not
        vary: a few trials that agree say nothing of how far others would be off.
    """

    n: Vector
    mean: Vector
    low: Vector
    high: Vector
    p_value: Vector


def t_interval(values: Any, axis: int = 0, level: float = 0.95, null: float = 0.0) -> TrialMean:
    """Mean over trials with Student's interval, mean ± t_{n−1} s/√n, and its test.

    Parameters
    ----------
    values : array
        NaN where a trial has no value.
    axis
        That of the trials.
    level
        Of the interval.
    null
        What the mean is tested against.

    Returns
    -------
    TrialMean
        Of arrays without `axis`.

    Examples
    --------
    >>> found = t_interval([1.0, 2.0, 3.0, np.nan])
    >>> int(found.n), float(found.mean), float(found.low.round(4)), float(found.high.round(4))
    (3, 2.0, -0.4841, 4.4841)
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    n = known.sum(axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=axis) / n
        off = np.where(known, values - np.expand_dims(mean, axis), 0.0)
        # Rounding must not make a spread of values that are all the same.
        off = np.where(np.abs(off) > 1e-14 * np.abs(np.expand_dims(mean, axis)), off, 0.0)
        error = np.sqrt(np.square(off).sum(axis=axis) / (n - 1) / n)
        error = np.where(n > 1, error, np.nan)
        half = student.ppf(0.5 + level / 2, n - 1) * error
        gap = mean - null
        p_value = np.where(error > 0, 2 * student.sf(np.abs(gap) / error, n - 1), np.nan)
    return TrialMean(n, mean, mean - half, mean + half, p_value)


def half_width(n: Any, spread: Any, level: float = 0.05) -> Vector:
    """Half the width of Student's interval of a mean, t_{n−1} s/√n.

    Parameters
    ----------
    n : array
        Trials.
    spread : array
        Their sample standard deviation s.
    level
        The interval is of 1 − level.

    Returns
    -------
    array
        NaN with fewer than two trials.

    Examples
    --------
    >>> half_width(np.array([3, 1]), np.array([1.0, np.nan])).round(4)
    array([2.4841,    nan])
    """
    n, spread = np.asarray(n), np.asarray(spread, dtype=float)
    degrees = np.where(n > 1, n - 1.0, np.nan)
    return np.asarray(student.ppf(1 - level / 2, degrees) * spread / np.sqrt(degrees + 1))


def holm(p_values: Any) -> Vector:
    """Adjust p-values so that the chance of any false one among them stays at the level (Holm 1979).

    The i-th smallest of m becomes max over j ≤ i of (m − j + 1) p_j, at most 1; no independence is
    asked for.

    Parameters
    ----------
    p_values : array of any shape
        One family of tests. NaN, no test, stays NaN and is not counted.

    Returns
    -------
    array of the same shape
        To be compared with the level, such as 0.05.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, np.nan])
    array([0.03, 0.06, 0.06,  nan])
    """
    p_values = np.asarray(p_values, dtype=float)
    adjusted = np.full(p_values.shape, np.nan)
    known = np.isfinite(p_values)
    values = p_values[known]
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    back = np.empty_like(raised)
    back[order] = np.minimum(raised, 1.0)
    adjusted[known] = back
    return adjusted
