"""Gaussian latent laws of the last layer that are shaped by the curvature of what it predicts.

For softmax cross-entropy the Fisher matrix of the mean loss in a layer's weights and bias is
F = E[(diag p − ppᵀ) ⊗ xxᵀ], x with a 1 for the bias. Half its quadratic form in a change Δ is
½ E Var_p(u), u the change of the logits: to second order the KL of the predictions. Under p or
under q it is the same matrix at the one or at the other end of the way.
"""

from typing import Any

import numpy as np

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector
from ap3.measuring.logit_change import LogitChange, centred, logit_changes


def fisher_before(made: LogitChange) -> Vector:
    """½ Var_p(u) of every example, (b, E); the mean is ½ ΔᵀF(ω)Δ, in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return np.asarray(0.5 * (made.p * np.square(made.centred)).sum(axis=-1))


def fisher_after(made: LogitChange) -> Vector:
    """½ Var_q(u) of every example, (b, E); the mean is ½ ΔᵀF(ω̃)Δ, in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return np.asarray(0.5 * (made.q * np.square(centred(made.change, made.q))).sum(axis=-1))


def fisher_both_ends(made: LogitChange) -> Vector:
    """Mean of `fisher_before` and `fisher_after`, (b, E), in nats.

    The KL of two Gaussians whose precision is the mean of F(ω) and F(ω̃). Half the sum of KL(p ‖ q)
    and KL(q ‖ p) is ½ ∫ Var(u) dt along the way from z to z̃, of which this is the trapezoid rule.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return 0.5 * (fisher_before(made) + fisher_after(made))


def kronecker_fisher(features: Any, reference: Any, others: Any) -> Vector:
    """½ tr(GΔAΔᵀ), AP3 under the Kronecker-factored Fisher law (Martens and Grosse 2015).

    A = E xxᵀ and G = E[diag p − ppᵀ], both at `reference`, as if the features and the predictions of
    an example had nothing to do with one another: F ≈ G ⊗ A. As ΔAΔᵀ = E uuᵀ, neither A nor anything
    of the size of the weights squared is formed. N · E · C · (d + C) multiplications.

    Parameters
    ----------
    features : array of shape (N, d)
    reference : array of shape (C, d + 1)
        Weights with the bias as last column.
    others : array of shape (E, C, d + 1)
        With `reference`'s bias, if the law is to be one of the weights alone.

    Returns
    -------
    array of shape (E,), in nats

    Raises
    ------
    UserError
        If the shapes do not fit, a number is not finite, or there are no examples.

    Examples
    --------
    >>> layers = np.array([[[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    >>> kronecker_fisher(np.array([[1.0], [3.0]]), layers[0], layers)  # ½ · ¼ · E x²
    array([0.   , 0.625])
    """
    if np.ndim(reference) != 2 or len(features) == 0:
        raise InvalidValueError(
            "the Kronecker factors are those of one layer, (C, d + 1), over one example or more, but "
            f"there are {len(features)} examples and the layer has shape {np.shape(reference)}."
        )
    count, classes = len(features), len(reference)
    moments, factor = np.zeros((len(others), classes, classes)), np.zeros((classes, classes))
    for made in logit_changes(features, reference, others):
        p = made.p[:, 0]
        factor += np.diag(p.sum(axis=0)) - p.T @ p
        # G does not see a shift of all logits, and without it u is no larger than it need be.
        moved = np.moveaxis(made.change - made.change.mean(axis=-1, keepdims=True), 0, 1)
        moments += moved.swapaxes(1, 2) @ moved
    return np.asarray(0.5 * np.einsum("cd,ecd->e", factor, moments) / count**2)
