"""A bound from both sides on the performance difference that knows the slope at both ends.

For one example let u be the change of its logits and f(t) = A(z + t u), A = log Σ exp. Along the way
f″ is the variance of u under the softmax of z + t u, and

    J = ⟨q − p, u⟩ = ∫₀¹ f″(t) dt = KL(p ‖ q) + KL(q ‖ p),     KL(p ‖ q) = ∫₀¹ (1 − t) f″(t) dt.

J is what the slope changes by from one end to the other. As f″ ≥ 0, KL(p ‖ q) lies between 0 and J,
which is convexity. It is known better than that, because f″ cannot gather at one end: f‴ is the third
central moment of u, so −a f″ ≤ f‴ ≤ b f″ with

    b = max u − ⟨p, u⟩,     a = ⟨q, u⟩ − min u,

as the mean of u rises from ⟨p, u⟩ to ⟨q, u⟩. Beside the exponential with the rate b (or −a), f″ only
falls (or rises), and so the mean of 1 − t under it is at least (or at most) that under the exponential:

    J s(−b) ≤ KL(p ‖ q) ≤ J s(a),     s(x) = ∫₀¹ (1 − t) e^{−xt} dt / ∫₀¹ e^{−xt} dt = 1/(1 − e^{−x}) − 1/x.

s rises from 0 through s(0) = ½ to 1, so both ends lie within those of convexity. For small changes
they meet at ½ J, off by a term of third order.
"""

from typing import Any

import numpy as np

from ap3.latent.vectors import Vector
from ap3.measuring.exponential_remainder import psi
from ap3.measuring.logit_change import LogitChange
from ap3.measuring.predictive_law import forward_kl


def jeffreys(made: LogitChange) -> Vector:
    """KL(p ‖ q) + KL(q ‖ p) = ⟨q − p, u⟩ of every example, (b, E), in nats: the change of the slope.

    Parameters
    ----------
    made
        Logits and their change.
    """
    # log(q/p), small where the change is, so that q − p keeps its digits.
    ratio = made.centred - made.of(forward_kl)[..., np.newaxis]
    with np.errstate(under="ignore"):
        apart = np.where(ratio > 1, made.q - made.p, made.p * np.expm1(np.minimum(ratio, 1.0)))
        return np.asarray((apart * made.centred).sum(axis=-1))


def two_ends_lower(made: LogitChange) -> Vector:
    """J s(−b) of every example, (b, E), in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return made.of(jeffreys) * early_share(-made.centred.max(axis=-1))


def two_ends_upper(made: LogitChange) -> Vector:
    """J s(a) of every example, (b, E), in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    # a = ⟨q − p, u⟩ + (⟨p, u⟩ − min u).
    return made.of(jeffreys) * early_share(made.of(jeffreys) - made.centred.min(axis=-1))


def early_share(rate: Any) -> Vector:
    """s(x) = 1/(1 − e⁻ˣ) − 1/x: mean of 1 − t under the density on [0, 1] that falls at the rate x.

    Parameters
    ----------
    rate : array of any shape
        x; below zero the density rises.

    Examples
    --------
    >>> early_share([-10.0, 0.0, 1.0, 10.0]).round(6)
    array([0.099955, 0.5     , 0.581977, 0.900045])
    """
    rate = np.asarray(rate, dtype=float)
    size = np.abs(rate)
    small, large = np.clip(size, 1e-300, 1.0), np.maximum(size, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        late = np.where(
            size > 1, 1 / large - 1 / np.expm1(large), psi(small) * (small / np.expm1(small))
        )
    return np.where(rate > 0, 1 - late, late)
