"""The measures of a study as arrays: trials by epochs by variants, a set for each network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ap3.config.variants import CONTROL, Variant
from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector
from ap3.measuring import catalogue
from ap3.measuring.sampling_noise import Noise

DIFFERENCES = ("test_pd_accuracy", "test_pd_loss", "train_pd_accuracy", "train_pd_loss")
"""PDs by the name of |PD|, Def. 2.8."""

SIGNED = "_signed"
"""Behind the name of a PD: pruned minus reference, so that damage is positive, accuracy's too."""

COMPARED = tuple(f"{name}{sign}" for name in DIFFERENCES for sign in ("", SIGNED))
"""PDs by which variants are ordered: each as |PD| and with its sign."""

REFERENCES = ("baseline", "control")

AP2 = ("ap2", "ap2_from_control")
"""Columns without a gap: what every other measure is compared with."""

SPLITS = ("test", "train")

VALUES = (
    *(f"{name}_{part}" for name in DIFFERENCES for part in ("signed", "se")),
    *(f"{split}_examples" for split in SPLITS),
)
"""Other columns that what is counted asks for; further measures are counted where there are any."""


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
    covariance
        Of the signed PDs by name, (T, E, V + 1, V + 1), the control last.
    paired
        Whether that is known from the outcomes of single examples, by name, (T, E); where not, the
        PDs are taken as independent.
    resampled
        Signed PDs on resampled examples by name, (T, 2, V + 1, B), at the first and last epoch.
    """

    dataset: str
    model: str
    trials: NDArray[Any]
    epochs: NDArray[Any]
    modes: NDArray[Any]
    ratios: NDArray[Any]
    grids: Mapping[str, Vector]
    covariance: Mapping[str, Vector]
    paired: Mapping[str, NDArray[np.bool_]]
    resampled: Mapping[str, NDArray[np.floating[Any]]]

    @property
    def about(self) -> dict[str, str]:
        """Whose runs these are, as columns of a table."""
        return {"dataset": self.dataset, "model": self.model}

    @property
    def ends(self) -> tuple[int, ...]:
        """Where along the epochs the pruned network is, and where the fine-tuned one, if it was."""
        return (0, -1) if len(self.epochs) > 1 else (0,)

    @property
    def sees(self) -> dict[str, str]:
        """The measures there are, with the user's own laws, and what each may see."""
        mine = catalogue.own_columns(name for name in self.grids if not name.endswith("@control"))
        return {**catalogue.SEES, **dict.fromkeys(mine, "weights")}

    def measure(self, name: str, reference: str, absolute: bool = True) -> Vector | None:
        """Values of a measure, (T, E, V), or their size; none where it knows no such reference."""
        if name == "ratio":
            shape = len(self.trials), len(self.epochs), len(self.ratios)
            return np.broadcast_to(self.ratios, shape)
        same = reference == "baseline" or catalogue.named(name).fixed
        column = name if same else catalogue.from_control(name)
        values = self.grids.get(column)
        if values is None or np.isnan(values).all():
            return None
        return np.abs(values) if absolute else values

    def difference(self, name: str, reference: str) -> Vector:
        """Signed PD, (T, E, V)."""
        signed = self.grids[f"{name}{SIGNED}"]
        if reference == "control":
            signed = signed - self.grids[f"{name}{SIGNED}@control"]
        return self._whole(name, signed)

    def difference_resampled(self, name: str, reference: str, at: int) -> Vector:
        """Signed PD on resampled examples, at the first (0) or the last (−1) epoch: (T, V, B)."""
        signed = self.resampled[name][:, at].astype(float)
        from_control = signed[:, :-1] - signed[:, -1:] if reference == "control" else signed[:, :-1]
        return self._whole(name, from_control)

    def covariance_from(self, name: str, reference: str) -> Vector:
        """Covariance of the signed PDs, (T, E, V, V)."""
        covariance = self.covariance[name]
        if reference == "baseline":
            return covariance[..., :-1, :-1]
        control = covariance[..., -1:]
        around = covariance - control - control.swapaxes(-1, -2) + control[..., -1:, :]
        return np.asarray(around[..., :-1, :-1])

    def examples(self, name: str) -> Vector:
        """How many examples a PD is the mean over, (T, 1, 1)."""
        counts = self.grids[f"{name.partition('_')[0]}_examples"]
        return np.asarray(counts[:, :1, :1])

    def _whole(self, name: str, values: Vector) -> Vector:
        """Accuracies are counts over N: free of what rounding leaves of them."""
        if not name.endswith("accuracy"):
            return values
        examples = self.examples(name)
        counts = values * examples
        near = np.rint(counts)
        # Of N examples; single precision keeps seven digits of a count.
        return np.where(np.abs(counts - near) < 0.01, near, counts) / examples


def runs_of(measures: pd.DataFrame, noises: Iterable[Noise]) -> list[Runs]:
    """Take a study's measures apart: one `Runs` for each network on each data set.

    Raises
    ------
    UserError
        If a trial lacks a variant or an epoch that another has, or its noise; or if there is no
        control.
    """
    found = {(n.origin.dataset, n.origin.model, n.origin.trial): n for n in noises}
    networks = measures.groupby(["dataset", "model"], sort=False)
    return [_runs(dataset, model, rows, found) for (dataset, model), rows in networks]


def _runs(
    dataset: str, model: str, rows: pd.DataFrame, found: Mapping[tuple[str, str, int], Noise]
) -> Runs:
    trials, epochs = np.unique(rows["trial"]), np.unique(rows["epoch"])
    is_control = rows["mode"] == CONTROL
    variants, grids = _grid(rows[~is_control], trials, epochs)
    _, control = _grid(rows[is_control], trials, epochs)
    if not grids or not control:
        raise InvalidValueError(
            f"the measures of {model} on {dataset} must hold the same variants and epochs in every "
            "trial, each once, and the control; give all tables of the study."
        )
    grids |= {f"{name}@control": grid for name, grid in control.items()}
    modes, ratios = (variants[name].to_numpy() for name in ("mode", "ratio"))
    names = [str(Variant(*pair)) for pair in zip(modes, ratios.astype(float), strict=True)]
    noises = [found.get((dataset, model, trial)) for trial in trials]
    noise = _noises(noises, [*names, CONTROL], grids, f"{model} on {dataset}")
    about = dataset, model, trials, epochs, modes.astype(str), ratios
    return Runs(*about, grids, *noise)


def _noises(
    noises: list[Noise | None], names: list[str], grids: Mapping[str, Vector], whose: str
) -> tuple[dict[str, Vector], dict[str, NDArray[np.bool_]], dict[str, NDArray[np.floating[Any]]]]:
    """Covariances, where they are paired, and resampled PDs, the variants in the order of `names`."""
    epochs = grids["ap2"].shape[1]
    known = [
        noise
        for noise in noises
        if noise is not None
        and set(names) <= set(noise.variants)
        and all(len(of_epochs) == epochs for of_epochs in noise.covariance.values())
    ]
    if len(known) < len(noises):
        raise InvalidValueError(
            f"the noise of {whose} must be known for every trial, variant and epoch; measure again."
        )
    places = [[list(noise.variants).index(name) for name in names] for noise in known]
    covariance: dict[str, Vector] = {}
    known_pairs: dict[str, NDArray[np.bool_]] = {}
    resampled: dict[str, NDArray[np.floating[Any]]] = {}
    for name in DIFFERENCES:
        both = zip(known, places, strict=True)
        resampled[name] = np.stack([noise.resampled[name][:, place] for noise, place in both])
        both = zip(known, places, strict=True)
        paired = np.stack([n.covariance[name][:, p][:, :, p] for n, p in both])
        errors = np.concatenate([grids[f"{name}_se"], grids[f"{name}_se@control"]], axis=-1)
        independent = np.square(errors)[..., np.newaxis] * np.eye(len(names))
        covariance[name] = np.where(np.isnan(paired), independent, paired)
        known_pairs[name] = np.asarray(np.isfinite(paired).all(axis=(-1, -2)))
    return covariance, known_pairs, resampled


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
