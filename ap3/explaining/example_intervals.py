"""How far the choice of the evaluated examples moves the agreement: a bootstrap over the examples.

Every variant, the baseline and the control are evaluated on the same resample, in every trial, and every
pair is decided anew in it: its gap by the limit that noise sets on the examples as they are.

A resample is noisier than the examples it is drawn from, so the resampled statistics lie to one side
of the estimate, and their quantiles may leave it out. The interval here is Hall's symmetric one: the
estimate ± the 95 % quantile of how far the resampled statistic is from it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ap3.explaining.agreement import KEYS, STATISTICS, Case, cases
from ap3.explaining.decided_pairs import order_differences
from ap3.explaining.pair_counts import KINDS, count, quiet
from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.trial_grids import Runs
from ap3.latent.vectors import Vector
from ap3.machine.progress import counted

BOUNDS = {
    "decided": (0.0, np.inf),
    "agreement": (0.0, 1.0),
    "gain": (-1.0, 1.0),
    "over_lookup": (-1.0, 1.0),
    "tau_b": (-1.0, 1.0),
    "rho": (-1.0, 1.0),
}
"""What no statistic exceeds."""


def example_intervals(runs: Sequence[Runs], level: float = LEVEL) -> pd.DataFrame:
    """Count agreement anew on resampled examples, before fine-tuning and at its end: intervals.

    Parameters
    ----------
    runs
        The trials of each network.
    level
        Of the tests that decide pairs; the intervals are of 1 − level.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, kind of pair, measure and statistic, for
        each `trial` and for the mean over them (no trial): from `low` to `high`. No row where the
        outcomes of single examples are not known, and none for the ceiling.
    """
    rows = [row for each in counted(runs, "intervals") for row in _of_network(each, level)]
    columns = [*KEYS, "trial", "statistic", "low", "high"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def with_intervals(table: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """Put each trial's own intervals of agreement and gain, `…_low` and `…_high`, beside them."""
    keys = [*KEYS, "trial"]
    for statistic in ("agreement", "gain"):
        mine = intervals[intervals["statistic"] == statistic].dropna(subset="trial")
        names = {end: f"{statistic}_{end}" for end in ("low", "high")}
        table = table.merge(mine[[*keys, *names]].rename(columns=names), how="left", on=keys)
    return table


def symmetric_interval(
    estimate: Vector, resampled: Vector, level: float = LEVEL
) -> tuple[Vector, Vector]:
    """Return Hall's symmetric bootstrap interval, of 1 − level.

    Parameters
    ----------
    estimate : array of shape (…,)
    resampled : array of shape (…, B)
        NaN where a resample says nothing.
    level
        Share of the resamples that may lie farther from the estimate.

    Examples
    --------
    >>> low, high = symmetric_interval(np.array([1.0]), np.array([[1.0, 1.5, np.nan, 1.25]]), 0.05)
    >>> low, high
    (array([0.5]), array([1.5]))
    """
    # As exact as the resampled statistics: of single precision, their order is found in half the time.
    off = np.abs(resampled - estimate[..., np.newaxis].astype(resampled.dtype))
    known = np.isfinite(off).sum(axis=-1)
    half = np.full(estimate.shape, np.nan)
    for number in np.unique(known[known > 0]):
        rows = off[known == number]
        rank = max(int(np.ceil((1 - level) * number)) - 1, 0)
        rows.partition(rank, axis=-1)  # NaN comes last
        half[known == number] = rows[..., rank]
    return estimate - half, estimate + half


def _of_network(runs: Runs, level: float) -> Iterator[pd.DataFrame]:
    for case in cases(runs, level, truths=False):
        if np.isnan(runs.resampled[case.name]).any():
            continue
        estimates = case.counts()
        for at in runs.ends:
            yield _table(case, at, *_intervals(case, at, estimates, level))


def _intervals(
    case: Case, at: int, estimates: dict[str, Vector], level: float
) -> tuple[Vector, Vector]:
    """Find both ends of the intervals, (statistics, T + 1, M, A), the mean over the trials last."""
    signed = case.runs.difference_resampled(case.name, case.reference, at)
    decided, exact = (
        each.astype(np.float32)
        for each in order_differences(
            signed, case.pairing.compared, case.limit.at(at), case.absolute, axis=-2
        )
    )
    orders = np.stack([each[:, at] for each in case.measures.values()], axis=1)
    found = case.compared_with(count(case.pairing, orders, decided, exact), axis=1)
    ends = []
    for name in STATISTICS:
        own = estimates[name][:, at, : len(case.measures)]
        with quiet():
            means = np.nanmean(own, axis=0, keepdims=True)
            again = np.nanmean(found[name], axis=0, keepdims=True)
        both = np.concatenate([own, means]), np.concatenate([found[name], again])
        low, high = symmetric_interval(*both, level)
        ends.append((np.maximum(low, BOUNDS[name][0]), np.minimum(high, BOUNDS[name][1])))
    low, high = (np.stack(side) for side in zip(*ends, strict=True))
    return low, high


def _table(case: Case, at: int, low: Vector, high: Vector) -> pd.DataFrame:
    trials = [*case.runs.trials, None]
    names = [STATISTICS, trials, [*case.measures], KINDS]
    places = np.meshgrid(*(np.arange(len(each)) for each in names), indexing="ij")
    statistic, trial, measure, kind = (
        np.array(each, dtype=object)[place.ravel()]
        for each, place in zip(names, places, strict=True)
    )
    about: dict[str, Any] = case.runs.about | {
        "epoch": case.runs.epochs[at],
        "reference": case.reference,
        "pd": case.pd,
    }
    columns = {"trial": trial, "among": kind, "measure": measure, "statistic": statistic}
    return pd.DataFrame(about | columns | {"low": low.ravel(), "high": high.ravel()})
