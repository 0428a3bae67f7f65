"""A convolution of a 1 × 1 map is a product with its middle weights, in training alone."""

import copy

import pytest
import torch
from torch import nn

from ap3.models.preprocessing import View
from ap3.training import point_maps, sgd
from ap3.training.point_maps import PointMaps
from ap3.training.sgd import Recipe, train


@pytest.fixture
def products(monkeypatch):
    """Count the convolutions that become products."""
    taken = []
    product = point_maps._product

    def counted(*args):
        taken.append(args)
        return product(*args)

    monkeypatch.setattr(point_maps, "_product", counted)
    return taken


def _pass(layer, images):
    images = images.clone().requires_grad_()
    layer.zero_grad()
    out = layer(images)
    out.square().sum().backward()
    return out.detach(), images.grad, [p.grad.clone() for p in layer.parameters()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "padding"), [(3, 1), (5, 2), ((3, 1), (1, 0)), ((1, 5), (0, 2))]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_outputs_and_gradients_are_the_convolution_s(products, kernel, padding, bias, stride):
    layer = nn.Conv2d(6, 4, kernel, stride, padding, bias=bias).double()
    images = torch.randn(7, 6, 1, 1, dtype=torch.float64)
    expected = _pass(layer, images)
    assert not products
    with PointMaps():
        found = _pass(layer, images)
    assert len(products) == 1
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(6, 4, 3, padding=1), (7, 6, 2, 1)),
        (nn.Conv2d(6, 4, 3, padding=1), (6, 1, 1)),
        (nn.Conv2d(6, 4, 1), (7, 6, 1, 1)),
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), (7, 6, 1, 1)),
        (nn.Conv2d(6, 4, 3, padding=2), (7, 6, 1, 1)),
        (nn.Conv2d(6, 4, 3, padding=2, dilation=2), (7, 6, 1, 1)),
        (nn.Conv2d(6, 4, 2, padding=1), (7, 6, 1, 1)),
        (nn.Conv2d(6, 4, 3, padding="same"), (7, 6, 1, 1)),
        (nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"), (7, 6, 1, 1)),
    ],
)
def test_what_is_no_product_stays_a_convolution(products, layer, shape):
    images = torch.randn(shape)
    expected = layer(images)
    with PointMaps():
        found = layer(images)
    assert not products
    assert torch.equal(found, expected)


def test_training_takes_products_and_comes_out_the_same(products, monkeypatch):
    torch.manual_seed(0)
    first = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    second = copy.deepcopy(first)
    images = torch.randint(0, 256, (30, 3, 1, 1), dtype=torch.uint8)
    labels = torch.randint(0, 3, (30,))
    recipe = Recipe(3, 10, 0.1, momentum=0.9, weight_decay=1e-3)

    def trained(network):
        return list(
            train(network, images, labels, View(1), recipe, torch.Generator().manual_seed(1))
        )

    epochs = trained(first)
    assert len(products) == 3 * 3 * 2
    monkeypatch.setattr(point_maps, "_keeps_a_point", lambda *_: False)
    expected = trained(second)
    assert [epoch.train_loss for epoch in epochs] == pytest.approx(
        [epoch.train_loss for epoch in expected], rel=1e-5
    )
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=1e-4, atol=1e-5)


def test_a_translated_network_is_left_to_its_compiler(products):
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4, 3))
    network._orig_mod = True
    images = torch.randint(0, 256, (8, 3, 1, 1), dtype=torch.uint8)
    labels = torch.randint(0, 3, (8,))
    recipe = Recipe(1, 8, 0.1)
    next(sgd.train(network, images, labels, View(1), recipe, torch.Generator(), run=network))
    assert not products
