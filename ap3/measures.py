"""AP2 and AP3 of a pruned layer at every epoch of its fine-tuning, beside the PD of its log."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from ap3.errors import UserError
from ap3.latent import (
    IsotropicGaussian,
    Rotation,
    SpectralGaussian,
    StudentT,
    auto_scale,
    auto_student_t_scale,
    auto_variance,
)
from ap3.latent.vectors import Vector
from ap3.layers import Layer
from ap3.metrics import ap2
from ap3.seeds import derive


@dataclass(frozen=True)
class Laws:
    """The latent laws of one baseline; scales follow from its weights alone."""

    gaussian: IsotropicGaussian
    nondiagonal: SpectralGaussian
    student_t: StudentT

    @classmethod
    def of_baseline(
        cls, weights: Vector, rotation: Rotation, spectrum: Vector, df: float, groups: int | None
    ) -> Self:
        """Set up every law at the unpruned `weights` of a layer."""
        return cls(
            IsotropicGaussian(weights, auto_variance(weights)),
            SpectralGaussian(weights, rotation, spectrum, auto_scale(weights, rotation, spectrum)),
            StudentT(weights, df, auto_student_t_scale(weights, df, groups), groups),
        )

    def measure(self, baseline: Vector, epochs: Vector) -> dict[str, Any]:
        """Compare the weights of every epoch, (E, classes, d), with the baseline's: columns of a table."""
        return {
            "ap2": ap2(baseline, epochs),
            "ap3_gaussian": self.gaussian.kl_many(epochs),
            "ap3_nondiagonal": self.nondiagonal.kl_many(epochs),
            "ap3_student_t": self.student_t.kl_many(epochs),
            "gaussian_variance": self.gaussian.variance,
            "nondiagonal_scale": self.nondiagonal.scale,
            "student_t_scale": self.student_t.scale,
        }


def measures_of(
    baseline: Layer, tuned: Layer, log: pd.DataFrame, laws: Laws, points: int
) -> pd.DataFrame:
    """Put the measures of one variant beside its log, a row per epoch.

    Parameters
    ----------
    baseline
        The last layer, nothing pruned.
    tuned
        The variant's layer with a leading axis of epochs.
    log
        The variant's log, a row per epoch from 0.
    points
        Of the Pyro Monte Carlo estimate of the Student-t AP3 at the last epoch; 0 makes none.
    """
    origin, variant = tuned.origin, tuned.variant
    if len(log) != len(tuned.weight):
        raise UserError(
            f"the log of {variant} has {len(log)} epochs, but its layer {len(tuned.weight)}; fine-tune again."
        )
    about = {
        "dataset": origin.dataset,
        "model": origin.model,
        "trial": origin.trial,
        "mode": variant.mode,
        "ratio": variant.ratio,
        "epoch": log["epoch"].to_numpy(),
        "weights": tuned.mask.size,
        "pruned": int((tuned.mask == 0).sum()),
    }
    measured = laws.measure(baseline.weight, tuned.weight)
    table = pd.DataFrame(about | measured).merge(log, on="epoch")
    if points:
        names = (origin.dataset, origin.model, origin.trial, variant, "Monte Carlo")
        generator = np.random.default_rng(derive(origin.seed, *names))
        last = laws.student_t.at(tuned.weight[-1])
        estimate = laws.student_t.kl_monte_carlo(last, points, generator)
        columns = ["ap3_student_t_mc", "ap3_student_t_mc_se", "ap3_student_t_mc_points"]
        values = (estimate.value, estimate.standard_error, float(estimate.n))
        table[columns] = np.nan
        table.loc[table.index[-1], columns] = values
    return table
