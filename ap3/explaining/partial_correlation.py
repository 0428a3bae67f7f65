"""Correlation of two quantities within groups: what is left when the group is known.

With lowest < random < highest and small < large ratios any distance follows the damage. Whether it
says more than mode and ratio do is the correlation of what is left after the groups' means are
taken out, the partial correlation given the group as a categorical variable.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ap3.latent.vectors import Vector


def partial_correlation(one: Any, two: Any, groups: NDArray[Any], ranks: bool = True) -> Vector:
    """Correlate what is left of two quantities when every group's mean is taken out.

    The same as that of the residuals of a least-squares fit on an indicator of each group.

    Parameters
    ----------
    one, two : array of shape (…, V)
    groups : array of shape (V,)
        The group of each variant, such as its ratio, or its mode and ratio in one string. A group of
        one says nothing.
    ranks
        Whether to take the quantities' ranks over all variants first, ties at their mean rank: a
        partial Spearman's ρ. Otherwise Pearson's.

    Returns
    -------
    array of shape (…,)
        NaN where one of them does not vary within any group.

    Examples
    --------
    >>> one, two = [1.0, 2.0, 11.0, 12.0], [20.0, 10.0, 5.0, 1.0]
    >>> partial_correlation(one, two, np.array(["a", "a", "b", "b"])).round(12)
    np.float64(-1.0)
    """
    left = []
    for values in (one, two):
        values = np.asarray(values, dtype=float)
        values = rankdata(values, axis=-1) if ranks else values
        left.append(_within(values, groups))
    first, second = left
    squares = np.square(first).sum(axis=-1) * np.square(second).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((first * second).sum(axis=-1) / np.sqrt(squares))[()]


def _within(values: Vector, groups: NDArray[Any]) -> Vector:
    """Values less the mean of their group; exact zeros where a group is all the same."""
    left = np.array(values)
    for group in np.unique(groups):
        members = groups == group
        of_group = values[..., members]
        constant = (of_group == of_group[..., :1]).all(axis=-1, keepdims=True)
        centred = of_group - of_group.mean(axis=-1, keepdims=True)
        left[..., members] = np.where(constant, 0.0, centred)
    return left
