"""Two networks side by side: nothing of the pruned one is left out without a word."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import ap3
from ap3.diagnosing.pruned_state import changes, load
from ap3.errors import UserError

DATA = [(torch.randn(20, 4), torch.randint(3, (20,)))]


class Tied(nn.Module):
    """An embedding whose weights are those of its last layer, too."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(20, 8), nn.Linear(8, 20, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.embedding(tokens).mean(1)))


class Masked(nn.Linear):
    """A layer that applies a mask of its own."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("mask", torch.ones_like(self.weight))

    def forward(self, inputs):
        return nn.functional.linear(inputs, self.weight * self.mask, self.bias)


def network(*, bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8, bias=bias), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("give", [lambda it: it, lambda it: it.state_dict()])
def test_a_tied_weight_pruned_under_one_of_its_names_is_refused(give):
    one = Tied()
    other = copy.deepcopy(one)
    prune.l1_unstructured(other.head, "weight", amount=0.7)
    with pytest.raises(UserError, match=r"embedding.weight and head.weight are one tensor"):
        changes(one, give(other))


def test_a_tied_weight_pruned_as_one_is_compared():
    one = Tied()
    other = copy.deepcopy(one)
    other.head.weight.data[:5] = 0
    moved, _ = changes(one, other)
    assert list(moved) == ["embedding.weight"]


def test_masks_of_the_baseline_are_refused():
    one = network()
    prune.l1_unstructured(one[0], "weight", amount=0.5)
    with pytest.raises(
        UserError, match=r"weight of 0 .* torch.nn.utils.prune.remove\(module, 'weight'\)"
    ):
        ap3.scan(one, DATA)
    with pytest.raises(UserError, match="weight of 0 is computed from a mask"):
        ap3.explain(one, network(), DATA)


def test_masks_that_the_network_applies_itself_are_data_like_others():
    one = nn.Sequential(Masked(4, 8), nn.ReLU(), nn.Linear(8, 3))
    other = copy.deepcopy(one)
    other[0].mask[:4] = 0
    moved, remarks = changes(one, other)
    assert list(moved) == ["0.mask"]
    assert "before 0.mask, which the network applies" in remarks[0]
    found = ap3.explain(one, other, DATA)
    with torch.no_grad():
        loss = nn.CrossEntropyLoss()
        expected = loss(other(DATA[0][0]), DATA[0][1]) - loss(one(DATA[0][0]), DATA[0][1])
    assert found.network["pd_loss"] == pytest.approx(float(expected), abs=1e-6)


def test_weights_that_only_the_pruned_network_has_are_refused():
    with pytest.raises(UserError, match=r"has 0.bias, which the network lacks"):
        changes(network(bias=False), network())
    changes(network(bias=False), network(bias=False).state_dict() | {"0.bias": torch.zeros(8)})
    longer = nn.Sequential(*network(), nn.Linear(3, 3))
    with pytest.raises(UserError, match=r"has 3.weight, 3.bias, which the network lacks"):
        changes(network(), longer)


@pytest.mark.parametrize(
    "name", ["rotary.inv_freq", "criterion.weight", "attn.bias", "ema.0.weight", "attn_mask"]
)
def test_what_else_only_a_state_has_is_named(name):
    state = network().state_dict() | {name: torch.ones(3, 3)}
    _, remarks = changes(network(), state)
    assert remarks == [f"pruned network: {name}, which the network lacks, was left out."]


def test_a_tied_weight_in_two_precisions_is_one():
    one = Tied()
    state = one.state_dict()
    state["embedding.weight"] = state["embedding.weight"].bfloat16()
    assert changes(one, state) == ({}, [])


def test_prefixes_on_both_sides_are_the_same_names():
    one = nn.DataParallel(network())
    other = copy.deepcopy(one)
    other.module[0].weight.data[:4] = 0
    assert list(changes(one, other)[0]) == ["module.0.weight"]


def test_a_weight_beyond_the_networks_type_is_refused():
    state = network().state_dict()
    state["0.weight"] = state["0.weight"] + 1e6
    with pytest.raises(
        UserError, match=r"0.weight of the checkpoint is beyond the range of torch.float16"
    ):
        load(network().half(), state)


def test_codes_in_place_of_weights_are_refused():
    state = network().state_dict()
    state["0.weight"] = (100 * state["0.weight"]).int()
    with pytest.raises(
        UserError, match=r"0.weight of the pruned network holds int32, no real numbers"
    ):
        changes(network(), state)


def test_weights_alone_are_no_network():
    with pytest.raises(UserError, match="the network must be a torch module, not OrderedDict"):
        changes(network().state_dict(), network())
