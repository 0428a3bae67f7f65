"""The diagonal of a network's Fisher information: closed form, brute force, and the joint law."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from ap3.measuring.diagonal_fisher import diagonal_fisher, kl
from ap3.measuring.network_outputs import changed, gauss_newton, linear_change
from ap3.models.registry import build
from ap3.networks.logits import evaluating
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
def test_of_a_network_it_is_the_jacobians(name):
    model, weights, x = network(name)
    found = diagonal_fisher(model, x, weights)
    with evaluating(model):
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


class Branching(nn.Module):
    """Asks for a number of its input, and writes into a tensor of its own."""

    def __init__(self):
        super().__init__()
        self.rows, self.last = nn.GRU(48, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, images):
        seen = images.permute(0, 2, 1, 3).flatten(2)
        if seen.abs().max() > 1e9:
            seen = seen / 2
        own = torch.zeros(len(seen), 8)
        own[:] = self.rows(seen)[0][:, -1]
        return self.last(own)


def test_any_network_that_can_be_trained_will_do():
    torch.manual_seed(0)
    model, x = Branching().eval(), torch.randn(5, 3, 16, 16)
    weights = {"last.weight": model.last.weight.detach()}
    features = model.rows(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1].detach().double()
    p = model(x).softmax(-1).detach().double()
    expected = torch.einsum("nc,nd->cd", p * (1 - p), features.square()) / 5
    found = diagonal_fisher(model, x, weights)["last.weight"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
    assert model.last.weight.grad is None
    every = {name: w.detach() for name, w in model.named_parameters() if w.ndim > 1}
    assert all((one > 0).any() for one in diagonal_fisher(model, x, every).values())
