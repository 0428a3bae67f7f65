"""How well each measure of a pruned layer foretells its performance difference, in numbers.

The paper's claim is one of order: of two pruned networks the one with the smaller AP2 or AP3 has
the smaller PD. Here pairs of variants of one baseline are counted: of modes at one ratio, of ratios
at one mode, and all. Two PDs no further apart than their standard errors allow, |PD₁ − PD₂| ≤
√(se₁² + se₂²), are a tie. Both are paired with the baseline on the same examples; the two are taken
as independent, which for differences that rise and fall together counts a tie too many.

Everything is measured twice: from the baseline, and from the control at the same epoch, which
leaves out what fine-tuning alone does.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap, rankdata

from ap3.latent.vectors import Vector
from ap3.runs import DIFFERENCES, REFERENCES, SEES, Runs, runs_of

STATISTICS = ("decided", "agreement", "gain", "tau_b", "rho")

ENOUGH_TRIALS = 10
_DRAWS = 1000
_LEVEL = 0.95
_TAILS = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)


def pairs(modes: NDArray[Any], ratios: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Pairs of variants that are compared, (pairs, 2): `modes` at one ratio, `ratios`, and `all`.

    Examples
    --------
    >>> found = pairs(np.array(["lowest", "random", "random"]), np.array([0.1, 0.1, 0.5]))
    >>> found["modes"].tolist(), found["ratios"].tolist(), len(found["all"])
    ([[0, 1]], [[1, 2]], 3)
    """
    every = np.array(list(combinations(range(len(modes)), 2))).reshape(-1, 2)
    first, second = every.T
    return {
        "modes": every[ratios[first] == ratios[second]],
        "ratios": every[modes[first] == modes[second]],
        "all": every,
    }


def order(values: Vector, compared: NDArray[np.int64], error: Vector | None = None) -> Vector:
    """Say of each pair which value is larger: −1, 0 or 1, (…, V) → (…, pairs).

    With an `error` of each value, the two of a pair are a tie if they are no further apart than
    √(error₁² + error₂²).

    Examples
    --------
    >>> two = np.array([[0, 1], [1, 2]])
    >>> order(np.array([3.0, 1.0, 0.5]), two, error=np.array([0.1, 0.6, 0.6]))
    array([1., 0.])
    """
    first, second = compared.T
    gap = values[..., first] - values[..., second]
    noise = 0.0 if error is None else np.hypot(error[..., first], error[..., second])
    return np.sign(gap) * (np.abs(gap) > noise)


def concordance(measure: Vector, difference: Vector) -> dict[str, Vector]:
    """Compare how a measure and how the PD order the same pairs, as `order` gives them.

    Let net be the concordant pairs less the discordant ones. Of the pairs that the PD decides,
    `agreement` is the share in which the smaller measure has the smaller PD, a tie of the measure
    counted half: ½ + net/(2 decided). Chance is one half. Kendall's `tau_b` is net over the
    geometric mean of the pairs that either decides.

    Parameters
    ----------
    measure, difference : array of shape (…, pairs)

    Returns
    -------
    dict of arrays of shape (…,)
        `decided`, `agreement` and `tau_b`, NaN where nothing is decided.

    Examples
    --------
    >>> counted = concordance(np.array([-1.0, -1.0, 0.0]), np.array([-1.0, 1.0, 1.0]))
    >>> float(counted["agreement"]), float(counted["tau_b"])
    (0.5, 0.0)
    """
    net = np.einsum("...p,...p->...", measure, difference)
    decided, ordered = np.abs(difference).sum(-1), np.abs(measure).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, tau = net / decided, net / np.sqrt(decided * ordered)
    return {"decided": decided, "agreement": 0.5 + 0.5 * share, "tau_b": tau}


def spearman(measure: Vector, difference: Vector) -> Vector:
    """Spearman's ρ over the last axis, equal values given their mean rank; NaN for a constant.

    Examples
    --------
    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([0.0, 5.0, 9.0])).round(12)
    np.float64(1.0)
    """
    ranks = rankdata(measure, axis=-1), rankdata(difference, axis=-1)
    x, y = (rank - rank.mean(-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def agreement(measures: pd.DataFrame) -> pd.DataFrame:
    """Count agreement for every trial, epoch, reference, PD, kind of pair and measure: a row each.

    Of the columns, `gain` is the agreement less that of AP2 in the same case. ρ takes the PDs as
    they are, without ties by noise; among modes or ratios it is the mean over the groups (the modes
    at each ratio, the ratios at each mode).
    """
    rows = [row for runs in runs_of(measures) for row in _agreement_of(runs)]
    return pd.concat(rows, ignore_index=True)


def summarise(measures: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Average the agreement over the trials, before fine-tuning and at its end, with intervals.

    Returns
    -------
    DataFrame
        A row per data set, network, epoch, reference, PD, kind of pair, measure and statistic:
        `n` trials, `mean`, `sd`, `min`, `max`, and an interval of 95 % from `low` to `high`. From
        ten trials on it is a bootstrap of the mean over trials; below, it says how the noise of
        the evaluated examples alone moves the mean: PDs drawn anew from normal laws with their
        recorded standard errors.
    """
    ends = table[table["epoch"].isin([table["epoch"].min(), table["epoch"].max()])]
    keys = ["dataset", "model", "epoch", "reference", "pd", "among", "measure", "sees"]
    tidy = ends.melt([*keys, "trial"], list(STATISTICS), "statistic")
    summary = tidy.groupby([*keys, "statistic"], sort=False)["value"].agg(list).reset_index()
    values = np.array(summary.pop("value").to_list(), dtype=float)
    with _quiet():
        summary["n"] = np.isfinite(values).sum(axis=1)
        summary["mean"] = np.nanmean(values, axis=1)
        summary["sd"] = np.nanstd(values, axis=1, ddof=1)
        summary["min"], summary["max"] = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    if values.shape[1] >= ENOUGH_TRIALS:
        low, high = _over_trials(values)
        return summary.assign(low=low, high=high, interval="trials")
    noise = pd.concat([_from_noise(runs) for runs in runs_of(measures)], ignore_index=True)
    return summary.merge(noise, how="left").assign(interval="examples")


@dataclass(frozen=True, eq=False)
class _Case:
    """One reference, one PD and one kind of pair, with every measure that there is for them."""

    about: dict[str, str]
    measures: dict[str, Vector]
    difference: Vector
    error: Vector
    compared: NDArray[np.int64]
    groups: list[NDArray[np.int64]]

    def count(self, epoch: int | slice, difference: Vector) -> dict[str, dict[str, Vector]]:
        """Count every measure's agreement with a PD's order of the pairs, and its gain over AP2."""
        counted = {
            name: concordance(order(measure[:, epoch], self.compared), difference)
            for name, measure in self.measures.items()
        }
        base = counted["ap2"]["agreement"]
        return {
            name: found | {"gain": found["agreement"] - base} for name, found in counted.items()
        }


def _cases(runs: Runs) -> Iterator[_Case]:
    compared = pairs(runs.modes, runs.ratios)
    groups = {
        "modes": [np.flatnonzero(runs.ratios == ratio) for ratio in np.unique(runs.ratios)],
        "ratios": [np.flatnonzero(runs.modes == mode) for mode in np.unique(runs.modes)],
        "all": [np.arange(len(runs.modes))],
    }
    for reference in REFERENCES:
        measures = {name: runs.measure(name, reference) for name in SEES}
        known = {name: values for name, values in measures.items() if values is not None}
        for pd_name in DIFFERENCES:
            signed, error = runs.difference(pd_name, reference)
            for among, chosen in compared.items():
                about = {"reference": reference, "pd": pd_name, "among": among}
                yield _Case(about, known, signed, error, chosen, groups[among])


def _agreement_of(runs: Runs) -> Iterator[pd.DataFrame]:
    counts = len(runs.trials), len(runs.epochs)
    where: dict[str, Any] = runs.about | {
        "trial": np.repeat(runs.trials, counts[1]),
        "epoch": np.tile(runs.epochs, counts[0]),
    }
    for case in _cases(runs):
        difference = np.abs(case.difference)
        counted = case.count(slice(None), order(difference, case.compared, case.error))
        for name, measure in case.measures.items():
            columns = counted[name]
            groups = [spearman(measure[..., g], difference[..., g]) for g in case.groups]
            with _quiet():
                columns["rho"] = np.nanmean(groups, axis=0)
            about = case.about | {"measure": name, "sees": SEES[name]}
            flat = {column: values.ravel() for column, values in columns.items()}
            yield pd.DataFrame(where | about | {"pairs": len(case.compared)} | flat)


def _from_noise(runs: Runs) -> pd.DataFrame:
    """Draw the PDs of the first and the last epoch anew; quantiles of the mean over the trials."""
    rows = []
    for case in _cases(runs):
        for at in (0, -1):
            signed, error = case.difference[:, at], case.error[:, at]
            noise = np.random.default_rng(0).standard_normal((_DRAWS, *signed.shape))
            drawn = order(np.abs(signed + error * noise), case.compared, error)
            for name, counted in case.count(at, drawn).items():
                for statistic in ("agreement", "gain", "tau_b"):
                    with _quiet():
                        means = np.nanmean(counted[statistic], axis=1)
                        low, high = np.nanquantile(means, _TAILS)
                    about = case.about | {"measure": name, "statistic": statistic}
                    rows.append(about | {"epoch": runs.epochs[at], "low": low, "high": high})
    return pd.DataFrame(rows).assign(**runs.about)


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


@contextmanager
def _quiet() -> Iterator[None]:
    """NaN where there is nothing to average is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
