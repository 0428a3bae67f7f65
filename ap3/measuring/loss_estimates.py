"""Measures that see what the last layer does: estimates of the loss, and of the predictions."""

import numpy as np

from ap3.latent.fisher import FisherGaussian
from ap3.latent.vectors import FloatArray, Vector, as_float64
from ap3.measuring.case import Case
from ap3.measuring.head_loss import predictions_kl
from ap3.metrics import ap2


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


def kl_predictions(case: Case) -> Vector | float:
    """Mean KL from the predictions of the baseline, or of the control, to the variant's: (E,).

    On the training examples, in nats. NaN where the predictions do not follow from the baseline's
    features: where other layers than the last are pruned or fine-tuned.
    """
    if not (case.frozen and case.only_head):
        return np.nan
    head, reference = case.reference.head, case.reference
    start = case.control.layers[head] if case.control else reference.layer
    tuned = case.tuned.layers[head]
    layers = [_with_bias(layer.weight, layer.shift) for layer in (start, tuned)]
    return predictions_kl(reference.loss.features, *layers)


def _with_bias(weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Weights with the bias as last column, (…, C, d + 1)."""
    return np.concatenate([weight, bias[..., np.newaxis]], axis=-1)
