"""Which measure orders the damage that pruning does to whole networks: ρ over allocations.

Over all ratios any distance does well, since what prunes more does more damage. So ρ is told over all,
at each total ratio, and within ratios together: the partial ρ that leaves every ratio's mean out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ap3.errors import InvalidValueError
from ap3.explaining.partial_correlation import partial_correlation
from ap3.explaining.rank_counts import centred_ranks, spearman
from ap3.explaining.split_half import ceiling
from ap3.explaining.trial_grids import SIGNED
from ap3.explaining.trial_intervals import t_interval
from ap3.explaining.yardsticks import CEILING
from ap3.latent.vectors import Vector
from ap3.measuring.network_catalogue import named, present
from ap3.training.outcomes import BASELINE, Outcomes, of_network

PDS = tuple(
    f"{split}_pd_{what}{sign}"
    for split in ("test", "train")
    for what in ("loss", "accuracy")
    for sign in ("", "_signed")
)
WITHIN = "within ratios"
ALL = "all networks"
_LEAST = 8
_MOST = {"rho": 1.0, "gain": 2.0}  # of either sign
_KEYS = ["dataset", "model", "trial", "mode", "epoch", "batch_norm"]
_VARIANT = ["mode", "ratio", "allocation", "epoch", "batch_norm"]


def joint(table: pd.DataFrame) -> pd.DataFrame:
    """Take the variants that are judged: not the control, nor those with one layer pruned alone."""
    allocation = table["allocation"]
    return table[(allocation != "none") & ~allocation.str.startswith("only ")]


Kept = Mapping[tuple[str, str, int], Mapping[str, Outcomes]]
"""Outcomes of the test images under the variants of every baseline: data set, network, trial."""


def ranking(table: pd.DataFrame, outcomes: Kept | None = None) -> pd.DataFrame:
    """Correlate every measure with every PD, for each training.

    Parameters
    ----------
    table
        Rows of `ap3 evaluate`, of all baselines.
    outcomes
        Of the same variants; with them the measure `ceiling` is told, the ρ that a perfect measure
        would have with the PDs of the test split.

    Returns
    -------
    DataFrame
        A row per data set, network, trial, mode, epoch, state of BatchNorm, PD, kind of pair
        (`among`: all, within ratios, or at one ratio) and measure: `n` variants, Spearman's `rho`,
        and `gain`, ρ less that of AP2. No row of fewer than eight variants.
    """
    rows = [
        dict(zip(_KEYS, key, strict=True)) | row
        for key, mine in joint(table).groupby(_KEYS, sort=False)
        for row in _of_training(mine, (outcomes or {}).get(key[:3]))
    ]
    found = ["pd", "among", "measure", "sees", "n", "rho", "gain"]
    return pd.DataFrame(rows, columns=[*_KEYS, *found])


def _of_training(
    mine: pd.DataFrame, outcomes: Mapping[str, Outcomes] | None
) -> Iterator[dict[str, Any]]:
    ratios = np.unique(mine["ratio"])
    groups = {"all": mine}
    if len(ratios) > 1:
        groups |= {WITHIN: mine} | {
            f"ratio {ratio:g}": mine[mine["ratio"] == ratio] for ratio in ratios
        }
    measures = present(mine.columns)
    for among, chosen in groups.items():
        if len(chosen) < _LEAST:
            continue
        within = chosen["ratio"].to_numpy() if among == WITHIN else None
        most = _ceilings(chosen, outcomes, within) if outcomes is not None else {}
        for pd_name in PDS:
            rho = {
                one.column: _rho(
                    chosen[one.column].to_numpy(float), chosen[pd_name].to_numpy(float), within
                )
                for one in measures
            }
            told = measures
            if pd_name in most:
                told, rho[CEILING] = [*measures, named(CEILING)], most[pd_name]
            for one in told:
                yield {
                    "pd": pd_name,
                    "among": among,
                    "measure": one.column,
                    "sees": one.sees,
                    "n": len(chosen),
                    "rho": rho[one.column],
                    "gain": rho[one.column] - rho["ap2"],
                }


def _ceilings(
    chosen: pd.DataFrame, outcomes: Mapping[str, Outcomes], within: Vector | None
) -> dict[str, float]:
    """Return the ρ of a perfect measure with every PD of the test split."""
    names = [of_network(*key) for key in chosen[_VARIANT].itertuples(index=False)]
    missing = [name for name in (BASELINE, *names) if name not in outcomes]
    if missing:
        raise InvalidValueError(
            f"the outcomes of the test images lack those of {missing[0]!r}; give the file that ap3 "
            "evaluate wrote beside the table."
        )
    own, variants = outcomes[BASELINE], [outcomes[name] for name in names]
    # What every image loses by each variant, (V, N): nats, and answers.
    damage = {
        "loss": np.stack([one.loss[0] for one in variants]).astype(np.float64) - own.loss[0],
        "accuracy": own.correct[0] - np.stack([one.correct[0] for one in variants]).astype(float),
    }
    return {
        f"test_pd_{what}{sign}": ceiling(lost, not sign, within)
        for what, lost in damage.items()
        for sign in ("", SIGNED)
    }


def _rho(one: Vector, two: Vector, groups: Vector | None) -> float:
    if np.isnan(one).any() or _is_constant(one):
        return float("nan")
    if groups is not None:
        return float(partial_correlation(one, two, groups))
    return float(spearman(centred_ranks(one), centred_ranks(two)))


def _is_constant(values: Vector) -> bool:
    """Whether values differ by rounding only."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return bool(np.ptp(values) <= 1e-9 * largest)


def with_all_networks(table: pd.DataFrame) -> pd.DataFrame:
    """Add the rows of all networks together, as those of one called `all networks`.

    Networks without BatchNorm stand beside either state of those that have it.

    Parameters
    ----------
    table
        With the columns `model`, `batch_norm` and, where fine-tuning is told, `epoch`.
    """
    if len(table["model"].unique()) <= 1:
        return table
    states = [state for state in table["batch_norm"].unique() if state not in ("none", "tuned")]
    tuned = table["batch_norm"] == "tuned"
    parts = [table, table[tuned].assign(model=ALL)]
    for state in states or ["none"]:
        same = table["batch_norm"].isin([state, "none"])
        parts.append(table[same & ~tuned].assign(model=ALL, batch_norm=state))
    return pd.concat(parts)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average ρ and gain over the trainings of a network, and over those of all networks.

    Parameters
    ----------
    table
        What `ranking` returns.

    Returns
    -------
    DataFrame
        A row per data set, network (or `all networks`), mode, epoch, state of BatchNorm, PD, `among`,
        measure and `statistic` (rho or gain): `n` trainings, `mean`, `min`, `max`, and Student's
        interval of 95 %, `low` to `high`, with `p_value` of the mean being 0.
    """
    keys = ["dataset", "model", "mode", "epoch", "batch_norm", "pd", "among", "measure", "sees"]
    rows = []
    for key, mine in with_all_networks(table).groupby(keys, sort=False):
        for statistic in ("rho", "gain"):
            values = mine[statistic].to_numpy(float)
            if not np.isfinite(values).any():
                continue
            mean, most = t_interval(values), _MOST[statistic]
            rows.append(
                dict(zip(keys, key, strict=True))
                | {"statistic": statistic, "n": int(mean.n), "mean": float(mean.mean)}
                | {"min": float(np.nanmin(values)), "max": float(np.nanmax(values))}
                | {"low": float(np.clip(mean.low, -most, most))}
                | {"high": float(np.clip(mean.high, -most, most))}
                | {"p_value": float(mean.p_value)}
            )
    found = ["statistic", "n", "mean", "min", "max", "low", "high", "p_value"]
    return pd.DataFrame(rows, columns=[*keys, *found])
