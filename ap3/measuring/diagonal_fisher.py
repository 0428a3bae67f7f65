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
from torch.func import functional_call, grad, vmap

from ap3.latent.vectors import to_numpy
from ap3.measuring.network_outputs import differentiable

_NUMBERS = 1 << 25  # gradients of single images, at once
_IMAGES = 16  # at once, whose activations are held besides


def diagonal_fisher(
    model: nn.Module, pixels: Tensor, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the diagonal of the Fisher information at a network's weights, a mean over images.

    One backward pass over the images for each class; gradients of some images at once, 128 MB of
    them or one image's.

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

    def projected(given: Mapping[str, Tensor], image: Tensor, direction: Tensor) -> Tensor:
        logits = functional_call(model, dict(given), (image[None],))[0]
        total: Tensor = (logits * direction).sum()
        return total

    gradients = vmap(grad(projected), (None, 0, 0))
    at_once = max(1, min(_IMAGES, _NUMBERS // sum(one.numel() for one in weights.values())))
    found = {name: torch.zeros_like(one, dtype=torch.float64) for name, one in weights.items()}
    # Without the graph that parameters beside the weights would ask for; `grad` makes its own.
    with differentiable(), torch.no_grad():
        for some in pixels.split(at_once):
            p = model(some).softmax(-1)
            for label in range(p.shape[1]):
                # Σ_c p_c (∂z_c − Σ p ∂z)², without a difference of squares.
                direction = -p * p[:, [label]].sqrt()
                direction[:, label] += p[:, label].sqrt()
                for name, each in gradients(weights, some, direction).items():
                    found[name] += each.square().sum(0)
    return {name: total / len(pixels) for name, total in found.items()}


def kl(information: Tensor, change: Tensor) -> float:
    """AP3 of one layer: ½ Σ F_j Δ_j², in nats.

    Parameters
    ----------
    information, change
        F and Δ of the same shape.
    """
    return float(0.5 * np.sum(to_numpy(information) * np.square(to_numpy(change.double()))))
