"""The bound through the layers: norms against matrices, the bound against losses, refusals."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ap3.errors import UserError
from ap3.measuring.spectral_chain import Step, chain_of, spectral_chain
from ap3.models.small import small_alexnet, small_resnet, small_vgg, small_vit


def matrix_of(module, shape):
    """A module as a matrix, by what it makes of each unit vector, less what it makes of zero."""
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        rows = module.double()(units) - module(0 * units[:1])
    return rows.flatten(1).T.numpy()


LINEAR = {
    "padded": (nn.Conv2d(2, 3, 3, padding=1), (2, 5, 6)),
    "strided": (nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 7, 6)),
    "large and strided": (nn.Conv2d(3, 4, 5, stride=4, padding=2), (3, 10, 10)),
    "dilated": (nn.Conv2d(2, 2, 3, dilation=2), (2, 7, 7)),
    "grouped": (nn.Conv2d(4, 4, 3, groups=2, padding=1), (4, 5, 5)),
    "one by one": (nn.Conv2d(4, 6, 1, bias=False), (4, 3, 3)),
    "of a line": (nn.Conv1d(2, 3, 3, padding=1), (2, 9)),
    "dense": (nn.Linear(6, 4), (6,)),
    "averages": (nn.AvgPool2d(3, 2, padding=1), (2, 7, 8)),
    "averages of what is there": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 7, 8)),
    "overlapping averages": (nn.AvgPool2d((3, 2), stride=1), (1, 5, 5)),
    "averages to a grid": (nn.AdaptiveAvgPool2d(3), (2, 7, 5)),
    "averages to a larger grid": (nn.AdaptiveAvgPool2d(5), (2, 3, 2)),
}


@pytest.mark.parametrize("kind", LINEAR)
def test_norms_at_the_true_size(kind):
    torch.manual_seed(0)
    module, shape = LINEAR[kind]
    pruned = copy.deepcopy(module)
    with torch.no_grad():
        for weight in pruned.parameters():
            weight *= torch.rand_like(weight) > 0.4
    [step] = chain_of(nn.Sequential(module), nn.Sequential(pruned), torch.randn(3, *shape))
    matrices = [matrix_of(copy.deepcopy(m), shape) for m in (module, pruned)]
    exact = [np.linalg.norm(matrix, 2) for matrix in (matrices[1], matrices[1] - matrices[0])]
    # Lanczos' steps are fewer than numbers for one kind only, which has a margin.
    rel = 0.02 if kind == "large and strided" else 1e-5
    for found, true in zip((step.norm, step.change), exact, strict=True):
        assert found == pytest.approx(true, rel=rel, abs=1e-12)
        assert found >= true * (1 - 1e-6)


def pruned_copy(model, share, seed, layers=(nn.Linear, nn.Conv2d)):
    torch.manual_seed(seed)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, layers):
                module.weight *= torch.rand_like(module.weight) > share
                module.bias += 0.1 * torch.randn_like(module.bias)
    return other


@torch.no_grad()
def performance_difference(one, two, images, labels):
    losses = [
        nn.functional.cross_entropy(model.eval().double()(images.double()), labels)
        for model in (copy.deepcopy(one), copy.deepcopy(two))
    ]
    return abs(losses[1] - losses[0]).item()


def small(kind, seed):
    torch.manual_seed(seed)
    if kind == "dense":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(48, 9),
            nn.Tanh(),
            nn.Linear(9, 8),
            nn.LeakyReLU(),
            nn.Linear(8, 5),
        )
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )


@pytest.mark.parametrize("kind", ["dense", "convolutions"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_no_network_is_damaged_more(kind, share):
    for seed in range(4):
        model = small(kind, seed)
        other = pruned_copy(model, share, seed)
        for module in (*model.modules(), *other.modules()):
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight)
                nn.init.uniform_(module.running_var, 0.5, 2)
        images, labels = 3 * torch.randn(7, 3, 4, 4), torch.randint(5, (7,))
        bound = spectral_chain(chain_of(model, other, images)).sum()
        assert performance_difference(model, other, images, labels) <= bound


def test_the_last_layer_alone_gives_the_lipschitz_bound():
    model = small("dense", 0)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[-1].weight *= 0.5
    steps = chain_of(model, other, torch.randn(4, 3, 4, 4))
    shares = spectral_chain(steps)
    assert (shares[:-1] == 0).all()
    change = np.linalg.norm(0.5 * model[-1].weight.detach().double().numpy(), 2)
    assert shares[-1] == pytest.approx(np.sqrt(2) * change * steps[-1].input_norm)


def test_norms_and_activations_of_the_unpruned_network_alone_would_be_too_small():
    """A silent hidden unit and a zero layer above it: all terms are zero, and PD is not."""
    one, two = (nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)) for _ in range(2))
    with torch.no_grad():
        for model, below, above in ((one, -1.0, 0.0), (two, 1.0, 1.0)):
            model[0].weight.fill_(below)
            model[2].weight.copy_(torch.tensor([[above], [-above]]))
            for layer in (model[0], model[2]):
                layer.bias.zero_()
    images, labels = torch.ones(1, 1), torch.tensor([1])
    there, back = (spectral_chain(chain_of(*pair, images)) for pair in ((one, two), (two, one)))
    pd_loss = performance_difference(one, two, images, labels)
    assert pd_loss == pytest.approx(np.log1p(np.exp(2)) - np.log(2), rel=1e-6)
    assert pd_loss <= there.sum()
    assert pd_loss <= back.sum()
    unpruned = [
        Step(step.name, norm, step.change, 0.0, step.input_norm)
        for step, norm in zip(chain_of(one, two, images), (1.0, 1.0, 0.0), strict=True)
    ]
    assert spectral_chain(unpruned).sum() == 0


def test_removing_weights_can_make_a_norm_larger():
    assert np.linalg.norm([[1, 1], [1, 0]], 2) > np.linalg.norm([[1, 1], [1, -1]], 2)


@pytest.mark.parametrize("build", [small_alexnet, small_vgg])
def test_families_that_it_applies_to(build):
    torch.manual_seed(1)
    model = build(4, 16)
    other = pruned_copy(model, 0.1, 0)
    images, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 3])
    steps = chain_of(model, other, images, lanczos_steps=40)
    names = [step.name for step in steps if step.change > 0]
    weighted = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert names == weighted
    assert performance_difference(model, other, images, labels) <= spectral_chain(steps).sum()


class Functional(nn.Module):
    """A function between the modules that no hook sees."""

    def __init__(self, between):
        super().__init__()
        self.one, self.two, self.between = nn.Linear(3, 3), nn.Linear(3, 3), between

    def forward(self, x):
        return self.two(self.between(self.one(x)))


REFUSED = {
    "is no plain chain": small_resnet(4, 16),
    "MultiheadAttention|no plain chain|no slope is known": small_vit(4, 16),
    "GELU, of which no slope": nn.Sequential(nn.Flatten(), nn.Linear(768, 4), nn.GELU()),
    "two does not see what one": Functional(lambda x: 2 * x),
    "does not see what one puts": Functional(lambda x: x.mul_(2)),
    "pads with circular": nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular")),
    "has no running statistics": nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)),
    "divides by 3": nn.Sequential(nn.AvgPool2d(2, divisor_override=3)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_other_networks_are_refused(message):
    model = REFUSED[message]
    images = torch.randn(2, 3) if isinstance(model, Functional) else torch.randn(2, 3, 16, 16)
    with pytest.raises(UserError, match=message):
        chain_of(model, copy.deepcopy(model), images)


def test_a_module_used_twice_and_another_network_are_refused():
    layer = nn.Linear(3, 3)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    with pytest.raises(UserError, match="used twice"):
        chain_of(twice, copy.deepcopy(twice), torch.randn(2, 3))
    with pytest.raises(UserError, match="its own pruned version"):
        chain_of(nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()), torch.randn(2, 3))


def test_views_between_modules_are_seen_through():
    one = Functional(lambda x: x.reshape(-1, 3))
    assert len(chain_of(one, copy.deepcopy(one), torch.randn(2, 3))) == 2
