"""Training in bfloat16, played in float32, is what torch's autocast computes, and leaves no trace."""

import sys
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).parents[3] / "bench"
sys.path.insert(0, str(BENCH))

import precision  # noqa: E402
from networks import untrained  # noqa: E402


def gradients(network, pixels, **autocast):
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, **autocast):
        loss = network(pixels).float().square().sum()
        with torch.autocast("cpu", enabled=False):
            loss.backward()
    # A parametrised weight stands elsewhere in the order.
    found = {
        name.replace("parametrizations.", "").replace(".original", ""): one.grad.flatten()
        for name, one in network.named_parameters()
    }
    return torch.cat([found[name] for name in sorted(found)])


@pytest.mark.parametrize("model", ["small_alexnet", "small_vit"])
def test_rounded_layers_are_those_of_autocast(model):
    """Their gradients are as far from those of float32 as autocast's are."""
    network, pixels = untrained(model, 4, 16).eval(), torch.randn(8, 3, 16, 16)
    torch.nn.init.normal_(list(network.parameters())[-2], std=0.1)  # a new ViT's are zero
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    exact = gradients(network, pixels, enabled=False)
    true = gradients(network, pixels)
    with precision._rounded(network, True):
        played = gradients(network, pixels, enabled=False)
        names = [name for name, _ in network.named_parameters()]
    error = (true - exact).norm() / exact.norm()
    assert 1e-3 < error < 0.1
    assert (played - exact).norm() / exact.norm() == pytest.approx(error, rel=0.5)
    assert any("parametrizations" in name for name in names)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert torch.equal(gradients(network, pixels, enabled=False), exact)
