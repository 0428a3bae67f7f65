import random

import pytest
import torch
from torch import nn

from ap3.finetuning.heads import Heads, finetune_heads
from ap3.training.sgd import Recipe, shuffled_batches


def problem(examples, width, classes, variants, dtype=torch.float32):
    generator = torch.Generator().manual_seed(examples * width)
    draw = {"generator": generator, "dtype": dtype}
    weight, bias = (
        torch.randn(variants, classes, width, **draw) / 10,
        torch.randn(variants, classes, **draw),
    )
    masks = (torch.rand(variants, classes, width, generator=generator) > 0.4).to(dtype)
    views = torch.randn(2, examples, width, **draw)
    labels = torch.randint(0, classes, (examples,), generator=generator)
    return Heads(weight, bias), masks, views, labels


def run(heads, masks, views, labels, recipe):
    return list(
        finetune_heads(heads, masks, views, labels, recipe, torch.Generator().manual_seed(1))
    )


@pytest.fixture
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("seed", "threads"),
    [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 8), (7, 8)],
    indirect=["threads"],
)
def test_a_variant_does_not_depend_on_the_others_to_the_bit(seed, threads):
    chance = random.Random(seed)
    variants = chance.randint(3, 13)
    heads, masks, views, labels = problem(
        chance.randint(5, 150), chance.randint(1, 300), chance.randint(2, 40), variants
    )
    recipe = Recipe(epochs=2, batch_size=32, learning_rate=0.1, weight_decay=1e-3)
    together = run(heads, masks, views, labels, recipe)[-1]
    some = chance.sample(range(variants), 1 + seed % 2)
    alone = run(Heads(heads.weight[some], heads.bias[some]), masks[some], views, labels, recipe)[-1]
    assert torch.equal(alone.weight, together.weight[some])
    assert torch.equal(alone.bias, together.bias[some])


def test_pruned_weights_stay_zero_and_kept_ones_learn():
    heads, masks, views, labels = problem(60, 17, 5, 4)
    for epoch in run(heads, masks, views, labels, Recipe(3, 16, 0.1, weight_decay=1e-2)):
        assert bool((epoch.weight[masks == 0] == 0).all())
        assert bool((epoch.weight != heads.weight)[masks == 1].all())


def test_equal_to_fine_tuning_each_variant_by_itself_with_autograd():
    """The oracle: a plain layer, torch's own SGD and cosine schedule, one variant at a time."""
    heads, masks, views, labels = problem(50, 12, 4, 3, torch.float64)
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.2, momentum=0.9, weight_decay=1e-3)
    together = run(heads, masks, views, labels, recipe)[-1]
    for index in range(3):
        layer = nn.Linear(12, 4, dtype=torch.float64)
        layer.weight.data, layer.bias.data = (
            heads.weight[index] * masks[index],
            heads.bias[index].clone(),
        )
        optimizer = torch.optim.SGD(layer.parameters(), 0.2, momentum=0.9, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
        generator = torch.Generator().manual_seed(1)
        for epoch in range(3):
            for batch in shuffled_batches(50, 16, generator):
                loss = nn.functional.cross_entropy(layer(views[epoch % 2][batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                layer.weight.grad *= masks[index]
                optimizer.step()
            schedule.step()
        torch.testing.assert_close(
            together.weight[index], layer.weight.data, rtol=1e-12, atol=1e-13
        )
        torch.testing.assert_close(together.bias[index], layer.bias.data, rtol=1e-12, atol=1e-13)
