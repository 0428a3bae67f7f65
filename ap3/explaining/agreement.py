"""How well each measure of a pruned layer foretells its performance difference, in numbers.

The paper's claim is one of order: of two pruned networks the one with the smaller AP2 or AP3 has
the smaller PD. Here pairs of variants of one baseline are counted: of modes at one ratio, of ratios
at one mode, and all. Two PDs no further apart than the standard error of their difference, paired over
the examples that both are evaluated on, are a tie.

Everything is measured twice: from the baseline, and from the control at the same epoch, which
leaves out what fine-tuning alone does.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from ap3.explaining.rank_counts import centred_ranks, concordance, order, pairs, spearman
from ap3.explaining.trial_grids import DIFFERENCES, REFERENCES, Runs
from ap3.latent.vectors import Vector
from ap3.machine.progress import counted

STATISTICS = ("decided", "agreement", "gain", "tau_b", "rho")

ENOUGH_TRIALS = 10
_DRAWS = 1000
_LEVEL = 0.95
_KEYS = ["dataset", "model", "epoch", "reference", "pd", "among", "measure"]
_TAILS = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)


def agreement(runs: Sequence[Runs]) -> pd.DataFrame:
    """Count agreement for every trial, epoch, reference, PD, kind of pair and measure: a row each.

    Of the columns, `gain` is the agreement less that of AP2 in the same case. ρ takes the PDs as
    they are, without ties by noise; among modes or ratios it is the mean over the groups (the modes
    at each ratio, the ratios at each mode).
    """
    rows = [row for each in counted(runs, "agreement") for row in _agreement_of(each)]
    return pd.concat(rows, ignore_index=True)


def bootstrapped(runs: Sequence[Runs]) -> pd.DataFrame:
    """Count agreement anew on resampled examples, before fine-tuning and at its end: intervals.

    Every variant, the baseline and the control are evaluated on the same resample, in every trial.
    Which PDs are too close to tell stays a matter of the standard errors on the examples as they
    are.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, kind of pair, measure and statistic, for
        each `trial` and for the mean over them (no trial): an interval of 95 %, `low` to `high`,
        the quantiles of the statistic over the resamples. No row where the outcomes of single
        examples are not known.
    """
    rows = [row for each in counted(runs, "intervals") for row in _bootstrapped(each)]
    columns = [*_KEYS, "trial", "statistic", "low", "high"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def with_intervals(table: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """Put each trial's own intervals of agreement and gain, `…_low` and `…_high`, beside them."""
    keys = [*_KEYS, "trial"]
    for statistic in ("agreement", "gain"):
        mine = intervals[intervals["statistic"] == statistic].dropna(subset="trial")
        names = {end: f"{statistic}_{end}" for end in ("low", "high")}
        table = table.merge(mine[[*keys, *names]].rename(columns=names), how="left", on=keys)
    return table


def summarise(table: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """Average the agreement over the trials, before fine-tuning and at its end, with intervals.

    Parameters
    ----------
    table, intervals
        What `agreement` and `bootstrapped` return.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, kind of pair, measure and statistic:
        `n` trials, `mean`, `sd`, `min`, `max`, and an interval of 95 % from `low` to `high`. From
        ten trials on it is a bootstrap of the mean over `trials`; below, a paired one over the
        evaluated `examples`, which says how they alone move the mean.
    """
    epochs = table.groupby(["dataset", "model"])["epoch"]
    first, last = epochs.transform("min"), epochs.transform("max")
    ends = table[(table["epoch"] == first) | (table["epoch"] == last)]
    tidy = ends.melt([*_KEYS, "sees", "trial"], list(STATISTICS), "statistic")
    by = [*_KEYS, "sees", "statistic"]
    summary = tidy.groupby(by, sort=False)["value"].agg(list).reset_index()
    of_trials = summary.pop("value")
    by_trial = np.array([*zip_longest(*of_trials, fillvalue=np.nan)], dtype=float)
    values = np.ascontiguousarray(by_trial.T)
    with _quiet():
        summary["n"] = np.isfinite(values).sum(axis=1)
        summary["mean"] = np.nanmean(values, axis=1)
        summary["sd"] = np.nanstd(values, axis=1, ddof=1)
        summary["min"], summary["max"] = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    if of_trials.str.len().min() >= ENOUGH_TRIALS:
        low, high = _over_trials(values)
        return summary.assign(low=low, high=high, interval="trials")
    of_means = intervals[intervals["trial"].isna()].drop(columns="trial")
    keys = [*_KEYS, "statistic"]
    return summary.merge(of_means, how="left", on=keys).assign(interval="examples")


@dataclass(frozen=True, eq=False)
class _Case:
    """One reference, one PD and one kind of pair, with every measure that there is for them."""

    about: dict[str, str]
    measures: dict[str, Vector]
    difference: Vector
    resampled: Vector
    error: Vector
    compared: NDArray[np.int64]
    groups: list[NDArray[np.int64]]

    def count(self, at: int | slice, difference: Vector) -> dict[str, dict[str, Vector]]:
        """Count every measure's agreement with a PD at some epochs, and its gain over AP2."""
        ordered = order(np.abs(difference), self.compared, self.error[:, at])
        ranked = [centred_ranks(np.abs(difference[..., group])) for group in self.groups]
        found = {}
        for name, every in self.measures.items():
            measure = every[:, at]
            rho = [
                spearman(centred_ranks(measure[..., group]), ranks)
                for group, ranks in zip(self.groups, ranked, strict=True)
            ]
            with _quiet():
                mean = np.nanmean(rho, axis=0)
            found[name] = concordance(order(measure, self.compared), ordered) | {"rho": mean}
        base = found["ap2"]["agreement"]
        return {name: one | {"gain": one["agreement"] - base} for name, one in found.items()}


def _cases(runs: Runs) -> Iterator[_Case]:
    compared = pairs(runs.modes, runs.ratios)
    groups = {
        "modes": [np.flatnonzero(runs.ratios == ratio) for ratio in np.unique(runs.ratios)],
        "ratios": [np.flatnonzero(runs.modes == mode) for mode in np.unique(runs.modes)],
        "all": [np.arange(len(runs.modes))],
    }
    for reference in REFERENCES:
        measures = {name: runs.measure(name, reference) for name in runs.sees}
        known = {name: values for name, values in measures.items() if values is not None}
        for pd_name in DIFFERENCES:
            signed = runs.difference(pd_name, reference)
            resampled = runs.difference_resampled(pd_name, reference)
            for among, chosen in compared.items():
                about = {"reference": reference, "pd": pd_name, "among": among}
                error = runs.gap_error(pd_name, reference, chosen)
                yield _Case(about, known, signed, resampled, error, chosen, groups[among])


def _agreement_of(runs: Runs) -> Iterator[pd.DataFrame]:
    counts = len(runs.trials), len(runs.epochs)
    where: dict[str, Any] = runs.about | {
        "trial": np.repeat(runs.trials, counts[1]),
        "epoch": np.tile(runs.epochs, counts[0]),
    }
    for case in _cases(runs):
        for name, columns in case.count(slice(None), case.difference).items():
            about = case.about | {"measure": name, "sees": runs.sees[name]}
            flat = {column: columns[column].ravel() for column in STATISTICS}
            yield pd.DataFrame(where | about | {"pairs": len(case.compared)} | flat)


def _bootstrapped(runs: Runs) -> Iterator[pd.DataFrame]:
    trials = [*runs.trials, None]
    for case in _cases(runs):
        if np.isnan(case.resampled).any():
            continue
        for at in runs.ends:
            found = case.count(at, case.resampled[:, :, at])
            names = [(name, statistic) for name in found for statistic in STATISTICS]
            values = np.stack(
                [np.broadcast_to(found[m][s], case.resampled.shape[:2]) for m, s in names]
            )
            with _quiet():
                means = np.nanmean(values, axis=-1, keepdims=True)
            values = np.sort(np.concatenate([values, means], axis=-1), axis=1)
            low, high = (_quantile(values, tail) for tail in _TAILS)
            about: dict[str, Any] = runs.about | case.about | {"epoch": runs.epochs[at]}
            yield pd.DataFrame(
                about
                | {
                    "trial": trials * len(names),
                    "measure": np.repeat([m for m, _ in names], len(trials)),
                    "statistic": np.repeat([s for _, s in names], len(trials)),
                    "low": low.ravel(),
                    "high": high.ravel(),
                }
            )


def _over_trials(values: Vector) -> tuple[Vector, Vector]:
    """Bootstrap the mean of each row, (rows, T); NaN is a trial in which nothing is decided."""
    with _quiet():
        found = bootstrap(
            (values,),
            np.nanmean,
            axis=1,
            n_resamples=_DRAWS,
            batch=50,
            confidence_level=_LEVEL,
            method="percentile",
            rng=np.random.default_rng(0),
        )
    return found.confidence_interval.low, found.confidence_interval.high


def _quantile(values: Vector, q: float) -> Vector:
    """Quantile over the middle axis of values sorted along it, NaN last and left out.

    `np.nanquantile` asks one column after the other, and takes four times as long as this with the
    sorting, or twice the time of the counting.
    """
    last = np.isfinite(values).sum(axis=1, keepdims=True) - 1
    place = q * np.maximum(last, 0)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(last, 0))
    low, high = (np.take_along_axis(values, index, axis=1) for index in (below, above))
    return np.asarray(low + (place - below) * (high - low))[:, 0]


@contextmanager
def _quiet() -> Iterator[None]:
    """NaN where there is nothing to average is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
