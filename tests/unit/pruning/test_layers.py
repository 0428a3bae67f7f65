from dataclasses import replace

import numpy as np
import pytest
from head_problems import problem, tuned

from ap3.errors import UserError
from ap3.files import storage
from ap3.pruning.layers import Layer


@pytest.mark.parametrize("name", ["random-0.4", "control"])
def test_a_layer_is_read_back_whole(tmp_path, name):
    layer = tuned(problem(), name=name)
    layer.save(tmp_path / "l.safetensors")
    back = Layer.load(tmp_path / "l.safetensors")
    assert (back.origin, back.variant) == (layer.origin, layer.variant)
    for part in ("mask", "weight", "bias"):
        assert getattr(back, part).dtype == getattr(layer, part).dtype
        np.testing.assert_array_equal(getattr(back, part), getattr(layer, part))


def test_a_layer_takes_the_disk_of_its_kept_weights(tmp_path):
    """Under the bound of one whole layer for each epoch and 100 kB."""
    rng, epochs, shape = np.random.default_rng(0), 21, (100, 2048)
    mask = (rng.random(shape) > 0.1).astype("float32")
    weight = mask * rng.random((epochs, *shape), "float32")
    bias = np.zeros((epochs, 100), "float32")
    layer = replace(tuned(problem()), mask=mask, weight=weight, bias=bias)
    layer.save(tmp_path / "l.safetensors")
    one, size = weight[0].nbytes, (tmp_path / "l.safetensors").stat().st_size
    assert 0.88 * epochs * one < size < (epochs - 1) * one


def test_a_pruned_weight_that_moved_is_not_lost_silently(tmp_path):
    layer = tuned(problem())
    moved = replace(layer, weight=layer.weight + 1)
    with pytest.raises(ValueError, match="a pruned weight is not zero"):
        moved.save(tmp_path / "l.safetensors")


def test_a_layer_without_its_shape_is_refused(tmp_path):
    arrays = {name: np.ones(3) for name in ("mask", "weight", "bias")}
    storage.save(tmp_path / "l.safetensors", arrays, variant="control", origin={})
    with pytest.raises(UserError, match="holds no pruned layer"):
        Layer.load(tmp_path / "l.safetensors")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays, about: arrays.update(bias=arrays["bias"].ravel()),
        lambda arrays, about: arrays.update(bias=arrays["bias"][..., :0]),
        lambda arrays, about: arrays.update(weight=arrays["weight"].astype(bool)),
        lambda arrays, about: about["origin"].update(dataset="two\nlines"),
        lambda arrays, about: about["origin"].update(seed="two\nlines"),
    ],
)
def test_a_layer_sealed_with_other_content_is_refused_in_a_line(tmp_path, spoil):
    path = tmp_path / "l.safetensors"
    tuned(problem()).save(path)
    arrays, about = storage.load(path)
    spoil(arrays, about)
    storage.save(path, arrays, **about)
    with pytest.raises(UserError, match="pruned layer") as refusal:
        Layer.load(path)
    assert "\n" not in str(refusal.value)
