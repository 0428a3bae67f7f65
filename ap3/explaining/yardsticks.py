"""What a measure is held against: a look-up that sees no weight, and the best that noise allows.

Both stand in the tables among the measures.
"""

from itertools import product

import numpy as np

from ap3.explaining.look_up import look_up
from ap3.explaining.noise_ceiling import true_differences
from ap3.explaining.trial_grids import DIFFERENCES, REFERENCES, Runs
from ap3.latent.vectors import Vector
from ap3.measuring import catalogue

LOOKUP, CEILING = (yardstick.column for yardstick in catalogue.YARDSTICKS)

SEES = {yardstick.column: yardstick.sees for yardstick in catalogue.YARDSTICKS}
"""What each may see."""

DRAWS = 400

ROOM = 0.01
"""A ceiling less than this above the look-up leaves no room to place a measure in."""


def learned(signed: Vector, absolute: bool) -> Vector:
    """Mean PD of the other trials at each mode and ratio, (T, E, V); NaN with a single trial."""
    differences = np.abs(signed) if absolute else signed
    return look_up(differences) if len(signed) > 1 else np.full(signed.shape, np.nan)


def drawn_truths(runs: Runs) -> dict[tuple[str, str, int], Vector]:
    """Draw the true signed PDs of all trials before fine-tuning and at its end.

    Parameters
    ----------
    runs
        All trials of a network.

    Returns
    -------
    dict of arrays of shape (T, draws, V)
        By the PD's name, the reference and the place of the epoch; none where noise is not known.
    """
    found = {}
    for name, reference, at in product(DIFFERENCES, REFERENCES, runs.ends):
        signed = runs.difference(name, reference)[:, at]
        covariance = runs.covariance_from(name, reference)[:, at]
        errors = np.diagonal(covariance, axis1=1, axis2=2)
        if np.isfinite(signed).all() and np.isfinite(covariance).all() and errors.any():
            found[name, reference, at] = signed, covariance
    if not found:
        return {}
    signed, covariance = (np.stack(each) for each in zip(*found.values(), strict=True))
    drawn = true_differences(signed, covariance, DRAWS)
    return dict(zip(found, np.moveaxis(drawn, 0, 2), strict=True))


def place(value: Vector, low: Vector, high: Vector) -> Vector:
    """Where between look-up (0) and ceiling (1) a measure stands; NaN where there is no room.

    Examples
    --------
    >>> place(np.array([0.9, 0.9]), np.array([0.8, 0.9]), np.array([0.95, 0.9])).round(3)
    array([0.667,   nan])
    """
    room = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > ROOM, (value - low) / room, np.nan)
