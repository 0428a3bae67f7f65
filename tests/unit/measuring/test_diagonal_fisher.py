"""The diagonal of a network's Fisher information: closed form, brute force, and the joint law."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from ap3.measuring import diagonal_fisher as module
from ap3.measuring.diagonal_fisher import diagonal_fisher, kl
from ap3.measuring.network_outputs import changed, gauss_newton, linear_change
from ap3.models.registry import build
from ap3.pruning.network_layers import layer_weights


def test_of_a_linear_layer_it_is_the_closed_form():
    torch.manual_seed(0)
    model, x = nn.Linear(5, 4).double(), torch.randn(30, 5, dtype=torch.float64)
    p = model(x).softmax(-1).detach()
    expected = torch.einsum("nc,nd->cd", p * (1 - p), x.square()) / 30
    found = diagonal_fisher(model, x, {"weight": model.weight.detach()})["weight"]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def network(name):
    torch.manual_seed(0)
    model = build(name, 4, 16).double().eval()
    weights = {f"{one}.weight": weight.detach() for one, weight in layer_weights(model).items()}
    known = {full: weights[full] for full in weights if full in dict(model.named_parameters())}
    return model, known, torch.randn(6, 3, 16, 16, dtype=torch.float64)


@pytest.mark.parametrize("name", ["small_resnet", "small_vit"])
def test_of_a_network_it_is_the_jacobians(name, monkeypatch):
    model, weights, x = network(name)
    monkeypatch.setattr(module, "_NUMBERS", 4 * sum(w.numel() for w in weights.values()))
    found = diagonal_fisher(model, x, weights)  # four images, then two
    with module.differentiable():
        p = model(x).softmax(-1).detach()
        jacobians = jacrev(lambda given: functional_call(model, given, (x,)))(weights)
    for full, jacobian in jacobians.items():
        rows = jacobian.flatten(2)  # (N, C, weights)
        mean = torch.einsum("nc,ncw->nw", p, rows)
        variance = torch.einsum("nc,ncw->nw", p, (rows - mean[:, None]).square())
        torch.testing.assert_close(found[full].flatten(), variance.mean(0), rtol=1e-9, atol=1e-18)


def test_one_weight_alone_is_the_joint_law():
    """Where one weight moves, nothing off the diagonal counts."""
    model, weights, x = network("small_resnet")
    full, weight = next(iter(weights.items()))
    change = torch.zeros_like(weight)
    change.flatten()[7] = 0.01
    moved = linear_change(model, x, {full: weight}, {full: change})
    z = model(x).detach().numpy()
    joint = gauss_newton(changed(z, z + moved, np.zeros(6, int)))["ap3_gauss_newton"]
    own = kl(diagonal_fisher(model, x, weights)[full], change)
    assert own == pytest.approx(joint, rel=1e-6)
    assert own > 0
