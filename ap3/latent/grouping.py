"""Weights averaged in contiguous groups, for the Student-t latent space (Sec. 5.3)."""

import operator

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector


def group_means(weights: Vector, groups: int = 100) -> Vector:
    """Mean of each of `groups` contiguous runs of weights, sizes as equal as can be.

    Parameters
    ----------
    weights : array of shape (…, n)
    groups
        How many groups; layers with fewer weights keep each weight as its own group. The first
        n mod groups groups hold one weight more, as `numpy.array_split` does it.

    Returns
    -------
    array of shape (…, min(groups, n))

    Raises
    ------
    UserError
        If `groups` is no whole number of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> group_means(np.array([1.0, 2.0, 3.0, 10.0, 20.0]), groups=2)
    array([ 2., 15.])
    """
    size = np.shape(weights)[-1]
    starts = group_starts(size, groups)
    return np.add.reduceat(weights, starts, axis=-1) / np.diff(starts, append=size)


def group_starts(size: int, groups: int) -> NDArray[np.int64]:
    """Where each of the groups of `size` weights begins: shape (min(groups, size),).

    Examples
    --------
    >>> group_starts(5, groups=2)
    array([0, 3])
    """
    count = min(whole_groups(groups), size)
    index = np.arange(count)
    return index * (size // count) + np.minimum(index, size % count)


def whole_groups(groups: int) -> int:
    """Return `groups` as an int, refused unless it is a whole number of at least 1."""
    try:
        count = operator.index(groups)
    except TypeError:
        count = 0
    if count < 1:
        raise InvalidValueError(
            f"groups must be a whole number of at least 1, or none, but is {groups!r}."
        )
    return count
