"""How fast a network goes on this machine, by the very loops that the stages run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ap3.datasets.images import Images
from ap3.models.checkpoint import Checkpoint
from ap3.training.evaluation import logits_of
from ap3.training.running import running
from ap3.training.sgd import Recipe, train

_LONG_ENOUGH = 1.0  # seconds
_FEWEST, _MOST = 8, 8192  # images
_GROWTH = 4


@dataclass(frozen=True)
class Speed:
    """Images a second: `trained` on, and `passed` through the network in evaluation mode."""

    trained: float
    passed: float


def measure_speed(network: Checkpoint, data: Images, recipe: Recipe, device: torch.device) -> Speed:
    """Time a network on few of the training images, each time after once for warming up.

    On a CPU it starts with eight images and takes more until one pass takes a second; on a card, or
    translated, with a whole batch. The weights stay as they are.
    """
    still = replace(recipe, epochs=2, learning_rate=0.0)
    model = network.model.to(device)
    run, view = running(model, recipe.channels_last, recipe.compile), network.identity.view
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)

    def train_on(count: int) -> float:
        generator = torch.Generator().manual_seed(0)
        some = images[:count].to(device), labels[:count].to(device)
        epochs = train(model, *some, view, still, generator, run=run)
        return _second_time(lambda: next(epochs))

    def pass_on(count: int) -> float:
        return _second_time(lambda: logits_of(run, images[:count], view, device).cpu())

    whole = recipe.batch_size if recipe.compile or device.type != "cpu" else _FEWEST
    least, most = min(whole, len(labels)), min(_MOST, len(labels))
    return Speed(_rate(train_on, least, most), _rate(pass_on, least, most))


def _second_time(work: Callable[[], object]) -> float:
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rate(seconds_of: Callable[[int], float], count: int, most: int) -> float:
    while (seconds := seconds_of(count)) < _LONG_ENOUGH and count < most:
        count = min(_GROWTH * count, most)
    return count / seconds
