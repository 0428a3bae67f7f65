"""A bound on the performance difference along fine-tuning: what Theorem 3.6 can honestly be.

Theorem 3.6 says that PD at epoch t is of the order of ε_t and of the number of epochs, by a recursion
that loses factors. With the stored epochs no recursion is needed. L is convex in the last layer, so
between the states t and T of one fine-tuning

    ⟨∇L(ω̃ᵀ), ω̃ᵗ − ω̃ᵀ⟩ ≤ L(ω̃ᵗ) − L(ω̃ᵀ) ≤ ⟨∇L(ω̃ᵗ), ω̃ᵗ − ω̃ᵀ⟩,

and by the triangle inequality through the last state

    PD_t ≤ PD_T + max(‖∇L(ω̃ᵗ)‖, ‖∇L(ω̃ᵀ)‖) ‖ω̃ᵗ − ω̃ᵀ‖ + ptp(b̃ᵗ − b̃ᵀ),

slopes in the weights alone; what the bias can change is its own term. As ‖∇L‖ ≤ √2 E‖x‖ it is never
above the Lipschitz bound between the two states, and it ends at PD_T, not at zero. Under a Gaussian law
with Σ = σ²I, ‖ω̃ᵗ − ω̃ᵀ‖ is σ √(2 KL(ω̃ᵀ ‖ ω̃ᵗ)): the KL that Theorem 3.6 is about.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.bound_formulas import bias_bound


def along_fine_tuning(weights: Any, biases: Any, slopes: Any, last_pd: Any) -> Vector:
    """Bound PD_t at every epoch t by PD_T at the last and the way from t to T.

    Parameters
    ----------
    weights : array of shape (…, E, C, d)
        The last layer at every epoch.
    biases : array of shape (…, E, C)
    slopes : array of shape (…, E)
        ‖∂L/∂W‖ at every epoch, of the split that PD is taken on.
    last_pd : array of shape (…)
        PD of the loss at the last epoch.

    Returns
    -------
    array of shape (…, E), in nats

    Examples
    --------
    >>> path = np.array([[[3.0], [0.0]], [[1.0], [0.0]]])
    >>> along_fine_tuning(path, np.zeros((2, 2)), slopes=[0.5, 0.1], last_pd=0.25)
    array([1.25, 0.25])
    """
    weights, biases = as_float64(weights), as_float64(biases, "the bias")
    slopes, last_pd = np.asarray(slopes, dtype=float), np.asarray(last_pd, dtype=float)
    way = np.sqrt(np.square(weights - weights[..., -1:, :, :]).sum(axis=(-2, -1)))
    steepest = np.maximum(slopes, slopes[..., -1:])
    shift = bias_bound(biases - biases[..., -1:, :])
    return np.asarray(last_pd[..., np.newaxis] + steepest * way + shift)
