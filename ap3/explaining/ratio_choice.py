"""Which ratio a measure would have chosen, had nobody evaluated the pruned network.

A measure becomes a rule by a threshold, and a threshold must come from elsewhere: here from the
other trials of the same network. It is the largest value of the measure there, of whatever mode and
ratio, up to which no PD was above the tolerance. On the trial left out, the largest ratio of each
mode with a value not above it is chosen. So a measure is good if one number of it means the same PD
in every mode and trial.

Only damage counts: the PD is the signed one, and a network that pruning has made better is safe.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import Runs
from ap3.explaining.trial_intervals import half_width
from ap3.latent.vectors import Vector

_PD = "test_pd_accuracy"
_ROUNDING = 1e-9  # an accuracy that is lower by just the tolerance is within it
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
        `chosen` and its signed PD, `pd_chosen`; and the `best`, the largest ratio whose PD is within the
        tolerance. A ratio of 0 is not to prune. No rows where there is a single trial.
    """
    rows = [row for each in runs for row in _choices(each, tolerance)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def summarise(table: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Count the choices: how many were safe, and how large the ratios are.

    Parameters
    ----------
    table
        What `choice` returns.
    level
        The intervals are of 1 − level.

    Returns
    -------
    DataFrame
        `n` choices, the share that are `safe` (PD within the tolerance), the means of `chosen` and
        `best` ratios; and of `safe` and `chosen` Student's interval, `…_low` to `…_high`, over the
        trials, each the mean of its modes.
    """
    tested = table.assign(safe=(table["pd_chosen"] <= table["tolerance"] + _ROUNDING).astype(float))
    keys = ["dataset", "model", "epoch", "tolerance", "measure", "sees"]
    choices = tested.groupby(keys, sort=False)
    found = choices.agg(
        n=("safe", "count"), safe=("safe", "mean"), chosen=("chosen", "mean"), best=("best", "mean")
    )
    by_trial = tested.groupby([*keys, "trial"], sort=False)[["safe", "chosen"]].mean()
    trials = by_trial.groupby(keys, sort=False).agg(["count", "std"])
    for name, most in (("safe", 1.0), ("chosen", np.inf)):
        counts, spread = (trials[name, part].to_numpy(float) for part in ("count", "std"))
        half = half_width(counts, spread, level)
        found[f"{name}_low"] = np.maximum(found[name] - half, 0.0)
        found[f"{name}_high"] = np.minimum(found[name] + half, most)
    return found.reset_index()


def threshold(values: Vector, differences: Vector, tolerance: float) -> float:
    """Largest value that was safe, and every smaller one with it; −∞ if there is none.

    Examples
    --------
    >>> threshold(np.array([1.0, 4.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.0, 0.05]), tolerance=0.01)
    2.0
    """
    unsafe = np.min(values[differences > tolerance + _ROUNDING], initial=np.inf)
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
    difference = runs.difference(_PD, "baseline")
    for name, sees in runs.sees.items():
        measure = runs.measure(name, "baseline", absolute=False)
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
                        "best": largest(
                            runs.ratios, mine & (differences[index] <= tolerance + _ROUNDING)
                        ),
                    }
