"""What users bring along by name: data, pruning criteria and latent laws of their own."""

import numpy as np
import pytest
import torch

from ap3 import datasets
from ap3.comparing.layer_table import compare
from ap3.config import user_code
from ap3.errors import UserError
from ap3.models.registry import build
from ap3.pruning.masks import pruning_mask

MODULE = """
import numpy as np
import torch

from ap3.datasets.images import Images
from ap3.latent import IsotropicGaussian


def two_shades():
    images = np.repeat(np.array([0, 255], np.uint8), 8 * 64).reshape(16, 1, 8, 8)
    labels = np.repeat(np.array([0, 1]), 8)
    return Images("any", ("dark", "bright"), images, labels, images[::2], labels[::2])


def last_first(weights):
    return -torch.arange(weights.numel(), dtype=torch.float32).view(weights.shape)


def one_score(weights):
    return weights.sum()


def unit(weights):
    return IsotropicGaussian(weights, variance=1.0)


def number(weights):
    return 1.0
"""


@pytest.fixture(autouse=True)
def brought(tmp_path, monkeypatch):
    (tmp_path / "brought.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_data_set_is_called_as_it_is_named():
    images = datasets.get("brought:two_shades").decode()
    assert images.name == "brought:two_shades"
    assert images.train_images.shape == (16, 1, 8, 8)


def test_a_criterion_prunes_the_lowest_scores():
    mask = pruning_mask(torch.ones(2, 5), "brought:last_first", 0.3)
    assert mask.flatten().tolist() == [1] * 7 + [0] * 3


def test_a_law_adds_a_column():
    state = {"fc.weight": np.array([[1.0, 2.0]])}
    table = compare(state, {"fc.weight": np.zeros((1, 2))}, laws=["brought:unit"])
    assert table["ap3_own_unit"].tolist() == [2.5]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: datasets.get("brought:number").decode(), ["brought:number", "without arguments"]),
        (lambda: datasets.get("brought:nothing").decode(), ["brought:nothing", "data set"]),
        (lambda: datasets.get("away:nothing").decode(), ["away", "PYTHONPATH"]),
        (lambda: pruning_mask(torch.ones(3), "brought:one_score", 0.5), ["shape", "(3,)"]),
        (lambda: pruning_mask(torch.ones(3), "brought:two_shades", 0.5), ["of one argument: weights"]),
        (
            lambda: compare({"a.weight": np.ones((1, 2))}, {"a.weight": np.ones((1, 2))},
                            laws=["brought:number"]),
            ["float", "ap3.latent.Law"],
        ),
        (
            lambda: compare({"a.weight": np.ones((1, 2))}, {"a.weight": np.ones((1, 2))},
                            laws=["brought:unit", "brought:unit"]),
            ["two latent laws", "'unit'"],
        ),
    ],
)  # fmt: skip
def test_what_is_not_as_it_must_be_is_refused_in_one_sentence(use, words):
    with pytest.raises(UserError) as refusal:
        use()
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


def test_names_of_ap3_and_timm_are_not_the_users_own():
    assert not user_code.is_own("lowest")
    assert not user_code.is_own("timm:resnet10t")


def test_too_little_memory_is_not_called_a_mistake_of_the_users(tmp_path, monkeypatch):
    (tmp_path / "hungry.py").write_text(
        "def network(classes, image_size):\n    raise MemoryError\n", encoding="utf-8"
    )
    (tmp_path / "starved.py").write_text("raise MemoryError\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MemoryError):
        build("hungry:network", classes=2, image_size=8)
    with pytest.raises(MemoryError):
        build("starved:network", classes=2, image_size=8)
