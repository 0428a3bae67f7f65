"""Every measure of a pruned layer, epoch by epoch, beside the PD of its log.

Some see the weights alone (AP2 and its relatives, AP3 under the weights' own laws), some the
features that the layer sees as well (the Fisher laws, the Taylor estimate), and one what the pruned
network puts out (the KL of its predictions). PD is what they are to foretell.
"""

from typing import Any

import numpy as np
import pandas as pd

from ap3.config.seeds import derive
from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.head_loss import predictions_kl
from ap3.measuring.laws import Laws
from ap3.measuring.reference import Reference
from ap3.metrics import cosine_distance, relative_frobenius
from ap3.pruning.layers import FloatArray, Layer


def measures_of(
    baseline: Reference,
    tuned: Layer,
    log: pd.DataFrame,
    control: Layer | None = None,
    frozen: bool = True,
    points: int = 0,
) -> pd.DataFrame:
    """Put the measures of one variant beside its log, a row per epoch.

    Parameters
    ----------
    tuned
        The variant's layer with a leading axis of epochs.
    log
        The variant's log, a row per epoch from 0.
    control
        The layer that was fine-tuned without pruning. With it come the columns `…_from_control`,
        which compare the two at the same epoch and so leave out the drift that both share.
    frozen
        Whether the layers below were held (scope `head`). If not, what the variant predicts does
        not follow from the baseline's features, and the KL of predictions is missing.
    points
        Of the Pyro Monte Carlo estimate of the Student-t AP3 at the last epoch; 0 makes none.
    """
    layer = baseline.layer
    tuned.check_epochs(log["epoch"])
    about = tuned.about | {
        "epoch": log["epoch"].to_numpy(),
        "weights": tuned.mask.size,
        "pruned": int((tuned.mask == 0).sum()),
    }
    distances = baseline.distances(tuned.weight)
    measured = distances | {
        "relative_frobenius": relative_frobenius(layer.weight, tuned.weight),
        "cosine_distance": cosine_distance(layer.weight, tuned.weight),
        "magnitude_pruned": _share_pruned(layer.weight, tuned.mask),
        "taylor": baseline.taylor(tuned.weight, distances),
        "kl_predictions": _predictions(baseline, layer, tuned) if frozen else np.nan,
    }
    if control is not None:
        measured |= _from_control(baseline, tuned, control, frozen)
    table = pd.DataFrame(about | measured | baseline.laws.scales).merge(log, on="epoch")
    return _with_monte_carlo(table, baseline.laws, tuned, points) if points else table


def _share_pruned(weights: FloatArray, mask: FloatArray) -> float:
    """Share of ‖ω‖² that stood on the pruned weights."""
    squares = np.square(as_float64(weights))
    return float(squares[mask == 0].sum() / squares.sum())


def _from_control(
    baseline: Reference, tuned: Layer, control: Layer, frozen: bool
) -> dict[str, Vector | float]:
    """Compare a variant with the control at the same epoch.

    Every law is one of location, so its KL depends on the difference of the weights only, and the
    difference to the control can be measured from the baseline's weights.
    """
    moved = as_float64(baseline.layer.weight) + (
        as_float64(tuned.weight) - as_float64(control.weight)
    )
    measured: dict[str, Any] = baseline.distances(moved)
    measured["kl_predictions"] = _predictions(baseline, control, tuned) if frozen else np.nan
    return {f"{name}_from_control": values for name, values in measured.items()}


def _predictions(baseline: Reference, reference: Layer, tuned: Layer) -> Vector:
    return predictions_kl(baseline.loss.features, _with_bias(reference), _with_bias(tuned))


def _with_bias(layer: Layer) -> Vector:
    """Weights with the bias as last column, (…, C, d + 1)."""
    return np.concatenate([layer.weight, layer.bias[..., np.newaxis]], axis=-1)


def _with_monte_carlo(table: pd.DataFrame, laws: Laws, tuned: Layer, points: int) -> pd.DataFrame:
    """Add the paper's estimate of the Student-t AP3 with its standard error, at the last epoch."""
    origin = tuned.origin
    names = (origin.dataset, origin.model, origin.trial, tuned.variant, "Monte Carlo")
    generator = np.random.default_rng(derive(origin.seed, *names))
    last = laws.student_t.at(tuned.weight[-1])
    estimate = laws.student_t.kl_monte_carlo(last, points, generator)
    columns = ["ap3_student_t_mc", "ap3_student_t_mc_se", "ap3_student_t_mc_points"]
    table[columns] = np.nan
    values = (estimate.value, estimate.standard_error, float(estimate.n))
    table.loc[table.index[-1], columns] = values
    return table
