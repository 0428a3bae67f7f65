"""How fast a network goes on this machine, by the very loops that the stages run."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ap3.datasets.images import Images
from ap3.models.checkpoint import Checkpoint
from ap3.planning.clock import seconds
from ap3.planning.line import GROWTH, along_a_line
from ap3.training.evaluation import EVALUATION_BATCH, logits_of
from ap3.training.running import running
from ap3.training.sgd import Recipe, train

_LONG_ENOUGH = 1.0  # seconds
_FEWEST = 4  # images


@dataclass(frozen=True)
class Speed:
    """Images a second: `trained` on, and `passed` through the network in evaluation mode."""

    trained: float
    passed: float


def measure_speed(network: Checkpoint, data: Images, recipe: Recipe, device: torch.device) -> Speed:
    """Time steps and passes of a network on few of the training images, after one for warming up.

    A step takes its time for the weights, whatever the images: two sizes of a batch tell the two apart,
    so that a CPU need not train on whole batches. On a card, and where the network is translated,
    batches are whole. The weights stay as they are.
    """
    still = replace(recipe, epochs=2, learning_rate=0.0)
    model = network.model.to(device)
    run, view = running(model, recipe.channels_last, recipe.compile), network.identity.view
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)

    def train_on(count: int) -> float:
        generator = torch.Generator().manual_seed(0)
        some = images[:count].to(device), labels[:count].to(device)
        epochs = train(model, *some, view, still, generator, run=run)
        next(epochs)
        return seconds(lambda: next(epochs), device)

    def pass_on(count: int) -> float:
        logits_of(run, images[:count], view, device)
        return seconds(lambda: logits_of(run, images[:count], view, device).cpu(), device)

    whole = recipe.compile or device.type != "cpu"
    steps = train_on, recipe.batch_size if whole else _FEWEST, recipe.batch_size
    passes = pass_on, EVALUATION_BATCH if whole else _FEWEST, EVALUATION_BATCH
    return Speed(_rate(*steps, len(labels)), _rate(*passes, len(labels)))


def _rate(seconds_of: Callable[[int], float], least: int, batch: int, images: int) -> float:
    """Return how many images a second go in batches of a size."""
    batch = min(batch, images)
    fixed, each = along_a_line(seconds_of, least, batch, _LONG_ENOUGH)
    count, taken = batch, fixed + each * batch
    while taken < _LONG_ENOUGH and count < images:
        count = min(GROWTH * count, images)
        taken = seconds_of(count)
    return count / taken
