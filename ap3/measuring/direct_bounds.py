"""Bounds on the performance difference that need no latent law, of one split of the data.

All of them follow from PD = slope + KL of predictions (`ap3.measuring.slopes`), which holds on any
split, and bound the KL: by convexity, by self-concordance, or both terms by the size of the change.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import FloatArray, Vector
from ap3.measuring.case import with_bias
from ap3.measuring.lipschitz import lipschitz_bound, mean_norm
from ap3.measuring.logit_change import means
from ap3.measuring.predictive_law import forward_kl
from ap3.measuring.self_concordance import ENCLOSURES
from ap3.measuring.slopes import slope_after, slope_before

DIRECT = {
    "convexity": "Convexity",
    "self_concordance": "Self-concordance",
    "bennett": "Self-concordance, logarithmic",
    "lipschitz": "Lipschitz",
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
        `slope_term` and `kl_term`, whose sum is the signed PD of the mean cross-entropy; and a
        bound on its size for each name of `DIRECT`.

    Examples
    --------
    >>> layers = np.zeros((2, 1)), np.zeros(2)
    >>> moved = np.array([[[0.0], [np.log(3)]]]), np.zeros((1, 2))
    >>> found = direct_bounds(np.ones((1, 1)), np.array([0]), layers, moved)
    >>> round(float(found["slope_term"][0] + found["kl_term"][0]), 6)  # from log 2 to log 4
    0.693147
    >>> {name: round(float(found[name][0]), 3) for name in DIRECT}
    {'convexity': 0.824, 'self_concordance': 0.775, 'bennett': 0.717, 'lipschitz': 1.554}
    """
    (weight, bias), (weights, biases) = baseline, tuned
    found = means(features, with_bias(weight, bias), with_bias(weights, biases), _TERMS, labels)
    slope = found["slope"]
    distance2 = np.square(weights.astype(float) - weight).sum(axis=(1, 2))
    return {
        "slope_term": slope,
        "kl_term": found["kl"],
        "convexity": np.maximum(np.abs(slope), np.abs(found["slope_after"])),
        "self_concordance": _enclosed(slope, found, "self_concordant"),
        "bennett": _enclosed(slope, found, "bennett"),
        "lipschitz": lipschitz_bound(mean_norm(features), distance2, biases.astype(float) - bias),
    }


def _enclosed(slope: Vector, found: dict[str, Vector], name: str) -> Vector:
    """Bound |slope + KL| by the ends between which the KL lies."""
    ends = (slope + found[f"{name}_{end}"] for end in ("lower", "upper"))
    return np.maximum(*map(np.abs, ends))
