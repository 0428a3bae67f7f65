"""How well a measure predicts the size of the damage, on allocations that it was not fitted to.

Measures that estimate the PD are taken as they are; and every measure is fitted as well,
log |PD| = a + b log m on a third of the allocations of each ratio and training. An interval of 90 %
is ± the residuals' quantile on another third, with the correction for their number (split
conformal), and the last third is judged.

Only PDs of the test loss that are above twice their standard error are judged: the size of the others
is not known.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ap3.explaining.network_ranking import joint, with_all_networks
from ap3.explaining.trial_intervals import t_interval
from ap3.latent.vectors import Vector
from ap3.measuring.network_catalogue import present

_KEYS = ["dataset", "model", "trial", "mode", "epoch", "batch_norm"]
_LEVEL = 0.9
_LEAST = 8


def sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Judge every measure of every training.

    Parameters
    ----------
    table
        Rows of `ap3 evaluate`, of all baselines.

    Returns
    -------
    DataFrame
        A row per training, mode, epoch, state of BatchNorm, measure and `how` (`as it is`, `fitted`):
        `judged` variants, `decades` (median |log10 (predicted ÷ measured)|), and of the fitted ones
        `coverage` (the share within the interval of 90 %) and `width` of the interval in decades.
        No fitted row where one of the three parts, to fit, to gauge and to judge, is empty.
    """
    rows = []
    for key, mine in joint(table).groupby(_KEYS, sort=False):
        known = mine[mine["test_pd_loss_signed"] > 2 * mine["test_pd_loss_se"]]
        for row in _of_training(known):
            rows.append(dict(zip(_KEYS, key, strict=True)) | row)
    found = ["measure", "sees", "how", "judged", "decades", "coverage", "width"]
    return pd.DataFrame(rows, columns=[*_KEYS, *found])


def _of_training(known: pd.DataFrame) -> Iterator[dict[str, Any]]:
    measured = np.log10(known["test_pd_loss"].to_numpy(float))
    third = (known.groupby("ratio").cumcount() % 3).to_numpy()  # of every ratio
    fitted, gauge, judged = (third == part for part in range(3))
    for one in present(known.columns):
        values = known[one.column].to_numpy(float)
        usable = np.isfinite(values) & (values > 0)
        if not usable.all() or usable.sum() < 3 * _LEAST or np.ptp(values) == 0:
            continue
        logs = np.log10(values)
        if one.estimates_pd:
            gaps = np.abs(logs - measured)
            yield {
                "measure": one.column,
                "sees": one.sees,
                "how": "as it is",
                "judged": len(gaps),
                "decades": float(np.median(gaps)),
            }
        if np.ptp(logs[fitted]) == 0 or not (gauge.any() and judged.any()):
            continue
        slope, shift = np.polyfit(logs[fitted], measured[fitted], 1)
        residuals = np.abs(shift + slope * logs - measured)
        reach = conformal(residuals[gauge])
        yield {
            "measure": one.column,
            "sees": one.sees,
            "how": "fitted",
            "judged": int(judged.sum()),
            "decades": float(np.median(residuals[judged])),
            "coverage": float((residuals[judged] <= reach).mean()),
            "width": 2 * reach,
        }


def conformal(residuals: Vector, level: float = _LEVEL) -> float:
    """Return the ⌈(n + 1) · level⌉-th smallest of n residuals, the largest if there are too few.

    Examples
    --------
    >>> conformal(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    place = min(len(residuals), math.ceil((len(residuals) + 1) * level))
    return float(np.sort(residuals)[place - 1])


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average over the trainings of a network, and over those of all: means with t intervals."""
    keys = ["dataset", "model", "mode", "epoch", "batch_norm", "measure", "sees", "how"]
    rows = []
    for key, mine in with_all_networks(table).groupby(keys, sort=False):
        decades = t_interval(mine["decades"].to_numpy(float))
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"n": len(mine), "judged": int(mine["judged"].sum())}
            | {"decades": float(decades.mean)}
            | {"decades_low": float(decades.low), "decades_high": float(decades.high)}
            | {"coverage": mine["coverage"].mean(), "width": mine["width"].mean()}
        )
    found = ["n", "judged", "decades", "decades_low", "decades_high", "coverage", "width"]
    return pd.DataFrame(rows, columns=[*keys, *found])
