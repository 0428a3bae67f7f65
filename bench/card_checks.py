"""Twenty seconds that tell whether a card computes what the CPU does, before anything is timed."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from networks import untrained
from torch import Tensor

from ap3.machine.device import processor
from ap3.models.preprocessing import View
from ap3.training import sgd
from ap3.training.sgd import Recipe, train

CLASSES, SIZE, COUNT = 4, 32, 64
NETWORKS = ("small_vgg", "small_resnet", "small_vit")
LARGEST = {"float32": 1e-4, "tf32": 2e-2, "bfloat16": 0.6}
"""How far gradients may be from the CPU's in float32, relative to their size."""


class Check(NamedTuple):
    """What was compared, what came out, and the most that it may be."""

    what: str
    found: float
    most: float

    @property
    def right(self) -> bool:
        """Whether the card passes; a number that is not finite does not."""
        return self.found <= self.most


def checks(device: str) -> Iterator[Check]:
    """Compare gradients in every precision and a short training, and look for waits."""
    for model in NETWORKS:
        expected = _gradient(model, "cpu", "float32")
        for precision, most in LARGEST.items():
            found = _gradient(model, device, precision)
            distance = (found - expected).norm() / expected.norm()
            yield Check(f"gradient of {model} in {precision}", distance.item(), most)
    yield Check("loss after 3 epochs in float32", abs(_loss(device) - _loss("cpu")), 0.02)
    if device != "cpu":
        yield Check("waits within a step", _waits(device), 0)


def _pictures() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(COUNT) % CLASSES
    noise = torch.randint(0, 80, (COUNT, 3, SIZE, SIZE), generator=draw)
    return (noise + 40 * labels[:, None, None, None]).to(torch.uint8), labels


def _gradient(model: str, device: str, precision: str) -> Tensor:
    """All gradients of one batch, on the CPU, in evaluation mode: dropout draws by the device."""
    network = untrained(model, CLASSES, SIZE).eval()
    images, labels = _pictures()
    with processor(device, torch.get_num_threads(), precision) as where:
        network.to(where)
        logits = network(View(SIZE).still(images.to(where))).float()
        with torch.autocast(where.type, enabled=False):
            F.cross_entropy(logits, labels.to(where)).backward()
    return torch.cat([one.grad.flatten().cpu() for one in network.parameters()])


def _loss(device: str) -> float:
    """Train a network without dropout for a short while; returns its last loss."""
    network = untrained("small_resnet", CLASSES, SIZE)
    images, labels = _pictures()
    with processor(device, torch.get_num_threads()) as where:
        given = images.to(where), labels.to(where), View(SIZE), Recipe(3, 16, 0.01)
        order = torch.Generator().manual_seed(0)
        return [epoch.train_loss for epoch in train(network.to(where), *given, order)][-1]


def _waits(device: str) -> int:
    """Count epochs, of data on the card and of data that are sent there, in which a step waits."""
    count = 0
    with processor(device, torch.get_num_threads(), "bfloat16") as where:
        network = untrained("small_vgg", CLASSES, SIZE).to(where)
        images, labels = _pictures()
        wanted = Recipe(1, 16, 0.1, augmentation="crop-flip", channels_last=True)
        optimizer, _ = sgd.optimise(list(network.parameters()), wanted)
        for some in (images, images.to(where)):
            batches = sgd._batches(
                some, labels.to(where), View(SIZE), wanted, torch.Generator(), where
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the mode calls itself a prototype
                torch.cuda.set_sync_debug_mode("error")
                try:
                    for pixels, answers in batches:
                        sgd._step(network, optimizer, pixels, answers, 1)
                except RuntimeError:
                    count += 1
                finally:
                    torch.cuda.set_sync_debug_mode("default")
    return count
