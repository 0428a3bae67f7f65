"""A rival that sees no weight: the performance difference that other trials had at this variant.

For each mode and ratio it looks up the mean PD of the other trials. A measure that does not beat it
has found nothing in the weights beyond what the name of the variant says.
"""

from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector


def look_up(differences: Any) -> Vector:
    """For every trial, the mean over the other trials: a measure of the variants like any other.

    Parameters
    ----------
    differences : array of shape (T, …, V)
        PD of T trials and V variants (a mode and a ratio each): |PD| if order is counted by |PD|, the
        signed PD otherwise. NaN, unknown, is left out of the means.

    Returns
    -------
    array of shape (T, …, V)
        NaN where no other trial knows the PD.

    Raises
    ------
    UserError
        If there are fewer than two trials.

    Examples
    --------
    >>> look_up([[1.0, 5.0], [2.0, 7.0], [3.0, 9.0]])
    array([[2.5, 8. ],
           [2. , 7. ],
           [1.5, 6. ]])
    """
    differences = np.asarray(differences, dtype=float)
    if differences.ndim < 2 or len(differences) < 2:
        raise InvalidValueError(
            "a look-up learns from the other trials and needs at least two, (T, …, V), but the PDs "
            f"have shape {differences.shape}."
        )
    rows = range(len(differences))
    # A difference of sums would leave a trace of the trial's own value in the last digits.
    return np.stack([_mean(np.delete(differences, row, axis=0)) for row in rows])


def _mean(differences: Vector) -> Vector:
    known = np.isfinite(differences)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, differences, 0.0).sum(axis=0) / known.sum(axis=0))
