"""What the trials of a study say together: means with their number and spread."""

import numpy as np
import pandas as pd

from ap3.config.variants import CONTROL
from ap3.explaining.trial_grids import COMPARED
from ap3.explaining.trial_intervals import half_width
from ap3.measuring import catalogue

METRICS = tuple(measure.column for measure in catalogue.MEASURES if measure.averaged)
"""Measures that are to explain the PD."""

MEASURES = (*METRICS, *COMPARED)

PERFORMANCE = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def summarise(measures: pd.DataFrame) -> pd.DataFrame:
    """Average every measure at the last epoch over the trials.

    Returns a row per data set, network, mode, ratio and measure, with `n` trials, their `mean`,
    their sample standard deviation `sd`, Student's interval of the mean, `low` to `high` (all empty for
    one trial), `min` and `max`.
    """
    last = measures[measures["epoch"] == measures["epoch"].max()]
    keys = ["dataset", "model", "mode", "ratio", "epoch"]
    return _over_trials(last, keys, [*MEASURES, *catalogue.own_columns(last)])


def baselines(measures: pd.DataFrame) -> pd.DataFrame:
    """Average the performance of the baselines themselves over the trials, as `summarise` does.

    An interval ends at 0, and that of an accuracy at 1.
    """
    untouched = measures[(measures["mode"] == CONTROL) & (measures["epoch"] == 0)]
    found = _over_trials(untouched, ["dataset", "model"], list(PERFORMANCE))
    largest = np.where(found["measure"].str.endswith("accuracy"), 1.0, np.inf)
    return found.assign(low=found["low"].clip(lower=0.0), high=found["high"].clip(upper=largest))


def _over_trials(table: pd.DataFrame, keys: list[str], values: list[str]) -> pd.DataFrame:
    tidy = table.melt(id_vars=keys, value_vars=values, var_name="measure")
    grouped = tidy.groupby([*keys, "measure"], sort=False)["value"]
    found = grouped.agg(n="count", mean="mean", sd="std", min="min", max="max").reset_index()
    half = half_width(found["n"], found["sd"])
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)
