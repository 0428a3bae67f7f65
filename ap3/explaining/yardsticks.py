"""What a measure is held against: a look-up that sees no weight, and the best that noise allows.

Both stand in the tables among the measures, under the names of `NAMES`.
"""

import numpy as np

from ap3.explaining.look_up import look_up
from ap3.explaining.noise_ceiling import true_differences
from ap3.explaining.trial_grids import Runs
from ap3.latent.vectors import Vector

LOOKUP, CEILING = "lookup", "ceiling"

NAMES = {LOOKUP: "look-up of mode, ratio", CEILING: "noise ceiling"}
"""What each is called."""

SEES = {LOOKUP: "other trials", CEILING: "true PDs"}
"""What each may see."""

DRAWS = 200

ROOM = 0.01
"""A ceiling less than this above the look-up leaves no room to place a measure in."""


def learned(signed: Vector, absolute: bool) -> Vector:
    """Mean PD of the other trials at each mode and ratio, (T, E, V); NaN with a single trial."""
    differences = np.abs(signed) if absolute else signed
    return look_up(differences) if len(signed) > 1 else np.full(signed.shape, np.nan)


def drawn_truths(runs: Runs, name: str, reference: str, at: int) -> Vector | None:
    """Draw the true signed PDs of all trials at an epoch, (T, draws, V); none where noise is unknown.

    Parameters
    ----------
    runs
        All trials of a network.
    name
        Of the PD, such as `test_pd_loss`.
    reference
        `baseline` or `control`.
    at
        Place of the epoch.
    """
    signed = runs.difference(name, reference)[:, at]
    covariance = runs.covariance_from(name, reference)[:, at]
    known = np.isfinite(signed).all() and np.isfinite(covariance).all()
    if not known or not np.diagonal(covariance, axis1=1, axis2=2).any():
        return None
    return np.moveaxis(true_differences(signed, covariance, DRAWS), 0, 1)


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
