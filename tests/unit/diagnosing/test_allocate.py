import copy
import itertools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune

import ap3
from ap3.diagnosing import allocations
from ap3.diagnosing.allocations import Layer
from ap3.errors import InvalidTypeError, InvalidValueError


def layers(costs=(1.0, 1.0), sizes=(6, 9)):
    rng = np.random.default_rng(5)
    return {
        name: Layer(
            np.sort(rng.normal(size=size) ** 2),
            (3, size // 3),
            cost,
            np.array([1 / 3, 2 / 3, 1.0]),
            np.sort(rng.exponential(size=3)),
        )
        for name, size, cost in zip("ab", sizes, costs, strict=True)
    }


def every_split(given, amount):
    """All counts whose cost is just what goes."""
    for counts in itertools.product(*(range(layer.size + 1) for layer in given.values())):
        mine = dict(zip(given, counts, strict=True))
        if sum(mine[name] * layer.cost for name, layer in given.items()) == amount:
            yield mine


@pytest.mark.parametrize("amount", [3, 7, 8, 12])
def test_no_split_is_better_by_the_calibrated_law(amount):
    given = layers()
    ratio = amount / 15

    def law(counts):
        return allocations.predicted(given, counts, ratio)["predicted_calibrated"]

    best = min(every_split(given, amount), key=law)
    assert law(allocations.calibrated(given, amount)) == pytest.approx(law(best), rel=1e-12)


@pytest.mark.parametrize("amount", [3, 7, 8, 12])
def test_no_split_is_better_by_curves_that_are_convex(amount):
    given = layers()
    # A power of AP3 of 1 and up keeps the curve convex, as AP3 itself is.
    for name, power in (("a", 1.0), ("b", 1.5)):
        layer = given[name]
        ap3 = layer.ap3_by_count[np.rint(layer.ratios * layer.size).astype(int)]
        given[name] = Layer(layer.squares, layer.shape, 1.0, layer.ratios, 0.3 * ap3**power)

    def curves(counts):
        return allocations.predicted(given, counts, 0.5)["predicted_curves"]

    best = min(every_split(given, amount), key=curves)
    found = curves(allocations.measured_kl(given, amount))
    # Where a layer's grid is as fine as its weights, nothing is lost.
    assert found == pytest.approx(curves(best), rel=1e-9)


@pytest.mark.parametrize("way", allocations.WAYS)
@pytest.mark.parametrize("costs", [(1.0, 1.0), (4.0, 1.0)])
def test_every_way_spends_what_it_may(way, costs):
    given = layers(costs)
    for amount in (1, 5, 9, 14):
        counts = allocations.WAYS[way](given, amount)
        cost = sum(counts[name] * layer.cost for name, layer in given.items())
        assert amount - max(costs) < cost <= amount + 1e-9
        assert all(0 <= counts[name] <= layer.size for name, layer in given.items())


def test_a_curve_goes_through_its_points_and_is_zero_at_nothing():
    layer = layers()["b"]
    counts = np.array([0, 3, 6, 9])
    assert layer.curve(counts) == pytest.approx([0, *layer.kl], rel=1e-12)
    assert np.all(np.diff(layer.curve(np.arange(10))) >= 0)
    flat = Layer(np.zeros(4), (2, 2), 1.0, np.array([0.5]), np.array([0.0]))
    assert flat.curve(np.arange(5)).tolist() == [0] * 5


def test_global_and_uniform_and_erk_and_lamp_are_what_their_authors_mean():
    torch.manual_seed(1)
    weights = {"a": torch.randn(5, 7), "b": 2 * torch.randn(4, 3, 2)}
    given = {
        name: Layer(
            np.sort(w.numpy().astype(float) ** 2, axis=None),
            tuple(w.shape),
            1.0,
            np.ones(1),
            np.ones(1),
        )
        for name, w in weights.items()
    }
    modules = {name: nn.Linear(1, 1) for name in weights}
    for name, module in modules.items():
        module.weight = nn.Parameter(weights[name])
    prune.global_unstructured(
        [(module, "weight") for module in modules.values()], prune.L1Unstructured, amount=30
    )
    expected = {name: int((module.weight == 0).sum()) for name, module in modules.items()}
    assert allocations.global_magnitude(given, 30) == expected
    assert allocations.uniform(given, 59 * 0.4) == {"a": 14, "b": 9}
    found = allocations.erk(given, 30)
    raw = {"a": 12 / 35, "b": 9 / 24}
    density = {name: 1 - found[name] / given[name].size for name in given}
    assert density["a"] / density["b"] == pytest.approx(raw["a"] / raw["b"], abs=0.06)
    assert allocations.erk(given, 2) == {"a": 2, "b": 0}  # b's density would be above 1
    scores = torch.cat([_lamp(w) for w in weights.values()])
    gone = scores <= scores.kthvalue(30)[0]
    assert allocations.by_lamp(given, 30) == {"a": int(gone[:35].sum()), "b": int(gone[35:].sum())}


def _lamp(weight):
    flat = weight.flatten().square()
    return torch.stack([w / flat[flat >= w].sum() for w in flat])


def data(count=2):
    generator = torch.Generator().manual_seed(2)
    return [
        (
            torch.randn(30, 6, generator=generator),
            torch.randint(4, (30,), generator=generator),
        )
        for _ in range(count)
    ]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 4)
    )


def test_what_is_measured_saved_and_pasted_is_the_pruned_network(tmp_path):
    net = network()
    found = ap3.allocate(ap3.scan(net, data()), 0.3)
    assert sorted(found.table["allocation"]) == sorted(allocations.WAYS)
    assert found.chosen == found.table["allocation"][0]
    damage = found.table[["pd_accuracy", "kl_predictions"]]
    assert damage.to_numpy().tolist() == sorted(damage.to_numpy().tolist())
    x, y = (torch.cat(parts) for parts in zip(*data(), strict=True))
    with torch.no_grad():
        before = F.cross_entropy(net(x), y).double()
    for way in allocations.WAYS:
        pasted = copy.deepcopy(net)
        exec(found.torch_calls(way), {"network": pasted})
        state = found.state(way)
        for name in ("0", "2", "4"):
            weight = pasted.get_submodule(name).weight
            assert torch.equal(weight, state[f"{name}.weight"])
            assert float((weight == 0).double().mean()) == found.ratios(way)[name]
        with torch.no_grad():
            after = F.cross_entropy(pasted(x), y).double()
        row = found.table.set_index("allocation").loc[way]
        assert row["pd_loss"] == pytest.approx(float(after - before), abs=1e-6)
        assert row["weights_left"] == pytest.approx(0.3, abs=0.5 / 264)
    found.to_json(tmp_path / "ratios.json")
    assert json.loads((tmp_path / "ratios.json").read_text(encoding="utf-8")) == found.ratios()
    found.save(tmp_path / "pruned.safetensors")
    saved = load_file(tmp_path / "pruned.safetensors")
    assert {name: tensor.tolist() for name, tensor in saved.items()} == {
        name: tensor.tolist() for name, tensor in found.state().items()
    }


@pytest.mark.parametrize("budget", [0.2, 0.4, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_no_way_has_a_smaller_sum_than_the_calibrated_one(budget, seed):
    """Half way between two ratios of the scan, too, where rounding decides which is nearer."""
    torch.manual_seed(seed)
    parts = (
        nn.Linear(6, 9 + seed),
        nn.ReLU(),
        nn.Linear(9 + seed, 17),
        nn.ReLU(),
        nn.Linear(17, 4),
    )
    table = ap3.allocate(ap3.scan(nn.Sequential(*parts), data()), budget, measure=False).table
    predicted = table.set_index("allocation")["predicted_calibrated"]
    assert predicted["calibrated"] <= predicted.min() * (1 + 1e-9)


def test_explain_and_allocate_agree_on_the_damage():
    net = network()
    found = ap3.allocate(ap3.scan(net, data()), 0.3)
    explained = ap3.explain(net, found.state(), data())
    for name in ("pd_loss", "pd_accuracy", "kl_predictions", "pd_loss_se"):
        assert explained.network[name] == pytest.approx(found.table[name][0], abs=1e-12)


def test_a_budget_of_multiplications():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    pairs = [(torch.randn(20, 1, 8, 8), torch.randint(4, (20,)))]
    found = ap3.allocate(ap3.scan(net, pairs), 0.5, of="flops")
    assert found.table["flops_left"].between(0.5, 0.52).all()
    with pytest.raises(InvalidValueError, match="must be weights or flops"):
        ap3.allocate(ap3.scan(net, pairs), 0.5, of="time")


def test_tied_weights_are_pruned_under_all_names():
    net = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    net[2].weight = net[0].weight
    found = ap3.allocate(ap3.scan(net, data()), 0.5)
    state = found.state()
    assert torch.equal(state["0.weight"], state["2.weight"])
    assert int((state["0.weight"] == 0).sum()) == 18


class Tied(nn.Module):
    """A weight that two layers hold, one of which has two names."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.last.weight, self.again = self.first.weight, self.first

    def forward(self, x):
        return self.head(self.again(torch.tanh(self.last(torch.tanh(self.first(x))))))


def test_pasted_calls_give_the_state_where_a_weight_is_tied():
    found = ap3.allocate(ap3.scan(Tied(), data()), 0.5)
    pasted, loaded = Tied(), Tied()
    exec(found.torch_calls(), {"network": pasted})
    loaded.load_state_dict(found.state())
    [(x, _), *_] = data()
    assert found.counts[found.chosen]["first"] > 0
    assert torch.equal(pasted(x), loaded(x))


def test_a_tied_weight_of_equal_magnitudes_gets_one_mask():
    net = Tied()
    with torch.no_grad():
        net.first.weight.copy_(net.first.weight.sign())
    exec(ap3.allocate(ap3.scan(net, data()), 0.3).torch_calls("uniform"), {"network": net})
    assert int((net.first.weight == 0).sum()) == 25
    assert torch.equal(net.first.weight, net.last.weight)


def test_nothing_measured_and_mistakes():
    scanned = ap3.scan(network(), iter(data()))
    found = ap3.allocate(scanned, 0.2, measure=False)
    assert found.chosen == "calibrated"
    assert "predicts" in found.verdict
    assert ap3.allocate(scanned, 0.2, batches=data()).table["pd_loss_se"].notna().all()
    with pytest.raises(InvalidValueError, match="gone through once only"):
        ap3.allocate(scanned, 0.2)
    for budget in (0, 1, 1.5, "half", True):
        with pytest.raises(InvalidValueError, match="the budget is"):
            ap3.allocate(scanned, budget)
    with pytest.raises(InvalidTypeError, match="given int"):
        ap3.allocate(3, 0.5)
    with pytest.raises(InvalidValueError, match="scan with mode='lowest'"):
        ap3.allocate(ap3.scan(network(), data(), [0.5], mode="random"), 0.5)
    with pytest.raises(InvalidValueError, match="must be one of calibrated"):
        found.ratios("best")


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.body, self.head = nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, words):
        return self.head(self.body(self.table(words)).mean(1))


def test_what_is_not_multiplied_is_left_whole_for_flops():
    torch.manual_seed(0)
    data = [(torch.randint(9, (20, 5)), torch.randint(3, (20,)))]
    net = Words()
    found = ap3.allocate(ap3.scan(net, data, [0.3, 0.6]), 0.5, of="flops")
    assert all(counts["table"] == 0 for counts in found.counts.values())
    assert found.table["flops_left"].between(0.5, 0.53).all()
    assert any("left whole" in remark and "table" in remark for remark in found.remarks)
    only = ap3.scan(net, data, [0.3, 0.6], layers="table")
    assert ap3.allocate(only, 0.5).table["flops_left"].isna().all()
    with pytest.raises(InvalidValueError, match="no weight of the layers scanned is multiplied"):
        ap3.allocate(only, 0.5, of="flops")
