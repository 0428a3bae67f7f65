"""The slope of the loss between two last layers: the first-order part of the performance difference.

Cross-entropy is A(z) − z_y with A = log Σ exp the log-partition. Let u = z̃ − z. Then, for every
example,

    loss(z̃) − loss(z) = A(z + u) − A(z) − u_y = ⟨p − e_y, u⟩ + KL(p ‖ q),

as KL(p ‖ q) = A(z + u) − A(z) − ⟨p, u⟩ (A's Bregman divergence). So **the performance difference is
the slope at the baseline plus the KL of the predictions, exactly**; and from the other end, the
slope at ω̃ less KL(q ‖ p). Where only the last layer moves u = Δx + Δb, and the mean slopes are
⟨∇L(ω), Δ⟩ and ⟨∇L(ω̃), Δ⟩, bias included. As no KL is negative,

    ⟨∇L(ω), Δ⟩ ≤ L(ω̃) − L(ω) ≤ ⟨∇L(ω̃), Δ⟩,

which is the convexity of L; and the mean of both, the trapezoid, is off by half the difference of
the two KLs, a term of third order. All of it holds on any split, and for any network, whatever
layers have moved, if z and u are its logits and their change.
"""

import numpy as np

from ap3.latent.vectors import Vector
from ap3.measuring.logit_change import LogitChange, Quantity


def slope_before(made: LogitChange) -> Vector:
    """⟨p − e_y, u⟩ = Σ p_c (u_c − u_y) of every example, (b, E), in nats.

    Parameters
    ----------
    made
        Logits, their change and the labels.

    Examples
    --------
    >>> made = LogitChange(np.zeros((1, 1, 2)), np.array([[[np.log(3), 0.0]]]), np.array([1]))
    >>> slopes = slope_before, slope_after, trapezoid  # the loss rises by log 2 = 0.693
    >>> [round(float(slope(made)[0, 0]), 3) for slope in slopes]
    [0.549, 0.824, 0.687]
    """
    return np.asarray((made.p * _from_label(made)).sum(axis=-1))


def slope_after(made: LogitChange) -> Vector:
    """⟨q − e_y, u⟩ of every example, (b, E), in nats: the slope at the end of the way.

    Parameters
    ----------
    made
        Logits, their change and the labels.
    """
    return np.asarray((made.q * _from_label(made)).sum(axis=-1))


def trapezoid(made: LogitChange) -> Vector:
    """⟨½ (p + q) − e_y, u⟩ of every example, (b, E), in nats: the mean of both slopes.

    Parameters
    ----------
    made
        Logits, their change and the labels.
    """
    return np.asarray((0.5 * (made.p + made.q) * _from_label(made)).sum(axis=-1))


def _from_label(made: LogitChange) -> Vector:
    """u_c − u_y, (b, E, C): zero at the label, so that p − e_y loses no digit where p_y is near 1."""
    rows = np.arange(len(made.labels))
    return np.asarray(made.change - made.change[rows, :, made.labels][..., np.newaxis])


SLOPES: dict[str, Quantity] = {"before": slope_before, "after": slope_after, "trapezoid": trapezoid}
"""The slopes of one example's loss, by name, for `logit_change.means`."""
