"""How often weights are multiplied, against torch's own counter and by hand."""

from math import isnan

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from ap3.networks.batches import Batch, checked
from ap3.networks.layers import parameters
from ap3.networks.logits import evaluating
from ap3.networks.multiplications import multiplications
from ap3.networks.replay import Replay

CPU = torch.device("cpu")


def uses(network, x):
    """Of every layer, for an example."""
    with evaluating(network):
        runs = Replay(network)
        [batch] = checked([(x, torch.zeros(len(x), dtype=torch.long))], CPU)
        runs.record(batch)
        return {layer: runs.uses(name) for layer, name in parameters(network).items()}


def convolutions():
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, groups=4),
        nn.ConvTranspose2d(8, 6, 3, stride=2, groups=2, output_padding=1),
        nn.Conv2d(6, 6, 3, groups=6, dilation=2, padding=2),
        nn.Flatten(2),
        nn.ConvTranspose1d(6, 2, 3, stride=3),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(2, 3),
    )


def test_all_products_are_what_torch_counts():
    network, x = convolutions().eval(), torch.randn(5, 4, 11, 11)
    with FlopCounterMode(display=False) as counter:
        network(x)
    found = uses(network, x)
    total = sum(network[int(layer)].weight.numel() * its for layer, its in found.items())
    assert total * 5 * 2 == counter.get_total_flops()


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
@pytest.mark.parametrize("kind", ["masked", "normalised", "autocast"])
def test_a_weight_that_is_computed_first_is_used_as_often(kind):
    network, x = convolutions(), torch.randn(5, 4, 11, 11)
    plain = list(uses(network, x).values())
    for module in network:
        if hasattr(module, "weight"):
            if kind == "masked":
                prune.l1_unstructured(module, "weight", 0.5)
            elif kind == "normalised":
                nn.utils.weight_norm(module)
    if kind == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            found = uses(network, x)
    else:
        found = uses(network, x)
    own = [its for layer, its in found.items() if not layer.endswith("weight_g")]
    assert own == plain


def test_a_layer_under_two_names_is_counted_once_for_each_call():
    layer = nn.Linear(8, 8)
    assert uses(nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(8, 3)), torch.randn(6, 8)) == {
        "0": 2,
        "3": 1,
    }


def test_a_masked_layer_under_two_names_is_counted_once_for_each_call():
    layer = prune.l1_unstructured(nn.Linear(8, 8), "weight", 0.5)
    found = uses(nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(8, 3)), torch.randn(6, 8))
    assert found["0.weight_orig"] == 2


class Conv1D(nn.Module):
    """GPT-2's, whose weight is inputs × outputs."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.nf, self.weight = outputs, nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, x):
        return torch.mm(x.flatten(0, -2), self.weight).view(*x.shape[:-1], self.nf)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.body, self.head = nn.Embedding(9, 4), Conv1D(4, 6), nn.Linear(6, 3)

    def forward(self, words):
        return self.head(self.body(self.table(words)).mean(1))


def test_look_ups_are_no_multiplications_and_a_weight_may_be_the_other_way_round():
    words = torch.zeros(5, 7, dtype=torch.long)
    assert uses(Words(), words) == {"table": 0, "body": 7, "head": 1}


def test_a_masked_table_and_a_masked_weight_the_other_way_round():
    network = Words()
    for module in (network.table, network.body):
        prune.l1_unstructured(module, "weight", 0.5)
    found = uses(network, torch.zeros(5, 7, dtype=torch.long))
    assert found == {"table.weight_orig": 0, "body.weight_orig": 7, "head": 1}


class Pooled(nn.Module):
    """Attention of one query to all tokens."""

    def __init__(self):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.attention(self.query.expand(len(x), -1, -1), x, x)[0][:, 0])


def test_every_part_of_a_joint_projection_counts_by_its_own_tokens():
    found = uses(Pooled(), torch.randn(5, 50, 8))
    assert found["attention.in_proj_weight"] == pytest.approx((1 + 2 * 50) / 3)
    assert found["attention.out_proj"] == found["head"] == 1


class Root(nn.Module):
    """Holds weights of its own; one it only scales by."""

    def __init__(self):
        super().__init__()
        self.weight, self.weight_scale = (
            nn.Parameter(torch.randn(6, 4)),
            nn.Parameter(torch.ones(1, 6)),
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head((F.linear(x, self.weight) * self.weight_scale).mean(1))


def test_a_weight_of_the_network_itself():
    found = uses(Root(), torch.randn(5, 50, 4))
    assert found["weight"] == 50
    assert isnan(found["weight_scale"])


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))

    def forward(self, x):
        found = x.new_zeros(len(x), 3)
        for place, expert in enumerate(self.experts):
            mine = (x[:, 0] > 0) == bool(place)
            if mine.any():
                found = found.index_put((mine,), expert(x[mine]))
        return found


def test_an_expert_is_used_by_the_examples_that_it_sees():
    x = torch.randn(4, 4)
    x[:, 0] = torch.tensor([1.0, 2.0, 3.0, -1.0])
    assert uses(Experts(), x) == {"experts.0": 0.25, "experts.1": 0.75}
    assert uses(Experts(), x[:3]) == {"experts.0": 0, "experts.1": 1}


def test_recurrent_weights_are_used_at_every_step():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = (
                nn.LSTM(4, 5, batch_first=True, bidirectional=True),
                nn.Linear(10, 3),
            )

        def forward(self, x):
            return self.head(self.cell(x)[0][:, -1])

    found = uses(Recurrent(), torch.randn(6, 7, 4))
    assert found.pop("head") == 1
    assert set(found.values()) == {7}


def test_a_masked_weight_in_a_layer_that_returns_an_object_of_its_own_is_untold():
    class Result:
        def __init__(self, values):
            self.values = values

    class Inner(nn.Linear):
        def forward(self, x):
            return Result(super().forward(x))

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = prune.l1_unstructured(Inner(4, 3), "weight", 0.5)

        def forward(self, x):
            return self.inner(x).values

    assert isnan(uses(Outer(), torch.randn(5, 4))["inner.weight_orig"])


def test_two_parameters_in_one_memory_are_counted_by_their_layers():
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    network[2].weight.data = network[0].weight.data
    batch = Batch((torch.ones(5, 4),), {}, torch.zeros(5, dtype=torch.long), 1)
    counts = multiplications(network, batch)
    assert id(network[0].weight) not in counts
    assert id(network[2].weight) not in counts
    with torch.no_grad():
        runs = Replay(network.eval())
        runs.record(batch)
        assert [runs.uses(name) for name in ("0.weight", "2.weight")] == [1.0, 1.0]
