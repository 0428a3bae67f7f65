"""Distances between a layer's weights that need no latent law: AP2 (Def. 2.1) and its relatives.

Each takes a baseline of any shape S and other weights of shape S, and gives a float; or a stack of
shape (E, *S), such as the epochs of a fine-tuning, and gives an array (E,). Everything is summed in
float64. Pruned weights count as zeros; a bias is no part of the weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector, as_vector, over_rows


def ap2(baseline: Any, weights: Any) -> Any:
    """AP2 under the identity projection, ‖ω − ω̃‖² (Def. 2.1).

    Raises
    ------
    UserError
        If the shapes don't fit or a weight is complex, NaN or infinite; so for all of them here.

    Examples
    --------
    >>> ap2([3.0, 4.0], [3.0, 0.0])
    16.0
    >>> ap2([3.0, 4.0], [[3.0, 4.0], [0.0, 0.0]])
    array([ 0., 25.])
    """
    omega = as_vector(baseline)
    return _one_or_many(lambda rows: np.square(rows - omega).sum(axis=1), baseline, weights)


def relative_frobenius(baseline: Any, weights: Any) -> Any:
    """‖ω − ω̃‖ / ‖ω‖: √AP2 in units of the baseline.

    Raises
    ------
    UserError
        If the baseline is all zero.

    Examples
    --------
    >>> relative_frobenius([3.0, 4.0], [3.0, 0.0])
    0.8
    """
    norm = np.linalg.norm(as_vector(baseline))
    if norm == 0:
        raise InvalidValueError(
            "a distance relative to all-zero weights has no value; check the baseline."
        )
    distance = np.sqrt(ap2(baseline, weights)) / norm
    return distance if np.ndim(distance) else float(distance)


def cosine_distance(baseline: Any, weights: Any) -> Any:
    """1 − cos of the angle between ω and ω̃, in [0, 2]; NaN where one of them is all zero.

    Taken as half the squared distance of the two unit vectors, which keeps its digits at small
    angles.

    Examples
    --------
    >>> cosine_distance([1.0, 0.0], [[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    array([0., 1., 2.])
    """
    omega = _unit(as_vector(baseline)[np.newaxis])
    return _one_or_many(
        lambda rows: 0.5 * np.square(_unit(rows) - omega).sum(axis=1), baseline, weights
    )


def _unit(rows: Vector) -> Vector:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, np.nan)


def _one_or_many(measure: Callable[[Vector], Vector], baseline: Any, weights: Any) -> Any:
    shape, size = np.shape(baseline), int(np.prod(np.shape(baseline)))
    weights = weights if hasattr(weights, "shape") else np.asarray(weights)
    if tuple(weights.shape) == shape:
        return float(measure(as_vector(weights)[np.newaxis])[0])
    if tuple(weights.shape[1:]) == shape:
        return over_rows(measure, weights, size)
    raise InvalidValueError(
        f"weights must have the baseline's shape {shape}, or (E, …) for a stack of them, "
        f"but have shape {tuple(weights.shape)}."
    )
