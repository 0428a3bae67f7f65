"""The paper's bounds beside what they bound, for every variant, epoch and latent law.

Slope, curvature and `pd_loss` are all of one thing, the mean cross-entropy on the baseline's
training examples (or the sample of them that `Reference.read` draws), so that a re-derived bound
has no excuse for failing. The PDs of whole splits stand beside; of the test one only the bounds that
need no latent law speak (`…_test`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ap3.latent.law import Law
from ap3.latent.spread import Spread
from ap3.latent.vectors import FloatArray, Vector
from ap3.measuring import bound_formulas
from ap3.measuring.along_fine_tuning import along_fine_tuning
from ap3.measuring.direct_bounds import DIRECT, direct_bounds
from ap3.measuring.lipschitz import lipschitz_bound
from ap3.measuring.reference import Reference
from ap3.measuring.two_point import two_point_distance2
from ap3.metrics import ap2
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork
from ap3.training.splits import Split

BOUNDS = {
    "lemma31_printed": "Lemma 3.1, as printed",
    "lemma31_one_point": "Lemma 3.1, all at ω̃",
    "lemma31": "Lemma 3.1, re-derived",
    "cor32_printed": "Cor. 3.2, as printed",
    "cor32_one_point": "Cor. 3.2, all at ω̃",
    "cor32": "Cor. 3.2, re-derived",
    "two_point": "Cor. 2.6, sharp",
    "along_fine_tuning": "Thm 3.6, along fine-tuning",
    **DIRECT,
}
"""Columns of bounds on the PD; all but those as printed and at one point are proved."""

ON_TEST = tuple(f"{name}_test" for name in DIRECT)
"""Columns of the bounds on the PD of the test split; nothing else here bounds that one."""

VALUES = ("pd_loss", *BOUNDS, *(f"{name}_over_pd" for name in (*BOUNDS, *ON_TEST)))
"""Columns that what is made of the bounds asks for."""

_DIGITS = 7


LOG = ("train_pd_loss", "test_pd_loss")
"""Columns of a variant's log that stand beside its bounds."""


def bounds_of(
    reference: Reference,
    variants: Iterable[tuple[PrunedNetwork, pd.DataFrame]],
    test: Split,
    frozen: bool = True,
) -> pd.DataFrame:
    """Put every bound beside the PD of every variant: a row per variant, law and epoch.

    Parameters
    ----------
    reference
        The baseline.
    variants
        Each, its layers with a leading axis of epochs, and its log, a row per epoch from 0.
    test
        What the last layer sees of the test split.
    frozen
        Whether the layers below were held (scope `head`). If not, the loss is no function of the
        last layer alone once fine-tuning has begun, and no bound is made for those epochs; nor for
        any epoch where other layers than the last were pruned.
    """
    rows = [
        part for tuned, log in variants for part in _of_variant(reference, tuned, log, test, frozen)
    ]
    table = pd.concat(rows, ignore_index=True)
    for name in (*BOUNDS, *ON_TEST):
        difference = table["pd_loss_test" if name in ON_TEST else "pd_loss"]
        table[f"{name}_over_pd"] = over_pd(table[name], difference)
    numbers = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map(_significant) for name in numbers})


def _of_variant(
    reference: Reference, tuned: PrunedNetwork, log: pd.DataFrame, test: Split, frozen: bool
) -> Iterator[pd.DataFrame]:
    """Give the bounds by each law, a row per epoch."""
    tuned.check_epochs(log["epoch"])
    layer = tuned.layers[reference.head]
    about = tuned.about | {
        "epoch": log["epoch"],
        "train_pd_loss": log["train_pd_loss"],
        "test_pd_loss": log["test_pd_loss"],
    }
    only_head = set(tuned.layers) == {reference.head}
    same_trunk = only_head & (frozen | (log["epoch"].to_numpy() == 0))
    loss = _loss_facts(reference, layer, same_trunk) | _directly(reference, layer, test, same_trunk)
    for measure, laws in reference.laws.items():
        if reference.head in laws:
            of_law = _of_law(laws[reference.head], layer.weight, loss)
            yield pd.DataFrame(about | {"law": measure.law_name} | loss | of_law)


def over_pd(bound: pd.Series, pd_loss: pd.Series) -> pd.Series:
    """Bound ÷ PD: below 1 where the bound fails; infinite where the PD is zero."""
    return (bound / pd_loss).where(pd_loss != 0, np.inf).where(bound.notna())


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Count how often each bound fails on pruned variants, and how loose it is.

    Returns a row per data set, network, law, bound and phase (`pruned`: epoch 0; `tuned`: later):
    n variants × trials × epochs, how many `failing`, how many `infinite` (ε of 2 or more, or a
    PD of zero), and the smallest, median and largest bound ÷ PD.
    """
    names = [f"{name}_over_pd" for name in (*BOUNDS, *ON_TEST)]
    keys = ["dataset", "model", "law"]
    pruned = table[table["mode"] != "control"]
    phase = np.where(pruned["epoch"] == 0, "pruned", "tuned")
    tidy = pruned.assign(phase=phase).melt([*keys, "phase"], names, "bound", "over_pd").dropna()
    tidy["bound"] = tidy["bound"].str.removesuffix("_over_pd")
    grouped = tidy.groupby([*keys, "bound", "phase"], sort=False)["over_pd"]
    return grouped.agg(
        n="count",
        failing=lambda ratio: (ratio < 1).sum(),
        infinite=lambda ratio: np.isinf(ratio).sum(),
        min="min",
        median="median",
        max="max",
    ).reset_index()


def _loss_facts(reference: Reference, tuned: PrunedLayer, same_trunk: Vector) -> dict[str, Any]:
    """Describe the loss at the baseline and at every epoch; NaN where the trunk has moved."""
    layer, loss = reference.layer, reference.loss
    facts, start = np.full((3, len(same_trunk)), np.nan), None
    for epoch in np.flatnonzero(same_trunk):
        at = tuned.weight[epoch], tuned.shift[epoch]
        value, gradient = loss.value_and_gradient(*at)
        eigenvalue, start = loss.top_eigenvalue(*at, start)
        facts[:, epoch] = abs(value - reference.value), np.linalg.norm(gradient), eigenvalue
    bias_change = bound_formulas.bias_bound(tuned.shift.astype(float) - layer.shift)
    return {
        "pd_loss": facts[0],
        "along_fine_tuning": along_fine_tuning(tuned.weight, tuned.shift, facts[1], facts[0, -1]),
        "ap2": ap2(layer.weight, tuned.weight),
        "lambda_max": facts[2],
        "lambda_bound": loss.curvature_bound,
        "slope": np.linalg.norm(reference.gradient),
        "slope_pruned": facts[1],
        "bias_bound": np.where(same_trunk, bias_change, np.nan),
        "same_trunk": same_trunk,
    }


def _directly(
    reference: Reference, tuned: PrunedLayer, test: Split, same_trunk: Vector
) -> dict[str, Any]:
    """Bound the PD of both splits without a law; NaN where the trunk has moved."""
    layer, moved = reference.layer, (tuned.weight[same_trunk], tuned.shift[same_trunk])
    splits = {"": (reference.loss.features, reference.loss.labels)}
    splits["_test"] = test.features, test.labels
    columns: dict[str, Any] = {}
    for suffix, split in splits.items():
        found = direct_bounds(*split, (layer.weight, layer.shift), moved)
        if suffix:
            found["pd_loss"] = np.abs(found["slope_term"] + found["kl_term"])
        for name, values in found.items():
            column = columns[f"{name}{suffix}"] = np.full(len(same_trunk), np.nan)
            column[same_trunk] = values
    return columns


def _of_law(law: Law, weights: FloatArray, loss: dict[str, Any]) -> dict[str, Any]:
    """Every bound that a law gives, for weights (E, C, d)."""
    spread, kl = law.spread, law.kl_many(weights)
    trace, bias = 2 * spread.trace, loss["bias_bound"]
    from_baseline = loss["slope"], loss["lambda_bound"]
    at_pruned = loss["slope_pruned"], loss["lambda_max"]
    full = 1.0 if spread.sees_every_weight else np.nan
    gaussian = 1.0 if spread.gaussian else np.nan
    return {
        "epsilon": kl,
        "trace": trace,
        "precision_min": spread.precision_min,
        "precision_max": spread.precision_max,
        "cor26": full * bound_formulas.corollary_2_6(loss["ap2"], trace),
        "eq16_printed": full * bound_formulas.equation_16_printed(kl, trace),
        "eq16": full * bound_formulas.equation_16(kl, trace),
        "lemma31_printed": bound_formulas.lemma_3_1_printed(kl, trace, loss["lambda_max"]),
        "lemma31_one_point": full * (bound_formulas.lemma_3_1(kl, trace, *at_pruned) + bias),
        "lemma31": full * (bound_formulas.lemma_3_1(kl, trace, *from_baseline) + bias),
        "cor32_printed": gaussian
        * bound_formulas.corollary_3_2_printed(kl, spread.precision_min, loss["lambda_max"]),
        "cor32_one_point": gaussian
        * (bound_formulas.corollary_3_2(kl, spread.precision_min, *at_pruned) + bias),
        "cor32": gaussian
        * (bound_formulas.corollary_3_2(kl, spread.precision_min, *from_baseline) + bias),
        "two_point": full
        * (
            lipschitz_bound(loss["feature_norm"], two_point_distance2(kl, 1 / spread.precision_min))
            + bias
        ),
        "eq4": gaussian * bound_formulas.equation_4(loss["ap2"], spread.precision_max),
        **(_equation_5(loss["ap2"], kl, spread) if spread.gaussian else {}),
        "def27": bound_formulas.definition_2_7(kl),
        "thm36": bound_formulas.theorem_3_6(kl, law.at(weights[-1]).kl_many(weights)),
        "epsilon_below_2": kl < 2,
        "equal_covariance": True,
        "finite_volume": False,
        "sees_every_weight": spread.sees_every_weight,
        "gaussian": spread.gaussian,
    }


def _equation_5(distance2: Vector, kl: Vector, spread: Spread) -> dict[str, Any]:
    tested = bound_formulas.equation_5(distance2, kl, spread.precision_min, spread.precision_max)
    return {f"eq5_{name}": values for name, values in tested.items()}


def _significant(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
