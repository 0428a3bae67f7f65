"""Distances of the pruned weights that need no latent law, over all pruned layers together."""

import numpy as np

from ap3.latent.vectors import Vector, as_float64
from ap3.measuring.case import Case
from ap3.metrics import ap2, cosine_distance, relative_frobenius


def squared_distance(case: Case) -> Vector:
    """AP2 of the network, ‖ω − ω̃‖² (Def. 2.1): (E,)."""
    return np.asarray(ap2(case.flat_baseline, case.flat))


def relative_distance(case: Case) -> Vector:
    """‖ω − ω̃‖ / ‖ω‖: (E,)."""
    return np.asarray(relative_frobenius(case.flat_baseline, case.flat))


def cosine(case: Case) -> Vector:
    """1 − cos of the angle between ω and ω̃: (E,)."""
    return np.asarray(cosine_distance(case.flat_baseline, case.flat))


def magnitude_pruned(case: Case) -> float:
    """Share of ‖ω‖² that stood on the pruned weights."""
    pruned = whole = 0.0
    for name, layer in case.tuned.layers.items():
        squares = np.square(as_float64(case.reference.layers[name].weight))
        pruned += squares[~layer.mask].sum()
        whole += squares.sum()
    return float(pruned / whole)
