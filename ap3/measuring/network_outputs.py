"""What a changed network puts out, beside its baseline: from logits, for any network.

With z the baseline's logits of an example and u their change, cross-entropy satisfies
PD = E⟨p − e_y, u⟩ + E KL(p ‖ q) exactly (`ap3.measuring.slopes`): the slope and the predictive law.

To first order u is JΔ, the product of the network's Jacobian in the weights with their change. It
takes one forward-mode pass and no matrix, whatever the network, terms between layers included. Half
its variance under p is the KL of two Gaussians with the Gauss–Newton matrix as their precision.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import jvp

from ap3.latent.vectors import Vector
from ap3.measuring.curvature_laws import fisher_before, fisher_both_ends
from ap3.measuring.logit_change import LogitChange
from ap3.measuring.output_distances import flipped, squared_change
from ap3.measuring.predictive_law import forward_kl, jensen_shannon, reverse_kl
from ap3.measuring.slopes import slope_before, trapezoid
from ap3.networks.functional import functional_call
from ap3.networks.logits import evaluating

_PIXELS = 1 << 20  # of all channels, at once in a forward-mode pass

OUTPUTS = {
    "kl_predictions": forward_kl,
    "kl_predictions_reverse": reverse_kl,
    "jensen_shannon": jensen_shannon,
    "fisher_both_ends": fisher_both_ends,
    "mean_slope": trapezoid,
    "output_change": squared_change,
    "flips": flipped,
}
"""Columns of measures that see the outputs on training images, and the function of each."""


def changed(before: Vector, after: Vector, labels: Vector) -> LogitChange:
    """Put the logits (N, C) of a variant beside those of the baseline."""
    z, other = np.asarray(before, np.float64), np.asarray(after, np.float64)
    return LogitChange(z[:, np.newaxis], (other - z)[:, np.newaxis], labels)


def output_measures(made: LogitChange) -> dict[str, float]:
    """Means over the examples of everything in `OUTPUTS`.

    Parameters
    ----------
    made
        Of the training images that measures may see.
    """
    return {name: float(function(made).mean()) for name, function in OUTPUTS.items()}


def identity(made: LogitChange) -> dict[str, float]:
    """Return the two parts of the PD of the loss: `slope` and `kl`, in nats.

    Parameters
    ----------
    made
        Logits of the baseline and their change, with labels.
    """
    return {"slope": float(slope_before(made).mean()), "kl": float(forward_kl(made).mean())}


def gauss_newton(made: LogitChange) -> dict[str, float]:
    """Return ½ E Var_p(JΔ), and with the first order beside it a Taylor expansion of the PD.

    Parameters
    ----------
    made
        Logits of the baseline, and JΔ as their change.
    """
    quadratic = float(fisher_before(made).mean())
    return {
        "ap3_gauss_newton": quadratic,
        "taylor": float(slope_before(made).mean()) + quadratic,
    }


def linear_change(
    model: nn.Module, pixels: Tensor, weights: Mapping[str, Tensor], changes: Mapping[str, Tensor]
) -> Vector:
    """JΔ, the change of the logits to first order: (N, C).

    Parameters
    ----------
    model
        The baseline, in evaluation mode.
    pixels
        What it sees of N images.
    weights, changes
        Weights that change, by parameter, and their change Δ.
    """
    at_once = max(1, _PIXELS // pixels[0].numel())
    point, tangent = dict(weights), dict(changes)
    parts = []
    with evaluating(model), warnings.catch_warnings():
        # torch compiles its own derivatives the first time, in a way that it deprecates.
        warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)
        for some in pixels.split(at_once):

            def logits(given: dict[str, Tensor], some: Tensor = some) -> Tensor:
                return functional_call(model, given, (some,))

            parts.append(jvp(logits, (point,), (tangent,))[1])
    return np.asarray(torch.cat(parts).double().cpu())
