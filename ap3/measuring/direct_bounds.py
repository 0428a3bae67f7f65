"""Bounds on the performance difference that need no latent law, of one split of the data.

All of them follow from PD = slope + KL of predictions (`ap3.measuring.slopes`), which holds on any
split, and bound the KL, the slope, or both terms by the size of the change.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import FloatArray, Vector
from ap3.measuring.case import with_bias
from ap3.measuring.head_loss import HeadLoss
from ap3.measuring.kl_enclosures import ENCLOSURES
from ap3.measuring.lipschitz import lipschitz_bound, mean_norm
from ap3.measuring.logit_change import means
from ap3.measuring.predictive_law import forward_kl
from ap3.measuring.slopes import slope_after, slope_before

DIRECT = {
    "lipschitz": "Lipschitz",
    "chain": "Thm 3.5, as a chain of norms",
    "predictive": "AP3 of the predictive law",
    "convexity": "Convexity",
    "self_concordance": "Self-concordance",
    "bennett": "Bennett",
    "two_ends": "Slopes at both ends",
    "best": "Smallest without a law",
}
"""Bounds of one split, by column."""

_TERMS = {"slope": slope_before, "slope_after": slope_after, "kl": forward_kl, **ENCLOSURES}


def direct_bounds(
    features: Any,
    labels: Any,
    baseline: tuple[FloatArray, FloatArray],
    tuned: tuple[FloatArray, FloatArray],
) -> dict[str, Vector]:
    """Return the two terms of the PD, and every bound of `DIRECT`, in nats.

    Parameters
    ----------
    features, labels : arrays of shape (N, d) and (N,)
        Of the split.
    baseline
        Weights (C, d) and bias (C,) of the last layer.
    tuned
        Weights (E, C, d) and biases (E, C) of a variant.

    Returns
    -------
    dict of arrays of shape (E,)
        `slope_term` and `kl_term`, whose sum is the signed PD of the mean cross-entropy;
        `feature_norm`, E‖x‖; and a bound on the size of the PD for each name of `DIRECT`.

    Examples
    --------
    >>> layers = np.zeros((2, 1)), np.zeros(2)
    >>> moved = np.array([[[0.0], [np.log(3)]]]), np.zeros((1, 2))
    >>> found = direct_bounds(np.ones((1, 1)), np.array([0]), layers, moved)
    >>> round(float(found["slope_term"][0] + found["kl_term"][0]), 6)  # from log 2 to log 4
    0.693147
    >>> for name in ("chain", "predictive", "convexity", "bennett", "two_ends"):
    ...     print(name, round(float(found[name][0]), 3))
    chain 1.554
    predictive 1.242
    convexity 0.824
    bennett 0.717
    two_ends 0.705
    """
    layer, layers = with_bias(*baseline), with_bias(*tuned)
    found = means(features, layer, layers, _TERMS, labels)
    change = layers.astype(float) - layer
    weights, shift = change[..., :-1], change[..., -1]
    _, gradient = HeadLoss(features, labels).value_and_full_gradient(*baseline)
    norm, slope, kl = mean_norm(features), found["slope"], found["kl"]
    bounds = {
        "lipschitz": lipschitz_bound(norm, np.square(weights).sum(axis=(1, 2)), shift),
        "chain": lipschitz_bound(norm, np.square(np.linalg.norm(weights, 2, axis=(1, 2))), shift),
        "predictive": np.linalg.norm(gradient) * np.linalg.norm(change, axis=(1, 2)) + kl,
        "convexity": np.maximum(np.abs(slope), np.abs(found["slope_after"])),
        "self_concordance": _enclosed(slope, found, "self_concordant"),
        "bennett": _enclosed(slope, found, "bennett"),
        "two_ends": _enclosed(slope, found, "two_ends"),
    }
    smallest = np.minimum.reduce([*bounds.values()])
    terms = {"slope_term": slope, "kl_term": kl, "feature_norm": np.full(len(kl), norm)}
    return terms | bounds | {"best": smallest}


def _enclosed(slope: Vector, found: dict[str, Vector], name: str) -> Vector:
    """Bound |slope + KL| by the ends between which the KL lies."""
    ends = (slope + found[f"{name}_{end}"] for end in ("lower", "upper"))
    return np.maximum(*map(np.abs, ends))
