"""The paper's four networks through every stage: one training step at their smallest input."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_data import blobs

from ap3.files import storage
from ap3.models.checkpoint import Checkpoint
from ap3.pruning.pruned import Pruned, PrunedLayer, read_unpruned
from ap3.stages.baseline import baseline
from ap3.stages.bounds import bounds
from ap3.stages.covariance import covariance
from ap3.stages.features import features
from ap3.stages.finetune import finetune
from ap3.stages.measure import measure
from ap3.stages.prune import prune
from ap3.stages.views import views

VARIANTS = ["control", "lowest-0.3", "highest-0.8", "random-0.5"]
RECIPE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.001}


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    shutil.rmtree(tmp_path)  # VGG16 alone leaves half a gigabyte


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "head", "inputs"),
    [
        ("alexnet", 63, "classifier.6", 4096),
        ("vgg16", 32, "classifier.6", 4096),
        ("resnet50", 32, "fc", 2048),
        ("vit_b_16", 16, "heads.head", 768),
    ],
)
def test_a_network_of_the_paper_goes_all_the_way(folder, model, size, head, inputs):
    data, checkpoint = folder / "data.safetensors", folder / "baseline.safetensors"
    blobs(train=4, test=2).save(data)
    history, crops = folder / "baseline.csv", {"augmentation": "crop-flip", "device": "cpu"}
    baseline(data, model, checkpoint, history, image_size=size, **crops, **RECIPE)
    assert len(pd.read_csv(history)) == 1
    whole = read_unpruned(checkpoint)
    assert whole.only_layer == head
    layer = whole.layers[head]
    assert layer.weight.shape == (2, inputs)

    seen, augmented = folder / "features.safetensors", folder / "views.safetensors"
    features(data, checkpoint, seen, device="cpu")
    views(data, checkpoint, augmented, views=1, **crops)
    arrays, _ = storage.load(seen)
    assert arrays["train"].shape == (4, inputs)
    cropped = storage.load(augmented)[0]["views"]
    assert cropped.shape == (1, 4, inputs)
    assert (cropped[0] != arrays["train"]).any()
    check_features(checkpoint, arrays)

    pruned, tuned = folder / "pruned.safetensors", folder / "finetuned.safetensors"
    prune(VARIANTS, checkpoint, pruned)
    finetune(pruned, checkpoint, tuned, features=seen, views=augmented, **crops, **RECIPE)

    rotation, out = folder / "covariance.safetensors", folder / "measures.csv"
    covariance(checkpoint, rotation, rotation="fast")
    measure(tuned, checkpoint, seen, rotation, out, groups=100)
    check_measures(pd.read_csv(out), Pruned(pruned), Pruned(tuned), layer)
    bounds(tuned, checkpoint, seen, rotation, folder / "bounds.csv", groups=100)
    assert set(pd.read_csv(folder / "bounds.csv")["epoch"]) == {0, 1}


def check_features(checkpoint: Path, arrays) -> None:
    """The last layer, given the features, says what the whole network says."""
    network = Checkpoint.load(checkpoint, torch.device("cpu"))
    view = network.identity.view
    images = torch.from_numpy(blobs(train=4, test=2).test_images)
    layer = network.model.get_submodule(network.identity.head)
    with torch.no_grad():
        expected = network.model.eval()(view.still(images))
        torch.testing.assert_close(layer(torch.from_numpy(arrays["test"])), expected)


def check_measures(table: pd.DataFrame, pruned: Pruned, tuned: Pruned, layer: PrunedLayer):
    assert len(table) == 2 * len(VARIANTS)
    for name, network in pruned.items():
        (start,), (states,) = (one.layers.values() for one in (network, tuned[name]))
        variant = network.variant
        assert states.weight.shape == (2, *layer.weight.shape)
        assert (states.weight[:, ~states.mask] == 0).all()
        assert (states.weight[0] == start.weight).all()
        assert (states.weight[1] != states.weight[0])[states.mask].any()
        rows = table[(table["mode"] == variant.mode) & (table.ratio == variant.ratio)]
        distance = ((states.weight.astype(float) - layer.weight) ** 2).sum((1, 2))
        assert rows.ap2.to_numpy() == pytest.approx(distance, rel=1e-6, abs=1e-12)
        assert rows.pruned.tolist() == [round(variant.ratio * layer.weight.size)] * 2
    control = table[(table["mode"] == "control") & (table.epoch == 0)].squeeze()
    assert control.ap2 == control.test_pd_loss == control.test_pd_accuracy == 0
