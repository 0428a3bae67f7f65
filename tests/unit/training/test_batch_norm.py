"""BatchNorm's statistics estimated again, against the batches' own moments."""

import numpy as np
import torch
from torch import nn

from ap3.models.preprocessing import View
from ap3.training.batch_norm import estimate, norms, restored
from ap3.training.evaluation import EVALUATION_BATCH

VIEW = View(4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def images(count: int) -> torch.Tensor:
    draw = np.random.default_rng(0)
    return torch.from_numpy(draw.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Dropout(0.9), nn.Flatten())
    return model.train()


def test_they_are_the_means_of_the_batches_moments():
    model, some = network(), images(EVALUATION_BATCH + 8)
    estimate(model, some, VIEW, torch.device("cpu"))
    batches = [model[0](part.float() / 255).detach() for part in some.tensor_split(2)]
    mean = torch.stack([part.mean((0, 2, 3)) for part in batches]).mean(0)
    variance = torch.stack([part.var((0, 2, 3)) for part in batches]).mean(0)
    torch.testing.assert_close(model[1].running_mean, mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model[1].running_var, variance, rtol=1e-5, atol=1e-6)
    assert model[1].momentum == 0.1
    assert not any(module.training for module in model.modules())


def test_they_can_be_put_back():
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with restored(model):
        estimate(model, images(8), VIEW, torch.device("cpu"))
        assert not model[1].running_mean.equal(before["1.running_mean"])
    for name, tensor in model.state_dict().items():
        assert tensor.equal(before[name]), name


def test_a_network_without_them_is_untouched():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Dropout(0.5)).train()
    estimate(model, images(4), VIEW, torch.device("cpu"))
    assert norms(model) == []
    assert model.training
