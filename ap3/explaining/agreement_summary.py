"""The agreement over the trials of a study: means with their intervals, tests, place and flips.

A mean over trials has Student's interval. A gain is certain only if its p-value is still below the level
after Holm's correction, over all measures, networks, epochs and references that are held against the
same rival by the same PD and kind of pair: those are read together, as one table. What is one test under
two names is counted once: before fine-tuning the control is the baseline, and some measures are AP2.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ap3.explaining.agreement import KEYS, STATISTICS
from ap3.explaining.example_intervals import BOUNDS
from ap3.explaining.pair_counts import quiet
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import SIGNED
from ap3.explaining.trial_intervals import holm, t_interval
from ap3.explaining.yardsticks import CEILING, LOOKUP, place
from ap3.latent.vectors import Vector
from ap3.measuring.catalogue import SAME_AS_AP2

TESTED = ("gain", "over_lookup")
"""Statistics that are tested against zero."""

PLACED = ("agreement", "tau_b", "rho")
"""Statistics of which a measure has a place between look-up and ceiling."""

_CHANCE = {"agreement": 0.5}
_FAMILY = ["statistic", "pd", "among"]


def summarise(table: pd.DataFrame, intervals: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Average the agreement over the trials, before fine-tuning and at its end.

    Parameters
    ----------
    table
        What `agreement` returns.
    intervals
        What `example_intervals` returns.
    level
        Of the tests; the intervals are of 1 − level.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, kind of pair, measure and statistic.
        `n` trials with a value, `mean`, `sd`, `min`, `max`; `low` to `high`, Student's interval of the
        mean over trials; `examples_low` to `examples_high`, how far the choice of the examples moves
        it; `p_value` of a gain being zero, and `holm`, the same corrected; `place`, 0 for a measure
        as good as the look-up and 1 for one at the ceiling; `flips`, whether |PD| and the signed PD
        come to opposite conclusions. No test where the trials do not vary.
    """
    networks = table.groupby(["dataset", "model"])["epoch"]
    first, last = networks.transform("min"), networks.transform("max")
    ends = table[(table["epoch"] == first) | (table["epoch"] == last)]
    tidy = ends.melt([*KEYS, "sees", "trial"], list(STATISTICS), "statistic")
    by = [*KEYS, "sees", "statistic"]
    grouped = tidy.groupby(by, sort=False, dropna=False)
    row, trial = grouped.ngroup().to_numpy(), grouped.cumcount().to_numpy()
    summary = tidy.loc[trial == 0, by].reset_index(drop=True)
    by_trial = np.full((trial.max(initial=0) + 1, len(summary)), np.nan)
    by_trial[trial, row] = tidy["value"]
    summary = summary.assign(**_over_trials(by_trial, summary["statistic"], level))
    of_means = intervals[intervals["trial"].isna()].drop(columns="trial")
    named = of_means.rename(columns={"low": "examples_low", "high": "examples_high"})
    summary = summary.merge(named, how="left", on=[*KEYS, "statistic"])
    summary = summary.assign(holm=np.nan, place=_places(summary), flips=_flips(summary))
    tests = _tests(summary)
    for rows in _families(summary):
        once = rows[~tests[rows].duplicated()]
        corrected = pd.Series(holm(summary.loc[once, "p_value"]), index=tests[once])
        summary.loc[rows, "holm"] = tests[rows].map(corrected)
    ordered = ["holm", "examples_low", "examples_high", "place", "flips"]
    return summary[[*summary.columns.drop(ordered), *ordered]]


def _over_trials(values: Vector, statistics: pd.Series, level: float) -> dict[str, Vector]:
    """Columns of the means of (T, rows)."""
    found = t_interval(values, level=1 - level)
    with quiet():
        spread = np.nanstd(values, axis=0, ddof=1)
        ends = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    least, most = (statistics.map({name: at[end] for name, at in BOUNDS.items()}) for end in (0, 1))
    # What does not vary is no sample: with two or three trials it is chance.
    tested = statistics.isin(TESTED).to_numpy() & (spread > 1e-12)
    return {
        "n": found.n,
        "mean": found.mean,
        "sd": spread,
        "min": ends[0],
        "max": ends[1],
        "low": np.maximum(found.low, least),
        "high": np.minimum(found.high, most),
        "p_value": np.where(tested, found.p_value, np.nan),
    }


def _places(summary: pd.DataFrame) -> Vector:
    keys = [*(key for key in KEYS if key != "measure"), "statistic"]
    ends = []
    for yardstick in (LOOKUP, CEILING):
        own = summary.loc[summary["measure"] == yardstick, [*keys, "mean"]]
        ends.append(summary[keys].merge(own, how="left", on=keys)["mean"].to_numpy())
    found = place(summary["mean"].to_numpy(), *ends)
    return np.where(summary["statistic"].isin(PLACED), found, np.nan)


def _flips(summary: pd.DataFrame) -> Vector:
    """Whether the other way to take the PD puts a mean on the other side of chance, or of zero."""
    keys = [*KEYS, "statistic"]
    other = summary["pd"].map(
        lambda pd: pd.removesuffix(SIGNED) if pd.endswith(SIGNED) else pd + SIGNED
    )
    turned = summary.assign(pd=other)[keys].merge(summary[[*keys, "mean"]], how="left", on=keys)
    chance = summary["statistic"].map(_CHANCE).fillna(0.0)
    sides = (
        np.sign(summary["mean"] - chance).to_numpy() * np.sign(turned["mean"] - chance).to_numpy()
    )
    return (sides < 0) & (summary["statistic"] != "decided").to_numpy()


def _tests(summary: pd.DataFrame) -> pd.Series:
    """Give every row the number of its test; rows of one number are one test."""
    keys = summary[[*KEYS, "statistic"]]
    first = summary.groupby(["dataset", "model"])["epoch"].transform("min")
    is_first = summary["epoch"] == first
    keys = keys.assign(
        reference=summary["reference"].mask(is_first, "baseline"),
        measure=summary["measure"].replace(dict.fromkeys(SAME_AS_AP2, "ap2")),
    )
    return keys.groupby([*keys.columns], sort=False).ngroup()


def _families(summary: pd.DataFrame) -> Iterator[pd.Index]:
    for (statistic, *_), rows in summary.groupby(_FAMILY, sort=False):
        # The yardsticks are no candidates.
        if statistic in TESTED:
            yield rows.index[~rows["measure"].isin([LOOKUP, CEILING])]
