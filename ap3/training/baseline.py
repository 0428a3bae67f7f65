"""A baseline: one network trained on one data set, its best or its last epoch kept."""

import copy
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from ap3.config.seeds import derive
from ap3.datasets.images import Images
from ap3.errors import InvalidValueError
from ap3.machine.device import resident
from ap3.machine.progress import Progress
from ap3.models.checkpoint import Checkpoint, Identity
from ap3.models.head import find_head
from ap3.models.names import NO_WEIGHTS
from ap3.models.preprocessing import View
from ap3.models.pretrained import Pretrained
from ap3.models.registry import build
from ap3.training.evaluation import PerExample, logits_of
from ap3.training.resume import Resume, Rows
from ap3.training.running import running
from ap3.training.sgd import Recipe, naming, train


def train_baseline(
    data: Images,
    model: str,
    image_size: int | None,
    recipe: Recipe,
    validation: float,
    trial: int,
    seed: int,
    device: torch.device,
    pretrained: Pretrained | None = None,
    resume: Resume | None = None,
) -> tuple[Checkpoint, list[dict[str, Any]]]:
    """Train the network called `model` on `data`, from scratch or from `pretrained` weights.

    The images have `image_size` pixels or, with None, the size that the weights were trained at.
    With `validation` > 0 that share of the training images is held out, and the epoch with the
    best accuracy on it is kept ("best parameters of each trial", Sec. 5.1, for which the test
    split may not be asked); with 0 the last epoch is kept. A training that was killed goes on from
    `resume`, if it is given.

    Returns
    -------
    Checkpoint
        The trained network, on `device`.
    list of dict
        A row per epoch: learning rate, running training loss and accuracy, and those held out.

    Raises
    ------
    UserError
        If training diverges.
    """
    start = untrained(data, model, image_size, trial, seed, pretrained)
    network, view = start.model.to(device), start.identity.view
    kept, held_out = split(
        len(data.train_labels), validation, derive(seed, data.name, "validation")
    )
    images, labels = _part(data, kept, device)
    validation_images, validation_labels = _part(data, held_out, device)
    generator = torch.Generator().manual_seed(derive(seed, data.name, model, trial, "batches"))
    torch.manual_seed(derive(seed, data.name, model, trial, "dropout"))

    run = running(network, recipe.channels_last, recipe.compile)
    best = _Best(network)
    history: list[dict[str, Any]] = []
    resume = resume or Resume()
    resume.track(history=Rows(history), **({"best": best} if len(held_out) else {}))
    title = f"{data.name} {model} trial {trial}"
    epochs = train(network, images, labels, view, recipe, generator, resume, run)
    with naming(title), Progress(title, recipe.epochs, len(kept)) as progress:
        for epoch in epochs:
            row = asdict(epoch)
            if len(held_out):
                row |= _validate(run, validation_images, validation_labels, view, device)
                best.offer(network, row["validation_accuracy"])
            history.append(row)
            progress.advance(epoch.epoch, loss=epoch.train_loss, accuracy=epoch.train_accuracy)
    if len(held_out):
        best.restore(network)
    return start, history


def untrained(
    data: Images,
    model: str,
    image_size: int | None,
    trial: int,
    seed: int,
    pretrained: Pretrained | None = None,
) -> Checkpoint:
    """Set up the network as training finds it: with random weights, or with `pretrained` ones."""
    torch.manual_seed(derive(seed, data.name, model, trial, "initial weights"))
    view, classes = _view(model, image_size, pretrained), len(data.classes)
    network = build(model, classes, view.size)
    head = find_head(network, view.size)
    if pretrained:
        pretrained.give_to(network, head)
    weights = pretrained.name if pretrained else NO_WEIGHTS
    about = (data.name, model, classes, view.size, trial, seed, head, weights, view.mean, view.std)
    return Checkpoint(network, Identity(*about))


def _view(model: str, image_size: int | None, pretrained: Pretrained | None) -> View:
    """Look at images as the weights' own network did, at `image_size` where that is given."""
    found = pretrained.view if pretrained else None
    size = image_size or (found.size if found else None)
    if size is None:
        raise InvalidValueError(
            f"the input size of {model} is not known, as no weights tell it; give image_size."
        )
    return replace(found, size=size) if found else View(size)


def split(count: int, validation: float, seed: int) -> tuple[Tensor, Tensor]:
    """Part the indices of `count` examples into those to train on and those held out, sorted."""
    held = round(validation * count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    if validation and not 0 < held < count:
        raise InvalidValueError(
            f"holding out {validation:g} of {count} training images leaves one side empty; "
            "change validation."
        )
    return order[held:].sort().values, order[:held].sort().values


def _part(data: Images, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Select some training images and their labels, and put them on `device` if they fit."""
    images = torch.from_numpy(data.train_images)[rows]
    return resident(images, device), torch.from_numpy(data.train_labels)[rows].to(device)


def _validate(
    network: nn.Module, images: Tensor, labels: Tensor, view: View, device: torch.device
) -> dict[str, float]:
    outcomes = PerExample.of(logits_of(network, images, view, device), labels)
    return {
        "validation_loss": outcomes.loss.mean().item(),
        "validation_accuracy": outcomes.correct.mean().item(),
    }


class _Best:
    """Remembers the weights of the best epoch so far; the earliest of equals."""

    def __init__(self, network: nn.Module) -> None:
        self.accuracy = float("-inf")
        self.state = network.state_dict()

    def offer(self, network: nn.Module, accuracy: float) -> None:
        if accuracy > self.accuracy:
            self.accuracy = accuracy
            self.state = copy.deepcopy(network.state_dict())

    def restore(self, network: nn.Module) -> None:
        network.load_state_dict(self.state)

    def state_dict(self) -> dict[str, Any]:
        return {"accuracy": self.accuracy, "state": dict(self.state)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.accuracy, self.state = state["accuracy"], state["state"]
