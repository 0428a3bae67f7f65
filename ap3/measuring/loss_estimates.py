"""Estimates of what pruning does to the loss, from the baseline's slope, curvature and features."""

import numpy as np

from ap3.latent.fisher import FisherGaussian
from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.case import Case
from ap3.metrics import ap2
from ap3.pruning import weight_scores


def taylor(case: Case) -> Vector | float:
    """Second-order Taylor estimate, at the baseline, of the change of the training loss: (E,).

    ⟨∂L/∂W, Δ⟩ + ½ ΔᵀFΔ with Δ = W̃ − W; signed. F, the exact Hessian, is taken out of the Fisher
    law's KL, c/2 Δᵀ(F + λI)Δ. The bias is held where it was, as AP2 holds it. NaN where other layers
    than the last are pruned.
    """
    if not case.only_head:
        return np.nan
    reference, weights = case.reference, case.weights[case.reference.head]
    fisher = reference.law("ap3_fisher")
    assert isinstance(fisher, FisherGaussian)
    change = as_float64(weights) - as_float64(reference.layer.weight)
    slope = np.tensordot(change, reference.gradient, axes=2)
    bend = fisher.kl_many(weights) / fisher.scale
    damped = 0.5 * fisher.curvature.damping * ap2(reference.layer.weight, weights)
    return np.asarray(slope + bend - damped)


def obd(case: Case) -> float:
    """Σ ½ h_ii w_i² over the weights that were pruned: Optimal Brain Damage's saliency, in nats."""
    curvature = case.reference.layer.curvature
    if curvature is None or not case.only_head:
        return np.nan
    return _pruned(case, weight_scores.obd(case.reference.layer.weight, curvature.diagonal))


def snip(case: Case) -> float:
    """Σ |w ∂L/∂w| over the weights that were pruned."""
    if not case.only_head:
        return np.nan
    return _pruned(case, weight_scores.snip(case.reference.layer.weight, case.reference.gradient))


def wanda(case: Case) -> float:
    """Σ |w| ‖x‖ over the weights that were pruned, ‖x‖ over the training examples."""
    if not case.only_head:
        return np.nan
    reference = case.reference
    return _pruned(case, weight_scores.wanda(reference.layer.weight, reference.loss.features))


def _pruned(case: Case, scores: Vector) -> float:
    return float(weight_scores.removed(scores, case.head.mask))
