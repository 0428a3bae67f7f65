"""How far apart a measure puts two pruning modes at one ratio: Figures 7 and 18 in numbers.

Secs. 5.4 and B.4 hold that the metric with the greater contrast between two modes tells with more
confidence whose PD is smaller. A contrast here is a ratio in powers of ten, so that no unit or
scale of a metric enters: an isotropic AP3, a constant times AP2, has AP2's contrast to the last
digit. How many standard deviations over the trials it amounts to is its confidence.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ap3.explaining.decided_pairs import limits, order_differences
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import Runs
from ap3.explaining.trial_intervals import half_width
from ap3.latent.vectors import Vector

_KEYS = ["dataset", "model", "epoch", "ratio", "mode", "other", "measure"]

_GAPS = [f"pd_gap{end}" for end in ("", "_signed", "_decided", "_signed_decided")]
_COLUMNS = ["dataset", "model", "trial", "ratio", "mode", "other", "epoch", "measure", "contrast"]
_COLUMNS += ["pd_contrast", "pd_contrast_signed", *_GAPS]


def contrast(runs: Sequence[Runs], level: float = LEVEL) -> pd.DataFrame:
    """Compare the modes of every trial, before fine-tuning and at its end.

    Parameters
    ----------
    runs
        The trials of each network.
    level
        Of the tests that decide whose PD is larger.

    Returns
    -------
    DataFrame
        A row per data set, network, trial, epoch, ratio, pair of modes and measure: `contrast`,
        log₁₀ of the measure of `mode` over that of `other`; `pd_contrast`, the same of |PD| of the
        test loss, and `pd_contrast_signed` of the signed PD, missing unless both are damage;
        `pd_gap`, how much larger |PD| of `mode` is in test accuracy, and `pd_gap_signed` of the signed
        PD; `…_decided`, 1 or −1 where the examples tell that the PD of `mode` is larger or smaller,
        else 0. A contrast with zero is missing. No rows where there is a single mode.
    """
    rows = [row for each in runs for row in _contrasts(each, level)]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=_COLUMNS)


def summarise(table: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Average the contrasts over the trials.

    Parameters
    ----------
    table
        What `contrast` returns.
    level
        The intervals are of 1 − level.

    Returns
    -------
    DataFrame
        `n` trials, `mean`, `sd`, Student's interval `low` to `high`, and `deviations` = |mean|/sd. The
        contrasts of the PD itself stand among those of the measures, as `test_pd_loss` and
        `test_pd_loss_signed`.
    """
    once = table.drop_duplicates([*_KEYS[:-1], "trial"]).drop(columns="contrast")
    of_pd = [
        once.rename(columns={f"pd_contrast{sign}": "contrast"}).assign(
            measure=f"test_pd_loss{sign}"
        )
        for sign in ("", "_signed")
    ]
    both = pd.concat([table, *of_pd], ignore_index=True)
    trials = both.groupby(_KEYS, sort=False)["contrast"]
    found = trials.agg(n="count", mean="mean", sd="std")
    # What differs by rounding does not vary.
    found["sd"] = found["sd"].where(~(found["sd"] < 1e-12 * found["mean"].abs()), 0.0)
    half = half_width(found["n"].to_numpy(), found["sd"].to_numpy(), level)
    found = found.assign(low=found["mean"] - half, high=found["mean"] + half)
    return found.assign(deviations=found["mean"].abs() / found["sd"]).reset_index()


def _contrasts(runs: Runs, level: float) -> Iterator[pd.DataFrame]:
    loss = runs.difference("test_pd_loss", "baseline")
    accuracy = runs.difference("test_pd_accuracy", "baseline")
    every = {name: runs.measure(name, "baseline") for name in runs.sees}
    measures = {name: values for name, values in every.items() if values is not None}
    for ratio in np.unique(runs.ratios):
        for one, two in combinations(np.flatnonzero(runs.ratios == ratio), 2):
            pair = np.array([[one, two]])
            limit = limits(runs, "test_pd_accuracy", "baseline", pair, level)
            told, signed_told = (
                order_differences(accuracy, pair, limit, absolute)[0][..., 0]
                for absolute in (True, False)
            )
            about = {"ratio": ratio, "mode": runs.modes[one], "other": runs.modes[two]}
            for at in runs.ends:
                about |= {"epoch": runs.epochs[at]}
                first, second = loss[:, at, one], loss[:, at, two]
                gap = accuracy[:, at, one], accuracy[:, at, two]
                pd_columns = {
                    "pd_contrast": _decades(np.abs(first), np.abs(second)),
                    "pd_contrast_signed": _decades(np.maximum(first, 0), np.maximum(second, 0)),
                    "pd_gap": np.abs(gap[0]) - np.abs(gap[1]),
                    "pd_gap_signed": gap[0] - gap[1],
                    "pd_gap_decided": told[:, at],
                    "pd_gap_signed_decided": signed_told[:, at],
                }
                contrasts = [
                    _decades(each[:, at, one], each[:, at, two]) for each in measures.values()
                ]
                yield pd.DataFrame(
                    runs.about
                    | {"trial": np.tile(runs.trials, len(measures))}
                    | about
                    | {"measure": np.repeat([*measures], len(runs.trials))}
                    | {"contrast": np.concatenate(contrasts)}
                    | {name: np.tile(values, len(measures)) for name, values in pd_columns.items()}
                )


def _decades(one: Vector, two: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(one / two)
    return np.where(np.isfinite(decades), decades, np.nan)
