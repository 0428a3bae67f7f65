"""A call with other weights leaves the network as it was, whatever its weights go by."""

import copy

import pytest
import torch
from torch import nn

from ap3.diagnosing.explain import explain
from ap3.diagnosing.scan import scan
from ap3.networks.functional import functional_call


class Shared(nn.Module):
    """A layer that is used twice and has two names, an alias, and a bias of two layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner = nn.Linear(3, 4), nn.Linear(4, 4)
        self.last = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5))
        self.again, self.alias, self.other = self.inner, self.first, nn.Linear(4, 4)
        self.other.bias = self.inner.bias

    def forward(self, x):
        return self.last(self.other(self.again(torch.tanh(self.inner(self.first(x))))))


@pytest.mark.parametrize("name", ["inner.weight", "again.weight", "first.weight", "alias.weight"])
def test_a_module_of_two_names_takes_the_weight_and_keeps_its_own(name):
    net, x = Shared(), torch.randn(2, 3)
    before = dict(net.named_parameters(remove_duplicate=False))
    changed = torch.randn_like(before[name])
    real = copy.deepcopy(net)
    real.get_parameter(name).data.copy_(changed)
    assert torch.equal(functional_call(net, {name: changed}, (x,)), real(x))
    after = dict(net.named_parameters(remove_duplicate=False))
    assert after.keys() == before.keys()
    assert all(after[n] is p for n, p in before.items())


@pytest.mark.parametrize("name", ["inner.bias", "other.bias"])
def test_a_tied_weight_goes_by_any_of_its_names(name):
    net, x = Shared(), torch.randn(2, 3)
    real = copy.deepcopy(net)
    real.get_parameter(name).data.fill_(2.0)
    assert torch.equal(functional_call(net, {name: torch.full((4,), 2.0)}, (x,)), real(x))


def test_the_network_is_put_back_when_the_call_fails():
    net = Shared()
    weight = net.inner.weight
    with pytest.raises(RuntimeError):
        functional_call(net, {"inner.weight": torch.zeros(7, 7)}, (torch.randn(2, 3),))
    assert net.inner.weight is weight


@pytest.mark.parametrize("unit", ["weights", "channels"])
def test_a_scan_and_an_explanation_leave_shared_modules_alone(unit):
    net, data = Shared(), [(torch.randn(6, 3), torch.randint(5, (6,)))]
    state = copy.deepcopy(net.state_dict())
    scan(net, data, [0.5], unit=unit)
    pruned = copy.deepcopy(net)
    with torch.no_grad():
        pruned.inner.weight[:2] = 0
    explain(net, pruned, data)
    assert all(isinstance(p, nn.Parameter) for p in net.inner._parameters.values())
    assert all(torch.equal(one, state[name]) for name, one in net.state_dict().items())
