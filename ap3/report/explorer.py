"""What the explorer shows: every variant's measures and PDs, and how often the two agree.

The page embeds these numbers and the libraries that draw them, so that it works without a network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.config.variants import CONTROL
from ap3.figures import look
from ap3.measuring import catalogue, network_catalogue

PDS = {"loss": "loss", "accuracy": "accuracy"}
SPLITS = {"test": "test", "train": "training"}
UNITS = {"loss": "nats", "accuracy": "% points"}

REFERENCES = ("baseline", "control")
FLOOR, CEILING = "lookup", "ceiling"
"""Rows of the agreement between which a measure has its place."""
RATIO = "ratio"
"""The floor among networks that no look-up knows: the share that was pruned, alone."""

_DIGITS = 5
_KEYS = ["dataset", "model", "trial", "epoch", "reference", "pd", "measure", "agreement"]


def measures_of(measures: pd.DataFrame) -> dict[str, str]:
    """Return the measures that vary in a table, by column; AP2 first, one's own laws last."""
    varied = [
        one
        for one in network_catalogue.present(measures.columns)
        if measures[one.column].min() < measures[one.column].max()
    ]
    return {one.column: one.name for one in sorted(varied, key=lambda one: one.column != "ap2")}


def network_data(variants: pd.DataFrame, ranking: pd.DataFrame) -> dict[str, Any]:
    """Return all that the explorer needs of a study over any layers.

    Each state of BatchNorm counts as a network of its own. How well a measure orders the variants is
    Spearman's ρ, as `ranking` counts it.
    """
    several = len(variants["batch_norm"].unique()) > 1
    counted = ranking[ranking["among"] == "all"].rename(columns={"rho": "agreement"})
    both = [
        table.assign(model=table["model"] + ", " + table["batch_norm"]) if several else table
        for table in (variants, counted.assign(reference="baseline", among="all"))
    ]
    mean = both[1].groupby([*_KEYS[:-1], "among"], as_index=False, sort=False)["agreement"].mean()
    found = data(both[0], mean)
    states = variants[["model", "batch_norm"]].drop_duplicates().itertuples(index=False)
    titles = {
        f"{model}, {state}": f"{look.name_title(model)}, BatchNorm {state}"
        for model, state in states
        if several
    }
    own = {"statistic": "rho", "floor": RATIO, "titles": found["titles"] | titles}
    return found | own


def data(measures: pd.DataFrame, agreement: pd.DataFrame | None = None) -> dict[str, Any]:
    """Return all that the explorer needs.

    Parameters
    ----------
    measures
        Every variant, epoch and trial of a study.
    agreement
        How often each measure orders two variants as the PD does; nothing where it was not counted.

    Returns
    -------
    dict
        `variants`, `metrics`, `looks`, and `networks`: for each its numbers as columns, a row per
        trial, variant and epoch, and its agreement.
    """
    names = measures_of(measures)
    keys = [name for name in ("mode", "ratio", "allocation") if name in measures]
    variants = measures[keys].drop_duplicates().reset_index(drop=True)
    modes = [mode for mode in variants["mode"].unique() if mode != CONTROL]
    counted = _counted(agreement)
    groups = measures.groupby(["dataset", "model"], sort=False)
    return {
        "control": CONTROL,
        "statistic": "agreement",
        "variants": variants.to_dict("records"),
        "metrics": names,
        "pds": PDS,
        "splits": SPLITS,
        "units": UNITS,
        "fixed": [name for name in names if catalogue.named(name).fixed],
        "floor": FLOOR,
        "ceiling": CEILING,
        "colors": {mode: one.color for mode, one in look.mode_looks(modes).items()},
        "modes": {mode: look.name_title(mode) for mode in modes},
        "titles": {
            name: look.name_title(name)
            for column in ("dataset", "model")
            for name in measures[column].unique()
        },
        "networks": [
            {"dataset": dataset, "model": model}
            | _columns(rows, names, variants)
            | {
                "agreement": _agreement(counted, dataset, model, rows),
                "decided": _decided(counted, dataset, model, rows),
            }
            for (dataset, model), rows in groups
        ],
    }


def _columns(
    rows: pd.DataFrame, names: Mapping[str, str], variants: pd.DataFrame
) -> dict[str, Any]:
    """Return the numbers of one network, column by column."""
    place = {tuple(pair): number for number, pair in enumerate(variants.to_numpy().tolist())}
    pairs = rows[list(variants)].to_numpy().tolist()
    values = {}
    for name in names:
        values[name] = _rounded(rows[name])
        from_control = catalogue.from_control(name)
        if from_control in rows and rows[from_control].notna().any():
            values[from_control] = _rounded(rows[from_control])
    for split in SPLITS:
        for kind in PDS:
            column = f"{split}_pd_{kind}"
            values[column] = _rounded(rows[f"{column}_signed"] * look.factor(column))
    return {
        "trial": rows["trial"].tolist(),
        "epoch": rows["epoch"].tolist(),
        "variant": [place[tuple(pair)] for pair in pairs],
        "values": values,
    }


def _counted(agreement: pd.DataFrame | None) -> pd.DataFrame:
    """Return the agreement among any two variants; of it only what the page shows."""
    if agreement is None or not {*_KEYS, "among"} <= set(agreement):
        return pd.DataFrame(columns=_KEYS)
    shown = [*_KEYS, *({"decided"} & {*agreement})]
    return agreement[agreement["among"] == "all"][shown]


def _agreement(
    counted: pd.DataFrame, dataset: str, model: str, rows: pd.DataFrame
) -> dict[str, list[list[float | None]]]:
    """Return the agreement of one network: for each case and measure, trials by epochs."""
    mine = counted[(counted["dataset"] == dataset) & (counted["model"] == model)]
    mine = mine.dropna(subset="agreement")
    return _grids(mine, ["reference", "pd", "measure"], "agreement", rows)


def _decided(
    counted: pd.DataFrame, dataset: str, model: str, rows: pd.DataFrame
) -> dict[str, list[list[float | None]]]:
    """Return how many pairs of one network the examples tell apart: for each case, trials by epochs."""
    if "decided" not in counted:
        return {}
    mine = counted[
        (counted["dataset"] == dataset)
        & (counted["model"] == model)
        & (counted["measure"] == "ap2")
    ]
    return _grids(mine, ["reference", "pd"], "decided", rows)


def _grids(
    mine: pd.DataFrame, keys: list[str], column: str, rows: pd.DataFrame
) -> dict[str, list[list[float | None]]]:
    trials, epochs = (pd.Index(sorted(rows[name].unique())) for name in ("trial", "epoch"))
    mine = mine[mine["trial"].isin(trials) & mine["epoch"].isin(epochs)]
    cases = mine[keys].drop_duplicates()
    shares = np.full((len(cases), len(trials), len(epochs)), np.nan)
    case = mine.groupby(keys, sort=False).ngroup().to_numpy()
    at = trials.get_indexer(mine["trial"]), epochs.get_indexer(mine["epoch"])
    shares[case, *at] = mine[column].round(4)
    return {
        " ".join(name): [_listed(row) for row in table]
        for name, table in zip(cases.itertuples(index=False), shares, strict=True)
    }


def _listed(values: NDArray[np.floating[Any]]) -> list[float | None]:
    return [None if not np.isfinite(value) else float(value) for value in values]


def _rounded(values: Sequence[float] | pd.Series) -> list[float | None]:
    """Return values in five digits, whole numbers as such, to keep the page small."""
    return [
        None if not np.isfinite(value) else float(f"{value:.{_DIGITS}g}")
        for value in np.asarray(values, float)
    ]
