"""The Gaussian law whose precision is the diagonal of a network's Fisher information, over any layers.

The label of an image is taken to follow the network's own predictions p, so that the Fisher information
of one weight is E Var_p(∂z/∂ω_j), with z the logits: the diagonal of the Gauss–Newton matrix. The law
N(ω, diag(F)⁻¹) knows the data, and it is a product over the weights: its KL, ½ Σ F_j Δ_j², adds up over
layers. What two weights do together, which `ap3_gauss_newton` has, it leaves out.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ap3.latent.vectors import to_numpy
from ap3.networks.functional import functional_call


def diagonal_fisher(
    model: nn.Module, pixels: Tensor, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the diagonal of the Fisher information at a network's weights, a mean over images.

    A backward pass for each image and class, by itself: any network that can be trained will do, and
    one image's graph is in memory at a time.

    Parameters
    ----------
    model
        In evaluation mode.
    pixels
        What it sees of N images, (N, …).
    weights
        Whose information is wanted, by the names of the parameters.

    Returns
    -------
    dict of Tensor
        Float64, with the shapes of the weights.

    Examples
    --------
    >>> network = nn.Linear(1, 2)  # one input, two classes: x² p (1 − p) for each weight
    >>> _ = nn.init.zeros_(network.weight), nn.init.zeros_(network.bias)
    >>> found = diagonal_fisher(network, torch.tensor([[2.0]]), {"weight": network.weight.detach()})
    >>> found["weight"].round(decimals=6).tolist()
    [[1.0], [1.0]]
    """
    given = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    found = {name: torch.zeros_like(one, dtype=torch.float64) for name, one in weights.items()}
    for image in pixels.split(1):
        with torch.enable_grad():
            logits = functional_call(model, given, (image,))[0]
        p = logits.detach().softmax(-1)
        # Σ_c p_c (∂z_c − Σ p ∂z)², without a difference of squares.
        for direction in p.sqrt()[:, None] * (torch.eye(len(p)).to(p) - p):
            gradients = torch.autograd.grad(
                logits, [*given.values()], direction, retain_graph=True, materialize_grads=True
            )
            for total, gradient in zip(found.values(), gradients, strict=True):
                total += gradient.square()
    return {name: total / len(pixels) for name, total in found.items()}


def kl(information: Tensor, change: Tensor) -> float:
    """AP3 of one layer: ½ Σ F_j Δ_j², in nats.

    Parameters
    ----------
    information, change
        F and Δ of the same shape.
    """
    return float(0.5 * np.sum(to_numpy(information) * np.square(to_numpy(change.double()))))
