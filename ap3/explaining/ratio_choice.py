"""Which ratio a measure would have chosen, had nobody evaluated the pruned network.

A measure becomes a rule by a threshold, and a threshold must come from elsewhere: here from the
other trials of the same network. It is the largest value of the measure there, of whatever mode and
ratio, up to which no PD was above the tolerance. On the trial left out, the largest ratio of each
mode with a value not above it is chosen. So a measure is good if one number of it means the same PD
in every mode and trial.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ap3.explaining.trial_grids import Runs
from ap3.latent.vectors import Vector

_PD = "test_pd_accuracy"
_COLUMNS = ["dataset", "model", "trial", "epoch", "mode", "measure", "sees", "tolerance"]
_COLUMNS += ["threshold", "chosen", "pd_chosen", "best"]


def choice(runs: Sequence[Runs], tolerance: float = 0.01) -> pd.DataFrame:
    """Choose ratios by every measure, before fine-tuning and at its end.

    Parameters
    ----------
    tolerance
        On the PD of the test accuracy, a share: 0.01 is one percentage point.

    Returns
    -------
    DataFrame
        A row per data set, network, trial, epoch, mode and measure: the `threshold`; the ratio
        `chosen` and its PD, `pd_chosen`; and the `best`, the largest ratio whose PD is within the
        tolerance. A ratio of 0 is not to prune. No rows where there is a single trial.
    """
    rows = [row for each in runs for row in _choices(each, tolerance)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Count the choices: `n`, the share that are `safe` (PD within the tolerance), mean ratios."""
    tested = table.assign(safe=table["pd_chosen"] <= table["tolerance"])
    keys = ["dataset", "model", "epoch", "tolerance", "measure", "sees"]
    found = tested.groupby(keys, sort=False).agg(
        n=("safe", "count"), safe=("safe", "mean"), chosen=("chosen", "mean"), best=("best", "mean")
    )
    return found.reset_index()


def threshold(values: Vector, differences: Vector, tolerance: float) -> float:
    """Largest value that was safe, and every smaller one with it; −∞ if there is none.

    Examples
    --------
    >>> threshold(np.array([1.0, 4.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0, 0.05]), tolerance=0.01)
    2.0
    """
    unsafe = np.min(values[differences > tolerance], initial=np.inf)
    return float(np.max(values[values < unsafe], initial=-np.inf))


def largest(ratios: Vector, allowed: Vector) -> float:
    """Largest of the `ratios` that is `allowed`; 0 if none is.

    Examples
    --------
    >>> largest(np.array([0.1, 0.3, 0.5]), np.array([True, True, False]))
    0.3
    """
    return float(np.max(ratios[allowed], initial=0.0))


def _choices(runs: Runs, tolerance: float) -> Iterator[dict[str, object]]:
    difference = np.abs(runs.difference(_PD, "baseline"))
    for name, sees in runs.sees.items():
        measure = runs.measure(name, "baseline")
        if measure is None or len(runs.trials) < 2:
            continue
        for at in runs.ends:
            values, differences = measure[:, at], difference[:, at]
            for index, trial in enumerate(runs.trials):
                others = np.arange(len(runs.trials)) != index
                limit = threshold(values[others], differences[others], tolerance)
                for mode in dict.fromkeys(runs.modes):
                    mine = runs.modes == mode
                    chosen = largest(runs.ratios, mine & (values[index] <= limit))
                    found = differences[index][mine & (runs.ratios == chosen)]
                    yield runs.about | {
                        "trial": trial,
                        "epoch": runs.epochs[at],
                        "mode": mode,
                        "measure": name,
                        "sees": sees,
                        "tolerance": tolerance,
                        "threshold": limit,
                        "chosen": chosen,
                        "pd_chosen": float(found[0]) if len(found) else 0.0,
                        "best": largest(runs.ratios, mine & (differences[index] <= tolerance)),
                    }
