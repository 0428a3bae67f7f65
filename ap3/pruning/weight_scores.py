"""Scores that pruning criteria give to single weights, and what of them a mask removes.

A criterion removes the weights of the lowest score, so the sum of the scores that a mask removes
says what the criterion holds the mask to cost. It depends on the mask alone, and so not on what
fine-tuning does. Each score is an array of the weights' shape (C, d), in float64.
"""

from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector, as_float64, slices


def obd(weights: Any, hessian_diagonal: Any) -> Vector:
    """½ h_ii w_i²: saliency of Optimal Brain Damage (LeCun, Denker and Solla 1989).

    The rise of the loss by removing one weight, to second order and without slope. Their sum over
    the pruned weights is AP3 under the Gaussian law with precision diag H.

    Parameters
    ----------
    weights : array of shape (C, d)
    hessian_diagonal : array of shape (C, d) or (C · d,)
        Of the mean loss in the weights; `SoftmaxCurvature(features, logits).diagonal` for softmax
        cross-entropy.

    Examples
    --------
    >>> obd([[2.0, -1.0]], [[0.5, 4.0]])
    array([[1., 2.]])
    """
    weights = as_float64(weights)
    return 0.5 * as_float64(hessian_diagonal).reshape(weights.shape) * np.square(weights)


def wanda(weights: Any, features: Any) -> Vector:
    """|w_cj| · ‖x_j‖₂, ‖x_j‖ over the examples (Sun et al. 2023).

    N · d additions.

    Parameters
    ----------
    weights : array of shape (C, d)
    features : array of shape (N, d)
        Read in blocks, so half types and memory maps will do.

    Examples
    --------
    >>> wanda([[1.0, -2.0]], [[3.0, 0.0], [4.0, 1.0]])
    array([[5., 2.]])
    """
    squares = np.zeros(np.shape(features)[1])
    for rows in slices(len(features), len(squares)):
        squares += np.square(as_float64(features[rows], "features")).sum(axis=0)
    return np.abs(as_float64(weights)) * np.sqrt(squares)


def lamp(weights: Any) -> Vector:
    """w²/Σ v² over all v with |v| ≥ |w| of the layer: LAMP (Lee et al. 2021).

    Between 0 and 1, and 1 for the largest weight. Of equal weights the earlier comes first, as one
    is removed after the other. A layer of zeros scores zero.

    Parameters
    ----------
    weights : array of any shape

    Examples
    --------
    >>> lamp([[2.0, -1.0, 1.0]]).round(4)
    array([[1.    , 0.1667, 0.2   ]])
    """
    squares = np.square(as_float64(weights)).ravel()
    order = np.argsort(squares, kind="stable")
    left = np.cumsum(squares[order][::-1])[::-1]  # from the smallest on: no digit is lost
    scores = np.zeros_like(squares)
    scores[order] = np.divide(squares[order], left, out=np.zeros_like(left), where=left > 0)
    return scores.reshape(np.shape(weights))


def snip(weights: Any, gradient: Any) -> Vector:
    """|w · ∂L/∂w|: connection sensitivity (Lee, Ajanthan and Torr 2019), not normalised.

    The change of the loss by removing one weight, to first order.

    Parameters
    ----------
    weights : array of shape (C, d)
    gradient : array of shape (C, d)
        Of the mean loss at these weights; `HeadLoss.value_and_gradient` gives it.

    Examples
    --------
    >>> snip([[2.0, -1.0]], [[0.5, 4.0]])
    array([[1., 4.]])
    """
    return np.abs(as_float64(weights) * as_float64(gradient))


def removed(scores: Any, masks: Any) -> Vector:
    """Sum of the scores that masks remove.

    Parameters
    ----------
    scores : array of shape (C, d)
    masks : array of shape (E, C, d), or (C, d)
        0 where a weight is pruned, else 1.

    Returns
    -------
    array of shape (E,), or a number

    Raises
    ------
    UserError
        If the shapes do not fit.

    Examples
    --------
    >>> removed([[1.0, 2.0]], [[[0, 1]], [[0, 0]], [[1, 1]]])
    array([1., 3., 0.])
    """
    scores, masks = as_float64(scores), np.asarray(masks)
    if masks.shape[-scores.ndim :] != scores.shape or masks.ndim > scores.ndim + 1:
        raise InvalidValueError(
            f"masks must have the shape of the scores, {scores.shape}, or be a stack of such, but "
            f"have shape {masks.shape}."
        )
    return np.asarray(np.where(masks == 0, scores, 0.0).sum(axis=tuple(range(-scores.ndim, 0))))
