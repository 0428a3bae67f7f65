"""How two quantities order the same things: pairs counted, ranks correlated.

Functions of arrays whose last axis is that of the variants, or of their pairs.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ap3.latent.vectors import Vector


def pairs(modes: NDArray[Any], ratios: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Pairs of variants that are compared, (pairs, 2): `modes` at one ratio, `ratios`, and `all`.

    Examples
    --------
    >>> found = pairs(np.array(["lowest", "random", "random"]), np.array([0.1, 0.1, 0.5]))
    >>> found["modes"].tolist(), found["ratios"].tolist(), len(found["all"])
    ([[0, 1]], [[1, 2]], 3)
    """
    every = np.array(list(combinations(range(len(modes)), 2)), dtype=np.int64).reshape(-1, 2)
    first, second = every.T
    return {
        "modes": every[ratios[first] == ratios[second]],
        "ratios": every[modes[first] == modes[second]],
        "all": every,
    }


def order(values: Vector, compared: NDArray[np.int64], error: Vector | float = 0.0) -> Vector:
    """Say of each pair which value is larger: −1, 0 or 1, (…, V) → (…, pairs).

    Values of a pair no further apart than the `error` of their difference, (…, pairs), are a tie.

    Examples
    --------
    >>> two = np.array([[0, 1], [1, 2]])
    >>> order(np.array([3.0, 1.0, 0.5]), two, error=np.array([0.6, 0.8]))
    array([1., 0.])
    """
    first, second = compared.T
    gap = values[..., first] - values[..., second]
    return np.sign(gap) * (np.abs(gap) > error)


def concordance(measure: Vector, difference: Vector) -> dict[str, Vector]:
    """Compare how a measure and how the PD order the same pairs, as `order` gives them.

    Let net be the concordant pairs less the discordant ones. Of the pairs that the PD decides,
    `agreement` is the share in which the smaller measure has the smaller PD, a tie of the measure
    counted half: ½ + net/(2 decided). Chance is one half. Kendall's `tau_b` is net over the
    geometric mean of the pairs that either decides.

    Parameters
    ----------
    measure, difference : array of shape (…, pairs)

    Returns
    -------
    dict of arrays of shape (…,)
        `decided`, `agreement` and `tau_b`, NaN where nothing is decided.

    Examples
    --------
    >>> counted = concordance(np.array([-1.0, -1.0, 0.0]), np.array([-1.0, 1.0, 1.0]))
    >>> float(counted["agreement"]), float(counted["tau_b"])
    (0.5, 0.0)
    """
    net = np.einsum("...p,...p->...", measure, difference)
    decided, ordered = np.abs(difference).sum(-1), np.abs(measure).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, tau = net / decided, net / np.sqrt(decided * ordered)
    return {"decided": decided, "agreement": 0.5 + 0.5 * share, "tau_b": tau}


def centred_ranks(values: Vector) -> Vector:
    """Ranks over the last axis less their mean, equal values given their mean rank.

    Examples
    --------
    >>> centred_ranks(np.array([0.5, 7.0, 7.0]))
    array([-1. ,  0.5,  0.5])
    """
    ranks = rankdata(values, axis=-1)
    return np.asarray(ranks - ranks.mean(-1, keepdims=True))


def spearman(one: Vector, two: Vector) -> Vector:
    """Spearman's ρ over the last axis of two quantities' `centred_ranks`; NaN for a constant.

    Examples
    --------
    >>> one, two = (centred_ranks(np.array(x)) for x in ([1.0, 2.0, 3.0], [0.0, 5.0, 9.0]))
    >>> spearman(one, two).round(12)
    np.float64(1.0)
    """
    with np.errstate(invalid="ignore"):
        return (one * two).sum(-1) / np.sqrt((one * one).sum(-1) * (two * two).sum(-1))
