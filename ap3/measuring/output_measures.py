"""Measures of what the last layer puts out on the training examples.

Each is NaN where that does not follow from the baseline's features: where other layers than the
last are pruned or fine-tuned.
"""

from collections.abc import Callable

import numpy as np

from ap3.latent.vectors import Vector
from ap3.measuring.case import Case, with_bias
from ap3.measuring.curvature_laws import kronecker_fisher
from ap3.measuring.output_distances import logit_cka

Known = Callable[[Case], Vector]


def _where_known(measure: Known) -> Callable[[Case], Vector | float]:
    def found(case: Case) -> Vector | float:
        return measure(case) if case.outputs_known else np.nan

    found.__doc__ = measure.__doc__
    return found


@_where_known
def kl_predictions(case: Case) -> Vector:
    """Mean KL(p ‖ q) from the predictions p at the start to the variant's q, in nats: (E,)."""
    return case.outputs["forward"]


@_where_known
def kl_predictions_reverse(case: Case) -> Vector:
    """Mean KL(q ‖ p), the way back, in nats: (E,)."""
    return case.outputs["reverse"]


@_where_known
def jensen_shannon(case: Case) -> Vector:
    """Mean Jensen–Shannon divergence of p and q, in nats: (E,)."""
    return case.outputs["jensen_shannon"]


@_where_known
def fisher_both_ends(case: Case) -> Vector:
    """½ ΔᵀFΔ with F the mean of the Fisher matrices at both ends, bias included, in nats: (E,)."""
    return case.outputs["fisher_both_ends"]


@_where_known
def mean_slope(case: Case) -> Vector:
    """⟨½ (∇L(ω) + ∇L(ω̃)), Δ⟩, bias included, signed, in nats: (E,)."""
    return case.outputs["trapezoid"]


@_where_known
def output_change(case: Case) -> Vector:
    """E‖Δx + Δb‖², the mean squared change of the logits: (E,)."""
    return case.outputs["squared_change"]


@_where_known
def flips(case: Case) -> Vector:
    """Share of the training examples whose answer changes: (E,)."""
    return case.outputs["flipped"]


@_where_known
def cka_distance(case: Case) -> Vector:
    """1 − linear CKA of the logits: (E,)."""
    layers = [with_bias(layer.weight, layer.shift) for layer in (case.start, case.head)]
    return 1 - logit_cka(case.reference.loss.features, *layers)


@_where_known
def kronecker(case: Case) -> Vector:
    """AP3 of the weights under the Kronecker-factored Fisher law at the baseline, in nats: (E,)."""
    layer, weights = case.reference.layer, case.weights[case.reference.head]
    held = np.broadcast_to(layer.shift, (len(weights), len(layer.shift)))
    baseline, moved = with_bias(layer.weight, layer.shift), with_bias(weights, held)
    return kronecker_fisher(case.reference.loss.features, baseline, moved)
