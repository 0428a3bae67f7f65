"""How far two last layers' outputs lie apart, without a law: logits, answers, representations."""

from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.logit_change import LogitChange, logit_changes


def squared_change(made: LogitChange) -> Vector:
    """‖u‖² of every example, (b, E): squared change of the logits; E‖Δx‖² where no bias moves.

    A shift of all logits counts, though no prediction sees it.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return np.asarray(np.square(made.change).sum(axis=-1))


def flipped(made: LogitChange) -> Vector:
    """1 where the answer changes, else 0, (b, E). Of equal logits the first class is the answer.

    The mean is the share of flips, at least |PD| of the accuracy, whatever the labels are.

    Parameters
    ----------
    made
        Logits and their change.
    """
    after = (made.before + made.change).argmax(axis=-1)
    return (made.before.argmax(axis=-1) != after).astype(float)


def logit_cka(features: Any, reference: Any, others: Any) -> Vector:
    """Linear CKA between the logits of a layer and of others (Kornblith et al. 2019).

    With Y, Ỹ (N, C) the logits less their means over the examples, ‖ỸᵀY‖²/(‖YᵀY‖ ‖ỸᵀỸ‖) in
    Frobenius norms: 1 for equal logits up to a rotation, a scale and a shift, 0 for unrelated ones.
    N · E · C · (d + C) multiplications.

    Parameters
    ----------
    features : array of shape (N, d)
    reference : array of shape (C, d + 1), or (E, C, d + 1)
        Weights with the bias as last column; one layer, or one for each of the others.
    others : array of shape (E, C, d + 1)

    Returns
    -------
    array of shape (E,)
        NaN where the logits of one of them are the same for all examples.

    Raises
    ------
    UserError
        If the shapes do not fit, a number is not finite, or there are no examples.

    Examples
    --------
    >>> layers = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 9.0], [3.0, 0.0]]])
    >>> logit_cka(np.array([[1.0], [2.0]]), layers[0], layers)
    array([1., 1.])
    """
    count = len(features)
    if count == 0:
        raise InvalidValueError("CKA needs at least one example, but there are none.")
    others = as_float64(others)
    classes = others.shape[1] if others.ndim == 3 else 0
    # Second moments of (z, z̃) about the first example's, which spares a pass for the means.
    sums = np.zeros((len(others), 2 * classes))
    squares = np.zeros((len(others), 2 * classes, 2 * classes))
    origin: Vector | None = None
    for made in logit_changes(features, reference, others):
        both = _before_and_after(made)
        origin = both[:1] if origin is None else origin
        by_layer = np.moveaxis(both - origin, 0, 1)
        sums += by_layer.sum(axis=1)
        squares += by_layer.swapaxes(1, 2) @ by_layer
    squares -= sums[:, :, np.newaxis] * sums[:, np.newaxis] / count
    own, shared = squares[:, :classes, :classes], squares[:, :classes, classes:]
    other = squares[:, classes:, classes:]
    with np.errstate(invalid="ignore"):
        together = _frobenius(shared)
        found = (together / _frobenius(own)) * (together / _frobenius(other))
    return np.asarray(np.minimum(found, 1.0))  # rounding may lead above it


def _before_and_after(made: LogitChange) -> Vector:
    """Logits under both layers side by side, (b, E, 2C)."""
    before = np.broadcast_to(made.before, made.change.shape)
    return np.concatenate([before, made.before + made.change], axis=-1)


def _frobenius(matrices: Vector) -> Vector:
    return np.asarray(np.linalg.norm(matrices, axis=(1, 2)))
