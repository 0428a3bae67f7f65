"""Means over baselines of what measures say within a ratio, with Student's intervals.

A row for each network, and for `all` networks of a data set together: there the value of a trial is the
mean over the networks, so that the interval is for these networks, trained anew. A trial in which not
every network has a value is left out of it.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_intervals import holm, t_interval
from ap3.explaining.within_ratio import STATISTICS

ALL = "all"
KEYS = ("dataset", "model", "epoch", "reference", "pd", "ratio", "among", "measure", "sees")
_FAMILY = ("statistic", "pd", "among")


def summarise(table: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Average `within_ratio` over the trials, and each statistic's gain over that of AP2.

    Parameters
    ----------
    table
        What `within_ratio` returns.
    level
        The intervals are of 1 − level.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, ratio, among, measure and statistic: `n` trials
        with a value, `mean`, `low` to `high`; `gain`, the mean of the difference to AP2 in the same
        trial, `gain_low` to `gain_high`; `p_value` of its being zero, and `holm`, the same corrected
        for all that is held against AP2 by the same statistic, PD and kind of pair.
    """
    tidy = table.melt([*KEYS, "trial"], list(STATISTICS), "statistic").dropna(subset="value")
    keys = [*KEYS, "trial", "statistic"]
    tidy = pd.concat([tidy, _pooled(tidy, keys)], ignore_index=True)
    alone = [key for key in keys if key not in ("measure", "sees")]
    base = tidy[tidy["measure"] == "ap2"].rename(columns={"value": "ap2"})
    tidy = tidy.merge(base[[*alone, "ap2"]], how="left", on=alone)
    tidy["gain"] = tidy["value"] - tidy["ap2"]
    by = [*KEYS, "statistic"]
    wide = tidy.pivot_table(["value", "gain"], by, "trial", sort=False, dropna=False)
    wide = wide[wide["value"].notna().any(axis=1)]
    summary = wide.index.to_frame(index=False)
    values = t_interval(wide["value"].to_numpy(), axis=1, level=1 - level)
    gains = t_interval(wide["gain"].to_numpy(), axis=1, level=1 - level)
    least = np.where(summary["statistic"].isin(["agreement", "decided"]), 0.0, -1.0)
    most = np.where(summary["statistic"] == "decided", np.inf, 1.0)
    ends = np.maximum(values.low, least), np.minimum(values.high, most)
    summary = summary.assign(n=values.n, mean=values.mean, low=ends[0], high=ends[1])
    summary = summary.assign(gain=gains.mean, gain_low=gains.low, gain_high=gains.high)
    summary = summary.assign(p_value=gains.p_value, holm=np.nan)
    for rows in _families(summary):
        summary.loc[rows, "holm"] = holm(summary.loc[rows, "p_value"])
    return summary


def _pooled(tidy: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average over the networks of a data set, in the trials in which all of them have a value."""
    networks = tidy.groupby("dataset")["model"].transform("nunique")
    several = tidy.assign(networks=networks)[networks > 1].assign(model=ALL)
    found = several.groupby([*keys, "networks"], sort=False, dropna=False)["value"]
    pooled = found.agg(["mean", "count"]).reset_index().rename(columns={"mean": "value"})
    return pooled.loc[pooled["count"] == pooled["networks"], [*keys, "value"]]


def _families(summary: pd.DataFrame) -> Iterator[pd.Index]:
    # The rows of all networks together are means of the others, and a family of their own.
    for _, rows in summary.groupby([*_FAMILY, summary["model"] == ALL], sort=False):
        yield rows.index
