"""Kendall's τ with all but one of the settings held: how a measure explains each setting's effect.

A measure that only knows the ratio has a large τ over all variants. The granulated coefficient
(Jiang et al. 2020, "Fantastic Generalization Measures and Where to Find Them") asks for τ among the
variants that differ in one setting alone, and averages: first over what the others are held at,
then over the settings, so that each setting counts the same.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.latent.vectors import Vector


def granulated_kendall(
    measure: Vector,
    difference: Vector,
    compared: NDArray[np.int64],
    settings: Mapping[str, NDArray[Any]],
) -> dict[str, Vector]:
    """Take τ over the pairs that differ in one setting alone, for each setting, and their mean.

    τ here is the concordant pairs less the discordant ones over all pairs; a pair that either does
    not decide counts as neither.

    Parameters
    ----------
    measure, difference : array of shape (…, pairs)
        −1, 0 or 1: how each orders the pairs, as `rank_counts.order` gives it.
    compared : array of shape (pairs, 2)
        The pairs of variants, such as `rank_counts.pairs(…)["all"]`.
    settings
        Values of each setting by its name, (V,) each, such as modes and ratios.

    Returns
    -------
    dict of arrays of shape (…,)
        By setting, and `mean`. NaN for a setting in which no two variants differ alone; `mean` is
        that of the others.

    Examples
    --------
    >>> compared = np.array([[0, 1], [0, 2], [1, 2]])
    >>> settings = {"mode": np.array(["a", "a", "b"]), "ratio": np.array([0.1, 0.5, 0.5])}
    >>> found = granulated_kendall(np.array([1, 1, 1]), np.array([1, -1, -1]), compared, settings)
    >>> {name: float(tau) for name, tau in found.items()}
    {'mode': -1.0, 'ratio': 1.0, 'mean': 0.0}
    """
    agree = np.asarray(measure, dtype=float) * difference
    found = {}
    for name in settings:
        others = [values for other, values in settings.items() if other != name]
        found[name] = _mean_over_groups(agree, compared, settings[name], others)
    every = np.stack(list(found.values()))
    known = np.isfinite(every)
    with np.errstate(invalid="ignore"):
        found["mean"] = np.where(known, every, 0.0).sum(axis=0) / known.sum(axis=0)
    return found


def _mean_over_groups(
    agree: Vector,
    compared: NDArray[np.int64],
    varied: NDArray[Any],
    held: list[NDArray[Any]],
) -> Vector:
    first, second = compared.T
    alone = varied[first] != varied[second]
    for values in held:
        alone &= values[first] == values[second]
    groups: dict[Any, list[int]] = {}
    for pair in np.flatnonzero(alone).tolist():
        groups.setdefault(tuple(values[first[pair]] for values in held), []).append(pair)
    if not groups:
        return np.full(agree.shape[:-1], np.nan)
    return np.mean([agree[..., group].mean(axis=-1) for group in groups.values()], axis=0)
