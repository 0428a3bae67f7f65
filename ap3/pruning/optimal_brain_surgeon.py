"""Optimal Brain Surgeon: what a weight costs if all others may move to make up for it.

Hassibi and Stork (1993). For a loss with Hessian H at its minimum, the cheapest way to set weight q
to zero costs w_q²/(2 [H⁻¹]_qq) (their Eq. 5), with the other weights moved by −w_q/[H⁻¹]_qq · H⁻¹e_q.
Here the scores are taken once, at the trained weights (one shot), and order the weights: no weight is
moved, so a mask leaves the kept ones as they are, like every other mask of ap3.

H is formed and factored, n × n for n weights: minutes and half a gigabyte for the largest n allowed.
"""

from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.special import softmax

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector, as_float64, slices

LARGEST = 8192
"""Weights of the largest layer that is scored; its Hessian has 0.5 GB."""


def obs(weights: Any, hessian: Any) -> Vector:
    """w_q²/(2 [H⁻¹]_qq) of every weight.

    n³/3 multiplications twice: the Cholesky factor L, and its inverse, as [H⁻¹]_qq = Σ_i [L⁻¹]²_iq.

    Parameters
    ----------
    weights : array of shape (C, d)
        n = C · d of them.
    hessian : array of shape (n, n)
        Positive definite, such as a damped `softmax_hessian`, in the order of the flattened weights.

    Returns
    -------
    array of shape (C, d)

    Raises
    ------
    UserError
        If the Hessian is not positive definite, or of another shape.

    Examples
    --------
    >>> obs([[2.0, 1.0]], [[2.0, 1.0], [1.0, 1.0]])  # H⁻¹ = [[1, −1], [−1, 2]]
    array([[2.  , 0.25]])
    """
    weights = as_float64(weights)
    if np.shape(hessian) != (weights.size, weights.size):
        raise InvalidValueError(
            f"the Hessian of {weights.size} weights must be a square table of them, but has shape "
            f"{np.shape(hessian)}."
        )
    factor, failed = dpotrf(as_float64(hessian), lower=True)
    if failed:
        raise InvalidValueError(
            "the Hessian must be positive definite, but is not; give a larger damping."
        )
    inverse, _ = dtrtri(factor, lower=True, overwrite_c=True)
    diagonal = np.square(inverse).sum(axis=0).reshape(weights.shape)
    return np.asarray(np.square(weights) / (2 * diagonal))


def softmax_hessian(features: Any, logits: Any, damping: float) -> Vector:
    """Form H + λI of the mean softmax cross-entropy in the weights of a linear layer.

    H = 1/N Σᵢ (diag pᵢ − pᵢ pᵢᵀ) ⊗ xᵢ xᵢᵀ, the exact Hessian, and the Gauss–Newton and Fisher matrix
    as well; `ap3.latent.SoftmaxCurvature` multiplies with it unformed. N C² d²/2 multiplications.

    Parameters
    ----------
    features : array of shape (N, d)
    logits : array of shape (N, C)
    damping
        λ ≥ 0, added to the diagonal; H itself is singular, as it does not see a shift of all logits.

    Returns
    -------
    array of shape (C · d, C · d)

    Raises
    ------
    UserError
        If the layer has more than `LARGEST` weights.

    Examples
    --------
    >>> softmax_hessian([[2.0]], logits=[[0.0, 0.0]], damping=0.5)  # x² (diag p − ppᵀ) + λ
    array([[ 1.5, -1. ],
           [-1. ,  1.5]])
    """
    (examples, width), classes = np.shape(features), np.shape(logits)[1]
    if classes * width > LARGEST:
        raise InvalidValueError(
            f"the layer has {classes * width} weights, but Optimal Brain Surgeon forms a Hessian of "
            f"at most {LARGEST}; leave the mode obs out, or take obd."
        )
    hessian = np.zeros((classes, width, classes, width))
    for rows in slices(examples, width + classes):
        x = as_float64(features[rows] if hasattr(features, "shape") else np.asarray(features)[rows])
        p = softmax(as_float64(np.asarray(logits)[rows]), axis=1)
        for one in range(classes):
            for two in range(one):
                hessian[one, :, two] -= (x * (p[:, [one]] * p[:, [two]])).T @ x / examples
    for one in range(classes):
        for two in range(one):
            # diag p − ppᵀ has rows that add up to zero, so 1 − p is never formed.
            hessian[two, :, one] = hessian[one, :, two]
            hessian[one, :, one] -= hessian[one, :, two]
            hessian[two, :, two] -= hessian[one, :, two]
    table = hessian.reshape(classes * width, classes * width)
    table[np.diag_indices_from(table)] += damping
    return table
