"""Bounds from both sides on what the slope leaves of the performance difference.

PD is the slope at the baseline plus E KL(p ‖ q) (`ap3.measuring.slopes`). For one example let u be the
change of its logits, v = u − ⟨p, u⟩, q = Var_p(u) = Σ p v² the quadratic form of the Fisher law, and
ψ(x) = (eˣ − 1 − x)/x², which is positive and increasing.

**Self-concordance.** f(t) = A(z + t u), A = log Σ exp, has f″ = Var(u) and f‴ = E(u − Eu)³ under the
softmax of z + t u. So |f‴| ≤ R f″ with R = max u − min u, and q e^{−Rt} ≤ f″(t) ≤ q e^{Rt}. From
KL = ∫₀¹ (1 − t) f″(t) dt it follows that ψ(−R) q ≤ KL ≤ ψ(R) q.

**Bennett's inequality.** KL = log(1 + Σ p v² ψ(v)), and −a ≤ v ≤ b with a = ⟨p, u⟩ − min u and
b = max u − ⟨p, u⟩. So log(1 + ψ(−a) q) ≤ KL ≤ log(1 + ψ(b) q). The upper one is below ψ(R) q
always, and where ψ(R) q has an exponential, it grows like b; the lower one may be on either side.

Both are exact to second order in u, and know no more of the example than q and two numbers.
"""

import numpy as np

from ap3.latent.vectors import Vector
from ap3.measuring.exponential_remainder import log_psi
from ap3.measuring.logit_change import LogitChange


def self_concordant_lower(made: LogitChange) -> Vector:
    """ψ(−R) q of every example, (b, E), in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    return np.exp(made.log_variance + log_psi(-np.ptp(made.change, axis=-1)))


def self_concordant_upper(made: LogitChange) -> Vector:
    """ψ(R) q of every example, (b, E), in nats; infinite where float64 cannot hold it.

    Parameters
    ----------
    made
        Logits and their change.
    """
    with np.errstate(over="ignore"):
        return np.exp(made.log_variance + log_psi(np.ptp(made.change, axis=-1)))


def bennett_lower(made: LogitChange) -> Vector:
    """log(1 + ψ(−a) q) of every example, (b, E), in nats.

    Parameters
    ----------
    made
        Logits and their change.
    """
    exponent = made.log_variance + log_psi(made.centred.min(axis=-1))
    return np.asarray(np.logaddexp(0.0, exponent))


def bennett_upper(made: LogitChange) -> Vector:
    """log(1 + ψ(b) q) of every example, (b, E), in nats: finite for any finite change.

    Parameters
    ----------
    made
        Logits and their change.
    """
    exponent = made.log_variance + log_psi(made.centred.max(axis=-1))
    return np.asarray(np.logaddexp(0.0, exponent))
