"""Allocations of a total ratio over layers: exact totals, torch's own threshold, seeds by name."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from ap3.errors import UserError
from ap3.pruning import allocated
from ap3.pruning.allocated import Compressor, check_modes
from ap3.pruning.allocation import allocate, drawn_amounts, global_ratios
from ap3.pruning.network_layers import choose, layer_weights, tied_names
from ap3.pruning.pruned import Origin

ORIGIN = Origin("digits", "net", 1, 0)


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 16), nn.Linear(16, 5)
    )


def compressed(model, variant) -> dict[str, torch.Tensor]:
    weights = layer_weights(model)
    found = {name: weight.detach() for name, weight in weights.items()}
    return found | {name: new for name, new, _ in Compressor(weights, ORIGIN).of(variant)}


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.83])
@pytest.mark.parametrize("mode", ["lowest", "highest"])
def test_one_threshold_is_that_of_torch(mode, ratio):
    model = network()
    (variant,) = list(allocate(layer_weights(model), ORIGIN, [mode], [ratio], "global"))[1:]
    found = compressed(model, variant)
    chosen = [(model[int(name)], "weight") for name in found]
    scores = None
    if mode == "highest":
        scores = {(layer, "weight"): 1 / layer.weight.detach().abs() for layer, _ in chosen}
    prune.global_unstructured(
        chosen, pruning_method=prune.L1Unstructured, importance_scores=scores, amount=ratio
    )
    for name, weight in found.items():
        assert weight.equal(model[int(name)].weight.detach()), name


def test_uniform_masks_are_those_of_each_layer_by_itself():
    model = network()
    (variant,) = list(allocate(layer_weights(model), ORIGIN, ["lowest"], [0.3], "uniform"))[1:]
    found = compressed(model, variant)
    for name, weight in found.items():
        layer = model[int(name)]
        prune.l1_unstructured(layer, "weight", round(0.3 * weight.numel()))
        assert weight.equal(layer.weight.detach())


def test_ties_go_to_the_earlier_weight_and_layer():
    weights = {"a": torch.ones(2, 2), "b": torch.ones(2, 3)}
    assert global_ratios(weights, ORIGIN, "lowest", 0.5) == {"a": 1.0, "b": 1 / 6}


def test_random_vectors_have_the_exact_total_and_all_ranges():
    weights = layer_weights(network())
    drawn = list(allocate(weights, ORIGIN, ["lowest"], [0.5], {"random": 200}))[1:]
    sizes = {name: weight.numel() for name, weight in weights.items()}
    total = round(0.5 * sum(sizes.values()))
    for variant in drawn:
        assert sum(round(r * sizes[name]) for name, r in variant.ratios.items()) == total
    shares = np.array([[*variant.ratios.values()] for variant in drawn])
    assert shares.min() >= 0
    assert shares.max() <= 1
    # The largest layer follows from the total; the others are spread over nearly all of (0, 1).
    assert (np.ptp(shares[:, [0, 2]], axis=0) > 0.9).all()


@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.999])
def test_amounts_add_up_and_fit_whatever_the_sizes(ratio):
    for seed in range(50):
        amounts = drawn_amounts([1, 3, 40, 5000], ratio, seed)
        assert amounts.sum() == round(ratio * 5044)
        assert (amounts >= 0).all()
        assert (amounts <= [1, 3, 40, 5000]).all()


def test_a_draw_depends_on_names_alone_and_modes_share_it():
    weights = layer_weights(network())
    many = list(allocate(weights, ORIGIN, ["lowest", "rows"], [0.3, 0.5], {"random": 3}))
    few = list(allocate(weights, ORIGIN, ["lowest"], [0.5], {"random": 1}))
    by_name = {str(variant): variant.ratios for variant in many}
    assert by_name["lowest-0.5 random 1"] == few[-1].ratios == by_name["rows-0.5 random 1"]
    other = Origin("digits", "net", 2, 0)
    again = list(allocate(weights, other, ["lowest"], [0.5], {"random": 1}))
    assert again[-1].ratios != few[-1].ratios


def test_each_layer_is_pruned_alone():
    weights = layer_weights(network())
    found = list(allocate(weights, ORIGIN, ["lowest"], [0.5], "uniform", alone=[0.25, 0.5]))
    alone = [variant for variant in found if variant.alone]
    assert [variant.alone for variant in alone] == ["0", "0", "3", "3", "4", "4"]
    for variant in alone:
        assert [name for name, ratio in variant.ratios.items() if ratio] == [variant.alone]
        assert variant.ratios[variant.alone] == pytest.approx(variant.ratio, abs=0.01)


def test_a_random_mask_follows_from_its_names():
    model = network()
    one, two = list(allocate(layer_weights(model), ORIGIN, ["random"], [0.5, 0.6], "uniform"))[1:]
    found, again = compressed(model, one), compressed(model, one)
    assert all(found[name].equal(again[name]) for name in found)
    masks = [weight[weight != 0].numel() for weight in found.values()]
    assert masks == [weight.numel() // 2 for weight in layer_weights(model).values()]
    assert not (found["3"] != 0).equal(compressed(model, two)["3"] != 0)


def test_a_table_of_variants_reads_back_to_the_bit(tmp_path):
    weights = layer_weights(network())
    sizes = {name: weight.numel() for name, weight in weights.items()}
    made = list(allocate(weights, ORIGIN, ["lowest"], [0.3, 0.5], {"random": 5}, alone=[0.9]))
    allocated.write(tmp_path / "variants.csv", ORIGIN, made, sizes)
    read = allocated.read(tmp_path / "variants.csv", ORIGIN)
    assert [str(one) for one in read] == [str(one) for one in made]
    assert [one.ratios for one in read] == [dict(one.ratios) for one in made]
    with pytest.raises(UserError, match="another baseline"):
        allocated.read(tmp_path / "variants.csv", Origin("digits", "net", 2, 0))


def test_a_tied_weight_is_pruned_and_counted_once():
    model = network()
    tied = nn.Sequential(model, nn.Linear(16, 5))
    tied[1].weight = model[4].weight
    assert list(layer_weights(tied)) == ["0.0", "0.3", "0.4"]
    assert tied_names(tied) == {"1": "0.4"}
    assert list(choose(tied, "1", ["1"])) == ["0.4"]
    with pytest.raises(UserError, match=r"names 0\.4 once more"):
        choose(tied, "1", ["0.4", "1"])


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (["conv*"], "'conv\\*' of the layers to prune matches none of the network's: 0, 3, 4."),
        (["0", "*"], "'\\*' of the layers to prune names 0 once more; name each layer once"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(wanted, sentence):
    with pytest.raises(UserError, match=sentence):
        choose(network(), "4", wanted)


def test_modes_that_do_not_fit_are_refused():
    weights = layer_weights(network())
    with pytest.raises(UserError, match="layer 0: n:4 prunes among 4 neighbours, but a row"):
        check_modes(["lowest", "n:4"], weights)
    check_modes(["n:9"], {"0": weights["0"]})
    with pytest.raises(UserError, match="one threshold over all layers is not defined for rows"):
        global_ratios(weights, ORIGIN, "rows", 0.5)
