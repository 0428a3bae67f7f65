"""Distances layer by layer, through a whole network's fine-tuning."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from small_data import blobs
from torch import nn

from ap3.comparing.layer_table import compare
from ap3.explaining import depth
from ap3.finetuning.layer_distances import layer_distances
from ap3.measuring.sampling_noise import Noise
from ap3.stages.baseline import baseline
from ap3.stages.covariance import covariance
from ap3.stages.depth import depth as stage
from ap3.stages.features import features
from ap3.stages.finetune import finetune
from ap3.stages.measure import measure
from ap3.stages.prune import prune

RECIPE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}


def test_the_layers_and_distances_that_compare_finds():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    two = copy.deepcopy(one)
    for parameter in two.parameters():
        parameter.data += torch.randn_like(parameter)
    table = depth.with_ap3(pd.DataFrame(layer_distances(one, two)))
    expected = compare(one.state_dict(), two.state_dict())
    for name in ("layer", "weights"):
        assert table[name].tolist() == expected[name].tolist()
    for name in ("ap2", "ap3_gaussian"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-12)


def test_summary():
    rows = [
        {"dataset": "d", "model": "n", "trial": 1, "mode": mode, "ratio": 0.5, "epoch": epoch}
        | {"layer": f"l{i}", "depth": i, "ap3_gaussian": size}
        for epoch in (0, 1, 2)
        for mode, small in (("lowest", 1.0), ("highest", 2.0))
        for i, size in enumerate([small + epoch, 10 * (small + epoch), -small - epoch], start=1)
    ]
    summary = depth.summarise(pd.DataFrame(rows)).set_index("layer")
    assert summary["n"].tolist() == [4, 4]
    assert summary["rho"].tolist() == pytest.approx([1, -1])
    assert summary["larger"].tolist() == [1, 0]


def test_a_whole_network_from_pruning_to_the_table(tmp_path):
    data, checkpoint = tmp_path / "data.safetensors", tmp_path / "baseline.safetensors"
    blobs(train=16, test=8, size=16).save(data)
    history = tmp_path / "baseline.csv"
    baseline(data, "small_vit", checkpoint, history, image_size=16, device="cpu", **RECIPE)
    pruned, tuned = tmp_path / "pruned.safetensors", tmp_path / "finetuned.safetensors"
    prune(["control", "highest-0.5"], checkpoint, pruned)
    finetune(pruned, checkpoint, tuned, data=data, device="cpu", **RECIPE)
    measured_with_its_noise(tuned, checkpoint, data, tmp_path)
    stage([tuned.with_suffix(".layers.csv")], tmp_path / "tables")
    table = pd.read_csv(tmp_path / "tables" / "layers.csv")
    first = table[table["epoch"] == 0].set_index(["mode", "layer"])
    last = first.index.get_level_values("layer")[-1]
    # Pruning touches the last layer only; after an epoch every layer has moved.
    assert (first.drop(("highest", last))["ap2"] == 0).all()
    assert first.loc[("highest", last), "ap2"] > 0
    assert (table.loc[table["epoch"] == 1, "ap2"] > 0).all()
    summary = pd.read_csv(tmp_path / "tables" / "layers_summary.csv")
    assert summary["depth"].tolist() == list(range(2, table["depth"].max() + 1))


def measured_with_its_noise(tuned, checkpoint, data, folder):
    """Where the whole network has learned, the test outcomes at the end are those of fine-tuning."""
    rotation, seen = folder / "covariance.safetensors", folder / "features.safetensors"
    features(data, checkpoint, seen, device="cpu")
    covariance(checkpoint, rotation, rotation="fast")
    measure(tuned, checkpoint, seen, rotation, folder / "measures.csv", scope="all")
    noise = Noise.load(folder / "measures.safetensors")
    logs = pd.read_csv(tuned.with_suffix(".csv"))
    for place, mode in enumerate(("control", "highest")):
        log = logs[logs["mode"] == mode]
        for name in ("test_pd_loss", "test_pd_accuracy"):
            error = np.sqrt(noise.covariance[name][:, place, place])
            np.testing.assert_allclose(error, log[f"{name}_se"], rtol=1e-3, atol=1e-6)
        error = np.sqrt(noise.covariance["train_pd_loss"][:, place, place])
        assert np.isnan(error).tolist() == [False, True]
