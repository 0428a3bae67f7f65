import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models import list_models

from ap3.errors import UserError
from ap3.models.head import find_head, fit_head, without_head
from ap3.models.names import FASHION, PAPER, are_known, is_known
from ap3.models.registry import build

FACTORY = """
from torch import nn
from torchvision.models import resnet18

def thousand(classes, image_size):
    return resnet18(weights=None)

def headless(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 20), nn.ReLU())

def biasless(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes, bias=False))

def softened(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes), nn.Softmax(1))

def rectified(classes, image_size):
    linear = nn.Linear(3 * image_size**2, classes)
    return nn.Sequential(nn.Flatten(), linear, nn.ReLU(inplace=True))

class Several(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.layer = nn.Linear(inputs, classes)

    def forward(self, images):
        return self.layer(images.flatten(1)), images

def several(classes, image_size):
    return Several(3 * image_size**2, classes)

class Cut(Several):
    def forward(self, images):
        return super().forward(images)[0][:, :2]

def cut(classes, image_size):
    return Cut(3 * image_size**2, classes)

def computed(classes, image_size):
    linear = nn.Linear(3 * image_size**2, classes)
    return nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(linear))

def broken(classes, image_size):
    return {}["no such key"]

def none(classes, image_size):
    return None

def greedy(classes):
    return resnet18(weights=None)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own, gone again after the test."""
    (tmp_path / "own_networks.py").write_text(FACTORY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_networks"
    sys.modules.pop("own_networks", None)


@pytest.mark.parametrize(
    ("name", "size", "head"),
    [
        ("small_alexnet", 16, "classifier.6"),
        ("small_resnet", 16, "fc"),
        ("small_vit", 16, "heads.head"),
        ("resnet18", 32, "fc"),
        ("shufflenet_v2_x0_5", 32, "fc"),
        ("mobilenet_v3_small", 32, "classifier.3"),
        ("densenet121", 32, "classifier"),
        ("regnet_x_400mf", 32, "fc"),
        ("swin_t", 32, "head"),
        ("swin_v2_t", 32, "head"),
        ("convnext_tiny", 32, "classifier.2"),
        ("efficientnet_b0", 32, "classifier.1"),
        ("googlenet", 32, "fc"),
        ("inception_v3", 75, "fc"),
        ("mnasnet0_5", 32, "classifier.1"),
        ("mobilenet_v2", 32, "classifier.1"),
        ("maxvit_t", 224, "classifier.5"),
    ],
)
def test_the_last_layer_is_found_whatever_it_is_called(name, size, head):
    model = build(name, 7, size)
    assert find_head(model, size) == head
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected = model.eval()(images)
        assert expected.shape == (2, 7)
        with without_head(model, head) as trunk:
            features = trunk(images).flatten(1)
        torch.testing.assert_close(model.get_submodule(head)(features), expected)


def test_looking_for_the_head_changes_nothing():
    model = build("small_vgg", 10, 16).train()
    state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    find_head(model, 16)
    assert model.training
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_last_layer_without_bias_gets_one_that_changes_nothing(own):
    model = build(f"{own}:biasless", 10, 8)
    images = torch.rand(2, 3, 8, 8)
    expected = images.flatten(1) @ model[1].weight.T
    torch.testing.assert_close(model(images), expected)
    assert model[1].bias.requires_grad


def test_a_network_that_does_not_end_in_a_linear_layer_lists_those_it_has(own):
    with pytest.raises(UserError, match="its linear layers are: none"):
        build("squeezenet1_1", 10, 32)
    with pytest.raises(UserError, match=r"its linear layers are: 1\."):
        build(f"{own}:headless", 10, 8)


def test_an_own_network_gets_one_output_per_class(own):
    assert build(f"{own}:thousand", 7, 32).fc.out_features == 7


def test_a_head_that_fits_stays_the_same_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    head = model[1]
    fit_head(model, "1", 4)
    assert model[1] is head


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("softened", r"its linear layers are: 1\."),
        ("rectified", r"its linear layers are: 1\."),
        ("cut", r"its linear layers are: layer\."),
        ("several", "Several returns tuple, but must return one tensor"),
        ("computed", "1, has the parameters bias, parametrizations.weight.original0,"),
        ("broken", "cannot be built for 10 classes and images of 8 × 8 pixels"),
        ("none", "returned NoneType, but must return a torch.nn.Module"),
        ("greedy", "a function of two arguments"),
        ("absent", "cannot be imported .AttributeError"),
    ],
)
def test_an_own_network_that_does_not_work_is_refused(own, function, says):
    with pytest.raises(UserError, match=says) as refusal:
        build(f"{own}:{function}", 10, 8)
    assert "\n" not in str(refusal.value)


def test_a_module_that_is_not_there_is_refused_before_anything_runs(tmp_path, monkeypatch):
    assert is_known("no_such_package.networks:mine")[0] is False
    (tmp_path / "failing_package").mkdir()
    (tmp_path / "failing_package" / "__init__.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert is_known("failing_package.networks:mine")[0] is False
    with pytest.raises(UserError, match="ZeroDivisionError"):
        build("failing_package:mine", 10, 8)


@pytest.mark.parametrize(
    ("name", "size"), [("alexnet", 32), ("vit_b_16", 20), ("small_vit", 3), ("swin_t", 1)]
)
def test_images_that_a_network_cannot_take_are_refused(name, size):
    with pytest.raises(UserError, match=f"{name} cannot be built .* {size} × {size} pixels") as no:
        build(name, 10, size)
    assert "\n" not in str(no.value)


def test_a_misspelt_network_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'resnet18'"):
        build("resnett18", 10, 32)


def test_timm_is_asked_where_it_is_installed(monkeypatch):
    made = []

    def create_model(name, pretrained, num_classes):
        made.append((name, pretrained))
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))

    fake = SimpleNamespace(
        is_model=lambda name: name == "tiny",
        list_models=lambda: ["tiny", "huge"],
        create_model=create_model,
    )
    monkeypatch.setitem(sys.modules, "timm", fake)
    assert build("timm:tiny", 5, 8)[1].out_features == 5
    assert made == [("tiny", False)]
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        build("timm:tinny", 5, 8)


def test_without_timm_its_networks_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="needs timm; install it"):
        build("timm:tiny", 5, 8)


def test_networks_that_are_known_unasked_exist():
    assert {*PAPER, *FASHION} <= set(list_models(module=models))


@pytest.mark.parametrize(
    ("weights", "model", "known"),
    [
        ("none", "small_vgg", True),
        ("DEFAULT", "vgg16", True),
        ("IMAGENET1K_V2", "resnet50", True),
        ("IMAGENET1K_V2", "alexnet", False),
        ("mine.pth", "small_vgg", True),
        ("some/mine.safetensors", "timm:tiny", True),
        ("DEFAULT", "timm:tiny", False),
        ("DEFAULT", "mine:network", False),
        ("default", "resnet50", False),
    ],
)
def test_weights_are_known_by_name_or_by_the_end_of_a_files_name(weights, model, known):
    assert are_known(weights, model)[0] is known
