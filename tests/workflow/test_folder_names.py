"""What is the user's own lies in folders whose names every system takes."""

import re

import pytest
from checkout import MINI, Checkout, configured
from pages import save
from pictures import paint

pytestmark = pytest.mark.slow

OWN = {
    "data": {"ten_classes": "own_data:three_or_eight"},
    "networks": {"resnet": {"model": "own_network:tiny", "epochs": 1, "learning_rate": 0.05}},
    "figures": ["fig12"],
}
SMALL = {"model": "small_vgg", "epochs": 1, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    checkout = Checkout.make(tmp_path_factory.mktemp("own") / "checkout", configured(MINI, OWN))
    save("docs/extend.md", checkout.folder)
    return checkout


def test_no_path_has_a_colon(planner, checkout):
    printed = planner.ask(checkout, "--dry-run", "--printshellcmds")
    paths = set(re.findall(r"results/\S+", printed))
    trial = "results/mini/own_data.three_or_eight/own_network.tiny/trial1"
    assert f"{trial}/baseline.safetensors" in paths
    assert [path for path in paths if ":" in path] == []
    assert "--model own_network:tiny" in printed
    assert "--dataset own_data:three_or_eight" in printed


def test_results_under_an_old_name_are_told(planner, checkout):
    old = checkout.folder / "results/mini/own_data:three_or_eight"
    old.mkdir(parents=True)
    printed = planner.ask(checkout, "--dry-run", "--quiet")
    old.rmdir()
    assert f"mv results/mini/{old.name} results/mini/own_data.three_or_eight" in printed


def test_images_in_folders_have_a_short_portable_name(planner, tmp_path):
    pictures = tmp_path / "my birds"
    paint(pictures, classes=("heron", "wren"), each=5)
    name = f"folder:{pictures}"
    study = OWN | {"data": {"any": name}, "networks": {"resnet": SMALL}}
    checkout = Checkout.make(tmp_path / "checkout", configured(MINI, study))
    printed = planner.ask(checkout, "--dry-run", "--printshellcmds")
    assert f"--dataset '{name}'" in printed
    assert f"--data 'ten_classes={name}'" in printed
    assert re.search(
        r"results/mini/folder\.my_birds-[0-9a-f]{4}/small_vgg/trial1/measures", printed
    )
