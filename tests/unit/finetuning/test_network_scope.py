"""Heads tuned together on shared features equal variants tuned one by one through the network."""

import copy

import pytest
import torch
from small_data import blobs
from torch import nn

from ap3.finetuning.heads import Heads, finetune_heads
from ap3.finetuning.network_scope import finetune_network
from ap3.models.head import find_head, linear, without_head
from ap3.models.preprocessing import View
from ap3.models.registry import build
from ap3.pruning.masks import pruning_mask
from ap3.pruning.network_layers import layer_weights
from ap3.training.evaluation import outputs_of
from ap3.training.sgd import Recipe, shuffled_batches

CPU = torch.device("cpu")
VIEW = View(16)
RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=0.05, weight_decay=1e-3)
MODES = ("lowest", "highest", "random")


def network(name, dtype):
    """A network whose batch normalisation has seen some data, as a baseline's has."""
    torch.manual_seed(0)
    model = build(name, 3, 16).to(dtype)
    with torch.no_grad():
        model.train()(seen_by(dtype, "none")(torch.from_numpy(blobs(classes=3).train_images)))
    return model.eval()


def seen_by(dtype, augmentation, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return lambda images: VIEW.augmented(images, augmentation, draws).to(dtype)


def together(model, head, masks, images, labels, dtype):
    with without_head(model, head) as trunk:
        views = [
            torch.cat(list(outputs_of(trunk, images, seen_by(dtype, "crop-flip", t), CPU)))
            for t in range(RECIPE.epochs)
        ]
    layer = linear(model, head)
    heads = Heads(
        layer.weight.detach().expand_as(masks), layer.bias.detach().expand(len(masks), -1)
    )
    draws = torch.Generator().manual_seed(7)
    return list(finetune_heads(heads, masks, views, labels, RECIPE, draws))[-1]


def alone(model, head, mask, images, labels, dtype):
    """The plain way: every step goes through the whole network, one variant by itself."""
    model = copy.deepcopy(model)
    layer = linear(model, head)
    layer.weight.data *= mask
    optimizer = torch.optim.SGD(layer.parameters(), 0.05, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, RECIPE.epochs)
    draws = torch.Generator().manual_seed(7)
    for epoch in range(RECIPE.epochs):
        pixels = seen_by(dtype, "crop-flip", epoch)(images)
        for batch in shuffled_batches(len(images), RECIPE.batch_size, draws):
            loss = nn.functional.cross_entropy(model(pixels[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            layer.weight.grad *= mask
            optimizer.step()
        schedule.step()
    return layer


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", ["small_alexnet", "small_vgg", "small_resnet", "small_vit"])
def test_together_is_each_alone_through_the_full_network(name, dtype, tolerance):
    data = blobs(classes=3)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    model = network(name, dtype)
    head = find_head(model.float(), 16)
    model = model.to(dtype)
    weight = linear(model, head).weight.detach()
    masks = torch.stack([pruning_mask(weight, mode, 0.5, seed=0) for mode in MODES])
    tuned = together(model, head, masks, images, labels, dtype)
    for index, mask in enumerate(masks):
        layer = alone(model, head, mask, images, labels, dtype)
        moved = (layer.weight - weight * mask).norm() / weight.norm()
        assert moved > 1e-3
        for ours, theirs in ((tuned.weight, layer.weight), (tuned.bias, layer.bias)):
            assert (ours[index] - theirs).norm() <= tolerance * theirs.norm()


@pytest.mark.parametrize("name", ["small_resnet", "small_vit"])
def test_masks_of_any_layer_are_held(name):
    """Attention's projections too, which are parameters of a module and no modules."""
    model, data = network(name, torch.float32), blobs(classes=3)
    masks = {
        layer: pruning_mask(weight.detach(), "lowest", 0.5).bool()
        for layer, weight in layer_weights(model).items()
    }
    before = {layer: weight.detach().clone() for layer, weight in layer_weights(model).items()}
    given = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    list(finetune_network(model, masks, *given, VIEW, RECIPE, torch.Generator().manual_seed(0)))
    for layer, weight in layer_weights(model).items():
        assert (weight[~masks[layer]] == 0).all(), layer
        assert not torch.equal(weight[masks[layer]], before[layer][masks[layer]]), layer
