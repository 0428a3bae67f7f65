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

from ap3.explaining.trial_grids import Runs
from ap3.latent.vectors import Vector

_KEYS = ["dataset", "model", "epoch", "ratio", "mode", "other", "measure"]

_COLUMNS = ["dataset", "model", "trial", "ratio", "mode", "other", "epoch", "measure", "contrast"]
_COLUMNS += ["pd_contrast", "pd_gap", "pd_gap_se"]


def contrast(runs: Sequence[Runs]) -> pd.DataFrame:
    """Compare the modes of every trial, before fine-tuning and at its end.

    Returns
    -------
    DataFrame
        A row per data set, network, trial, epoch, ratio, pair of modes and measure: `contrast`,
        log₁₀ of the measure of `mode` over that of `other`; `pd_contrast`, the same of the PD of
        the test loss; `pd_gap`, how much larger the PD of `mode` is in test accuracy, with its
        standard error `pd_gap_se`, paired over the examples. A contrast with zero is missing. No
        rows where there is a single mode.
    """
    rows = [row for each in runs for row in _contrasts(each)]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=_COLUMNS)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average the contrasts over the trials: `n`, `mean`, `sd`, and `deviations` = |mean|/sd.

    The contrast of the PD itself stands among those of the measures, as `test_pd_loss`.
    """
    of_pd = table.drop_duplicates([*_KEYS[:-1], "trial"]).drop(columns="contrast")
    of_pd = of_pd.rename(columns={"pd_contrast": "contrast"}).assign(measure="test_pd_loss")
    both = pd.concat([table, of_pd], ignore_index=True)
    found = both.groupby(_KEYS, sort=False)["contrast"].agg(n="count", mean="mean", sd="std")
    return found.assign(deviations=found["mean"].abs() / found["sd"]).reset_index()


def _contrasts(runs: Runs) -> Iterator[pd.DataFrame]:
    loss = runs.difference("test_pd_loss", "baseline")
    accuracy = runs.difference("test_pd_accuracy", "baseline")
    for ratio in np.unique(runs.ratios):
        for one, two in combinations(np.flatnonzero(runs.ratios == ratio), 2):
            pair = np.array([[one, two]])
            error = runs.gap_error("test_pd_accuracy", "baseline", pair)[..., 0]
            about = {"ratio": ratio, "mode": runs.modes[one], "other": runs.modes[two]}
            for at in runs.ends:
                about |= {"epoch": runs.epochs[at]}
                pd_columns = {
                    "pd_contrast": _decades(np.abs(loss[:, at, one]), np.abs(loss[:, at, two])),
                    "pd_gap": np.abs(accuracy[:, at, one]) - np.abs(accuracy[:, at, two]),
                    "pd_gap_se": error[:, at],
                }
                for name in runs.sees:
                    values = runs.measure(name, "baseline")
                    if values is not None:
                        decades = _decades(values[:, at, one], values[:, at, two])
                        columns = {"measure": name, "contrast": decades} | pd_columns
                        yield pd.DataFrame(runs.about | {"trial": runs.trials} | about | columns)


def _decades(one: Vector, two: Vector) -> Vector:
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(one / two)
    return np.where(np.isfinite(decades), decades, np.nan)
