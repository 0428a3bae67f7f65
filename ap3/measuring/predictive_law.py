"""The predictive law: distances between what two last layers predict, over the examples.

Given the inputs, the labels' law has the weights as its parameters, and so it is a latent law in
the sense of Def. 2.2. Its KL, the mean over examples of KL(p ‖ q), is an AP3, which sees the
network's outputs and no label. p and q are the predictions before and after.

A mean of KLs written as a sum of p log(p/q) loses its digits where p and q are close. Here each is a
logarithm or a sum of terms that are never negative, and holds nearly all digits of any size.
"""

import numpy as np
from scipy.special import logsumexp

from ap3.latent.vectors import Vector
from ap3.measuring.exponential_remainder import log_remainder, remainder
from ap3.measuring.logit_change import LogitChange, Quantity


def forward_kl(made: LogitChange) -> Vector:
    """KL(p ‖ q) of every example, (b, E), in nats.

    With v = u − ⟨p, u⟩ and A the log-partition, KL = A(z + u) − A(z) − ⟨p, u⟩ = log Σ p eᵛ
    = log(1 + Σ p φ(v)) with φ(v) = eᵛ − 1 − v ≥ 0, since Σ p v = 0.

    Parameters
    ----------
    made
        Logits and their change.

    Examples
    --------
    >>> made = LogitChange(np.zeros((1, 1, 2)), np.array([[[np.log(3), 0.0]]]))
    >>> [round(float(kl(made)[0, 0]), 6) for kl in (forward_kl, reverse_kl, jensen_shannon)]
    [0.143841, 0.130812, 0.033822]
    """
    if _is_moderate(made.log_p, made.centred):
        return np.asarray(np.log1p((made.p * remainder(made.centred)).sum(axis=-1)))
    with np.errstate(under="ignore"):
        excess = logsumexp(made.log_p + log_remainder(made.centred), axis=-1)
    return np.asarray(np.logaddexp(0.0, excess))


def reverse_kl(made: LogitChange) -> Vector:
    """KL(q ‖ p) of every example, (b, E), in nats: the way back.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return forward_kl(made.reverse)


def jensen_shannon(made: LogitChange) -> Vector:
    """½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q), of every example, (b, E): at most log 2 nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    # log(q/p) = u − A(z + u) + A(z) = v − KL(p ‖ q), which is small where the change is.
    ratio = made.centred - made.of(forward_kl)[..., np.newaxis]
    forth = _to_the_middle(made.log_p, made.p, ratio)
    return 0.5 * (forth + _to_the_middle(made.log_q, made.q, -ratio))


def _to_the_middle(log_p: Vector, p: Vector, ratio: Vector) -> Vector:
    """KL(p ‖ m), m = ½ (p + q), from `ratio` = log(q/p).

    Σ p (eʷ − 1 − w) with w = log(m/p), as Σ p (m/p − 1) = 0.
    """
    w = np.log1p(0.5 * np.expm1(np.minimum(ratio, _LARGE)))
    if _is_moderate(log_p, ratio):
        return np.asarray((p * remainder(w)).sum(axis=-1))
    with np.errstate(under="ignore"):
        terms = np.exp(log_p + log_remainder(w))
        # Of a class that p all but rules out nothing is left but p m/p.
        terms = np.where(ratio > _LARGE, 0.5 * np.exp(log_p + ratio), terms)
    return np.asarray(terms.sum(axis=-1))


_LARGE = 300.0


def _is_moderate(log_p: Vector, change: Vector) -> bool:
    """Tell whether p and its products with e to the `change` are far from what float64 cannot hold."""
    return bool(log_p.min(initial=0) >= -_LARGE and change.max(initial=0) <= _LARGE)


DIVERGENCES: dict[str, Quantity] = {
    "forward": forward_kl,
    "reverse": reverse_kl,
    "jensen_shannon": jensen_shannon,
}
"""The divergences of one example's predictions, by name, for `logit_change.means`."""
