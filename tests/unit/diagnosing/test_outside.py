"""Weights that no layer has are named by all that leaves them out."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import ap3
from ap3.diagnosing.callbacks import WeightLog
from ap3.errors import InvalidValueError
from ap3.models.registry import build

NAMES = "0.experts, 2.parametrizations.weight.original0, 2.parametrizations.weight.original1"


class Experts(nn.Module):
    """Experts and nothing else."""

    def __init__(self):
        super().__init__()
        self.experts = nn.Parameter(torch.ones(3, 4, 6))


class Mixture(nn.Module):
    """Experts as one parameter of three dimensions, as transformers' mixtures hold them."""

    def __init__(self):
        super().__init__()
        self.gate, self.bias = nn.Linear(4, 3), nn.Parameter(torch.zeros(1, 6))
        self.experts = nn.Parameter(torch.randn(3, 4, 6))

    def forward(self, x):
        return torch.einsum("ni,eio,ne->no", x, self.experts, self.gate(x).softmax(-1)) + self.bias


def network():
    torch.manual_seed(0)
    parts = (Mixture(), nn.Tanh(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    parametrizations.weight_norm(parts[2])
    return nn.Sequential(*parts)


def data():
    torch.manual_seed(1)
    return [(torch.randn(30, 4), torch.randint(3, (30,)))]


def test_a_scan_and_an_allocation_say_what_they_leave():
    # Gate 12, last layer 15; experts 72, magnitudes 5, directions 30.
    found = ap3.scan(network(), data(), [0.5])
    left = f"107 of 134 weights are in no layer and are left as they are: {NAMES}."
    assert found.remarks[-1] == left
    assert found.table["weights"].sum() == 27
    spread = ap3.allocate(found, 1 / 3)
    zeros = sum(int((t == 0).sum()) for n, t in spread.state().items() if n.endswith("weight"))
    assert zeros == 18
    assert spread.verdict.startswith("with 33.3333 % of the weights of the scanned layers left, ")
    assert spread.remarks[-1] == f"{left} Of all weights, {116 / 134:.1%} stay."
    some = ap3.allocate(ap3.scan(network(), data(), [0.5], layers="4"), 1 / 3)
    assert some.remarks[-1].endswith(f"Of all weights, {124 / 134:.1%} stay.")


def test_an_explanation_says_what_its_sums_leave_out():
    net = network()
    pruned = copy.deepcopy(net)
    with torch.no_grad():
        pruned[0].experts[0] = 0
    found = ap3.explain(net, pruned, data())
    assert found.network["ap2"] == 0
    assert found.remarks[-1] == (
        "107 of 134 weights are in no layer and have no part in sparsity, AP2 and AP3 (what changed "
        f"of them is in (everything else)): {NAMES}."
    )
    with torch.no_grad():
        pruned[0].bias += 1
    assert "113 of 140 weights" in ap3.explain(net, pruned, data()).remarks[-1]


def test_the_callbacks_warn_of_what_they_do_not_log():
    net, log = network(), WeightLog()
    with pytest.warns(UserWarning, match=f"107 of 134 weights .* and are not logged: {NAMES}."):
        log.begin(net)
    assert log.of(net)["ap3/sparsity"] == 0
    with pytest.raises(InvalidValueError, match=r"no layer to log .*; it has experts\); train it"):
        WeightLog().begin(Experts())


def test_tokens_and_positions_are_no_layers_and_named():
    pairs = [(torch.randn(4, 3, 16, 16), torch.randint(3, (4,)))]
    [*_, last] = ap3.scan(build("small_vit", 3, 16), pairs, [0.5], layers="conv_proj").remarks
    assert last.endswith("are left as they are: class_token, encoder.pos_embedding.")


def test_nothing_is_said_where_all_weights_are_in_layers():
    net = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))
    pruned = copy.deepcopy(net)
    with torch.no_grad():
        pruned[0].weight[0], pruned[1].bias[0] = 0, 1
    found = ap3.scan(net, data(), [0.5])
    spread = ap3.allocate(found, 0.5)
    assert spread.verdict.startswith("with 50 % of the weights left, ")
    said = [*found.remarks, *spread.remarks]
    said += ap3.explain(net, pruned, data()).remarks
    assert not any("in no layer" in remark for remark in said)
