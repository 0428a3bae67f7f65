"""Bounds on the performance difference that are linear in the distance of the weights.

Cross-entropy as a function of the logits has the gradient p − e_y, whose entries sum to zero and
whose norm is at most √2. So an example's loss changes by at most √2 ‖u‖ when its logits change by u,
and by at most max u − min u. With u = Δx + Δb the mean loss changes by at most

    √2 E‖x‖ ‖Δ‖ + ptp(Δb),

‖Δ‖ the spectral norm of Δ (C, d), or the Frobenius norm √AP2 above it. No curvature, slope or label
enters. With √2 E‖x‖ in the place of ½ λ_max, and ptp(Δb) beside it, Cor. 3.2 is true in the form it is
printed in: ‖Δ‖ is at most √(2ε/λ_min(Σ⁻¹)) for Gaussians of one Σ.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import Vector, as_float64, slices
from ap3.measuring.bound_formulas import bias_bound


def mean_norm(features: Any) -> float:
    """E‖x‖, the mean Euclidean norm of the features.

    Parameters
    ----------
    features : array of shape (N, d)
        Read in blocks, so half types and memory maps will do.

    Examples
    --------
    >>> mean_norm(np.array([[3.0, 4.0], [0.0, 1.0]]))
    3.0
    """
    total = sum(
        float(np.linalg.norm(as_float64(features[rows], "features"), axis=1).sum())
        for rows in slices(len(features), np.shape(features)[1])
    )
    return total / len(features)


def lipschitz_bound(norm: Any, distance2: Any, bias_change: Any = 0.0) -> Vector:
    """√2 E‖x‖ ‖Δ‖ + ptp(Δb): above |L(ω̃) − L(ω)| on the split that E‖x‖ is taken on.

    Parameters
    ----------
    norm : array
        E‖x‖ (`mean_norm`).
    distance2 : array of shape (E,)
        ‖Δ‖², of the Frobenius norm (AP2) or of the spectral norm. What bounds it from above will
        do: `two_point_distance2` or `bound_formulas.equation_20` make it a function of ε.
    bias_change : array of shape (E, C), or 0
        Δb; 0 where no bias moves, as before fine-tuning.

    Returns
    -------
    array of shape (E,), in nats

    Examples
    --------
    >>> lipschitz_bound(2.0, [0.0, 2.0], [[0.0, 0.0], [0.5, -0.5]])
    array([0., 5.])
    """
    bias_change = np.asarray(bias_change, dtype=float)
    shift = bias_bound(bias_change) if bias_change.ndim else 0.0
    return np.asarray(np.sqrt(2) * norm * np.sqrt(np.asarray(distance2, dtype=float)) + shift)
