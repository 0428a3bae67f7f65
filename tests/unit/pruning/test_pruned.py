"""What is pruned, on disk and off it, for one layer and for several."""

from dataclasses import replace

import numpy as np
import pytest
from head_problems import layer_of, problem, tuned

from ap3.config.variants import Variant
from ap3.errors import UserError
from ap3.files import storage
from ap3.pruning import pruned
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import Pruned, PrunedLayer, PrunedNetwork, read_unpruned

ONE = tuned(problem())


def several_layers():
    """A convolution with a bias and a matrix without, before any fine-tuning."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (4, 3, 2, 2), "fc": (5, 4)}
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    layers = {name: PrunedLayer.whole(weight) for name, weight in weights.items()}
    layers["conv"] = replace(layers["conv"], bias=np.ones(4, "float32"))
    return PrunedNetwork(ONE.origin, Variant("control", 0.0), layers)


def check_same(one, other):
    assert (one.origin, one.variant) == (other.origin, other.variant)
    assert list(one.layers) == list(other.layers)
    for name, layer in one.layers.items():
        for part in ("mask", "weight", "bias"):
            mine, theirs = getattr(layer, part), getattr(other.layers[name], part)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                assert mine.dtype == theirs.dtype
                np.testing.assert_array_equal(mine, theirs)


def test_all_variants_are_read_back_whole(tmp_path):
    networks = [ONE, tuned(problem(), name="control")]
    pruned.save(tmp_path / "p.safetensors", networks)
    back = Pruned(tmp_path / "p.safetensors", ONE.origin)
    assert list(back) == ["random-0.4", "control"]
    for network in networks:
        check_same(back[str(network.variant)], network)
    assert "lowest-0.5" not in back


def test_any_layers_are_pruned_by_their_ratio_and_read_back(tmp_path):
    whole = several_layers()
    networks = [prune_network(whole, Variant(mode, 0.5)) for mode in ("lowest", "random")]
    for network in networks:
        for name, layer in network.layers.items():
            assert (~layer.mask).sum() == layer.mask.size // 2
            kept = np.where(layer.mask, whole.layers[name].weight, 0)
            np.testing.assert_array_equal(layer.weight, kept)
    pruned.save(tmp_path / "p.safetensors", networks)
    for network in Pruned(tmp_path / "p.safetensors").values():
        check_same(network, networks[network.variant.mode == "random"])
    with pytest.raises(UserError, match=r"one pruned layer is expected, but .* has 2"):
        _ = networks[0].only_layer


def test_layers_are_taken_out_of_a_checkpoint_by_name(tmp_path):
    whole, path = several_layers(), tmp_path / "c.safetensors"
    arrays = {f"{name}.weight": layer.weight for name, layer in whole.layers.items()}
    arrays["conv.bias"] = whole.layers["conv"].bias
    names = {"dataset": "blobs", "model": "net", "trial": 1, "seed": 0, "head": "fc"}
    storage.save(path, arrays, identity=names)
    check_same(read_unpruned(path, ["conv", "fc"]), whole)
    assert list(read_unpruned(path).layers) == ["fc"]
    with pytest.raises(UserError, match="weights of a layer"):
        read_unpruned(path, ["conv2"])


def test_variants_take_the_disk_of_their_kept_weights(tmp_path):
    """Under the bound of epochs times the layer, and 100 kB, for each variant."""
    rng, epochs, shape = np.random.default_rng(0), 21, (100, 2048)
    networks = []
    for ratio in (0.1, 0.5):
        mask = rng.random(shape) > ratio
        weight = mask * rng.random((epochs, *shape), "float32")
        layer = PrunedLayer(mask, weight, np.zeros((epochs, 100), "float32"))
        networks.append(replace(ONE, variant=Variant("random", ratio), layers={"fc": layer}))
    pruned.save(tmp_path / "p.safetensors", networks)
    one, size = 100 * 2048 * 4, (tmp_path / "p.safetensors").stat().st_size
    assert 0.68 * 2 * epochs * one < size < 0.72 * 2 * epochs * one + 2 * 100_000


def test_a_pruned_weight_that_moved_is_not_lost_silently(tmp_path):
    moved = replace(layer_of(ONE), weight=layer_of(ONE).weight + 1)
    with pytest.raises(ValueError, match="a pruned weight is not zero"):
        pruned.save(tmp_path / "p.safetensors", [replace(ONE, layers={"fc": moved})])
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_refused(tmp_path):
    arrays = {name: np.ones(3) for name in ("mask", "weight", "bias")}
    storage.save(tmp_path / "p.safetensors", arrays, variant="control", origin={})
    with pytest.raises(UserError, match="holds no pruned layers"):
        Pruned(tmp_path / "p.safetensors")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays, about: arrays.update({"0.bias.fc": arrays["0.bias.fc"].ravel()}),
        lambda arrays, about: arrays.update({"0.bias.fc": arrays["0.bias.fc"][..., :0]}),
        lambda arrays, about: arrays.update({"0.mask.fc": arrays["0.mask.fc"][:1]}),
        lambda arrays, about: arrays.update({"0.weight.fc": arrays["0.weight.fc"].astype("i8")}),
        lambda arrays, about: arrays.pop("0.weight.fc"),
        lambda arrays, about: about["origin"].update(dataset="two\nlines"),
        lambda arrays, about: about["origin"].update(seed="two\nlines"),
        lambda arrays, about: about.update(shapes={"two\nlines": [3, 5]}),
        lambda arrays, about: about.update(variants=[]),
        lambda arrays, about: about.update(variants=5),
    ],
)
def test_a_file_sealed_with_other_content_is_refused_in_a_line(tmp_path, spoil):
    path = tmp_path / "p.safetensors"
    pruned.save(path, [ONE])
    arrays, about = storage.load(path)
    spoil(arrays, about)
    storage.save(path, arrays, **about)
    with pytest.raises(UserError, match="pruned layer") as refusal:
        list(Pruned(path).values())
    assert "\n" not in str(refusal.value)
