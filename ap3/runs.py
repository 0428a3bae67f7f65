"""The measures of a study as arrays: trials by epochs by variants, a set for each network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.errors import UserError
from ap3.latent.vectors import Vector
from ap3.variants import CONTROL

SEES = {
    "ratio": "weights",
    "magnitude_pruned": "weights",
    "ap2": "weights",
    "relative_frobenius": "weights",
    "cosine_distance": "weights",
    "ap3_gaussian": "weights",
    "ap3_nondiagonal": "weights",
    "ap3_student_t": "weights",
    "ap3_fisher": "features",
    "ap3_fisher_diagonal": "features",
    "taylor": "features",
    "kl_predictions": "outputs",
}
"""The measures, and what each may see: the weights alone, the features, or the outputs too."""

_FIXED = ("ratio", "magnitude_pruned")  # of the pruning itself, whatever it is measured from

DIFFERENCES = ("test_pd_accuracy", "test_pd_loss", "train_pd_accuracy", "train_pd_loss")
REFERENCES = ("baseline", "control")


@dataclass(frozen=True, eq=False)
class Runs:
    """All trials of one network on one data set.

    Attributes
    ----------
    trials, epochs : array of shape (T,), (E,)
    modes, ratios : array of shape (V,)
        Of the pruned variants.
    grids
        Columns of the measures by name, (T, E, V); the control's own by name and `@control`,
        (T, E, 1).
    """

    dataset: str
    model: str
    trials: NDArray[Any]
    epochs: NDArray[Any]
    modes: NDArray[Any]
    ratios: NDArray[Any]
    grids: Mapping[str, Vector]

    @property
    def about(self) -> dict[str, str]:
        """Whose runs these are, as columns of a table."""
        return {"dataset": self.dataset, "model": self.model}

    def measure(self, name: str, reference: str) -> Vector | None:
        """Values of a measure, (T, E, V); none where it knows no such reference."""
        if name == "ratio":
            shape = len(self.trials), len(self.epochs), len(self.ratios)
            return np.broadcast_to(self.ratios, shape)
        column = name if reference == "baseline" or name in _FIXED else f"{name}_from_control"
        values = self.grids.get(column)
        return None if values is None or np.isnan(values).all() else np.abs(values)

    def difference(self, name: str, reference: str) -> tuple[Vector, Vector]:
        """Signed PD and its standard error, (T, E, V) each."""
        signed, error = self.grids[f"{name}_signed"], self.grids[f"{name}_se"]
        if reference == "baseline":
            return signed, error
        own = self.grids[f"{name}_signed@control"], self.grids[f"{name}_se@control"]
        return signed - own[0], np.hypot(error, own[1])


def runs_of(measures: pd.DataFrame) -> list[Runs]:
    """Take a study's measures apart: one `Runs` for each network on each data set.

    Raises
    ------
    UserError
        If a trial lacks a variant or an epoch that another has, or there is no control.
    """
    networks = measures.groupby(["dataset", "model"], sort=False)
    return [_runs(dataset, model, rows) for (dataset, model), rows in networks]


def _runs(dataset: str, model: str, rows: pd.DataFrame) -> Runs:
    trials, epochs = np.unique(rows["trial"]), np.unique(rows["epoch"])
    is_control = rows["mode"] == CONTROL
    variants, grids = _grid(rows[~is_control], trials, epochs)
    _, own = _grid(rows[is_control], trials, epochs)
    if not grids or not own:
        raise UserError(
            f"the measures of {model} on {dataset} must hold the same variants and epochs in every "
            "trial, each once, and the control; give all tables of the study."
        )
    grids |= {f"{name}@control": grid for name, grid in own.items()}
    modes, ratios = (variants[name].to_numpy() for name in ("mode", "ratio"))
    return Runs(dataset, model, trials, epochs, modes.astype(str), ratios, grids)


def _grid(
    rows: pd.DataFrame, trials: NDArray[Any], epochs: NDArray[Any]
) -> tuple[pd.DataFrame, dict[str, Vector]]:
    """Return the variants, and every number of theirs as (T, E, V); none if a row is missing."""
    variants = rows[["mode", "ratio"]].drop_duplicates()
    grid = pd.DataFrame({"trial": trials}).merge(pd.DataFrame({"epoch": epochs}), how="cross")
    grid = grid.merge(variants, how="cross")
    ordered = grid.merge(rows, how="inner")
    if not len(variants) or not len(ordered) == len(grid) == len(rows):
        return variants, {}
    shape = len(trials), len(epochs), len(variants)
    numbers = rows.select_dtypes("number").columns
    return variants, {name: ordered[name].to_numpy(float).reshape(shape) for name in numbers}
