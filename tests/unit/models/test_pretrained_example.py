"""The example of a pretrained network: its factory, its weights, its configuration."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
import torch

from ap3.models.pretrained import Pretrained

FOLDER = Path(__file__).parents[3] / "examples" / "pretrained"

pytest.importorskip("efficientnet_lite_pytorch", reason="the extra 'pretrained' is not installed")


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location(
        "efficientnet_lite", FOLDER / "efficientnet_lite.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_weights_go_into_the_network_but_for_its_last_layer(
    example, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    example.main()
    network = example.lite0(10, 64)
    before = network._fc.weight.clone()
    weights = Pretrained.load(example.WEIGHTS)
    weights.give_to(network, "_fc")
    assert torch.equal(network._conv_stem.weight, weights.state["_conv_stem.weight"])
    assert torch.equal(network._fc.weight, before)
    assert network._fc.in_features == 1280
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


@pytest.mark.slow
def test_its_studies_can_be_planned(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example.main()
    root = FOLDER.parents[1]
    path = os.pathsep.join([str(root), str(FOLDER)])
    planned = subprocess.run(
        [
            *("snakemake", "pretrained", "from_scratch", "pretrained_all", "--dry-run"),
            *("--snakefile", root / "Snakefile", "--configfile", FOLDER / "pretrained.yaml"),
            *("--cores", "1"),
        ],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert planned.returncode == 0, planned.stdout + planned.stderr
