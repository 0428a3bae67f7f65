"""Train a network by the paper's recipe: SGD with momentum, cosine annealing over the epochs."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from ap3.errors import UserError
from ap3.machine.device import at_least_float32, take
from ap3.machine.memory import Pieces
from ap3.machine.progress import counted
from ap3.models.preprocessing import View
from ap3.training.point_maps import PointMaps
from ap3.training.resume import Draws, Resume
from ap3.training.running import is_translated, running

_PIXELS_AT_ONCE = 1 << 18  # three megabytes of three channels


@dataclass(frozen=True)
class Recipe:
    """What training needs to know (Sec. 5.1).

    Attributes
    ----------
    epochs
        Passes over the training data; the learning rate falls along half a cosine over them.
    batch_size
        Largest batch; an epoch is cut into batches of sizes as equal as can be.
    learning_rate, momentum, weight_decay
        Of stochastic gradient descent.
    augmentation
        One of `ap3.models.preprocessing.AUGMENTATIONS`.
    channels_last
        Whether images and weights keep their channels last in memory, in which most processors
        convolve faster, to other last bits.
    compile
        Whether `torch.compile` translates the network first: a minute or so that long trainings
        on a card earn back.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0
    augmentation: str = "none"
    channels_last: bool = False
    compile: bool = False


class DivergedError(UserError, ArithmeticError):
    """Training has left the finite numbers; says when, and what to try."""


@contextmanager
def naming(title: str) -> Iterator[None]:
    """Say within the `with` block whose training it is that diverges."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"{title} diverged: {error}.") from error


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data: its number from 1, its learning rate, running means."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float


def optimise(parameters: Sequence[Tensor], recipe: Recipe) -> tuple[Optimizer, CosineAnnealingLR]:
    """Make a fresh optimiser of `parameters` and the schedule that anneals it over `recipe.epochs`."""
    optimizer = SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    return optimizer, CosineAnnealingLR(optimizer, max(recipe.epochs, 1))


def shuffled_batches(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Cut a random order of `count` examples into the fewest batches of at most `size`.

    The batches are as equal as can be, so that none is too small for batch normalisation.

    Examples
    --------
    >>> batches = shuffled_batches(10, 4, torch.Generator().manual_seed(0))
    >>> [len(batch) for batch in batches]
    [4, 3, 3]
    """
    order = torch.randperm(count, generator=generator)
    return order.tensor_split(math.ceil(count / size))


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    view: View,
    recipe: Recipe,
    generator: torch.Generator,
    resume: Resume | None = None,
    run: nn.Module | None = None,
) -> Iterator[Epoch]:
    """Train `model` in place, yielding after each epoch.

    Parameters
    ----------
    model, images, labels
        `images` are uint8 (N, C, H, W), `labels` int64 (N,). Both stand where the model is, or on
        the CPU, from where they are streamed.
    generator
        On the CPU; draws the order of the examples and their augmentation.
    resume
        Where to go on from; what the caller changes at each epoch is tracked there already.
    run
        What runs the model, made by `ap3.training.running.running`, if the caller has it already.

    Raises
    ------
    DivergedError
        If the loss or a weight is no longer finite.
    """
    run = run or running(model, recipe.channels_last, recipe.compile)
    parameters = list(model.parameters())
    device = parameters[0].device
    optimizer, schedule = optimise(parameters, recipe)
    resume = resume or Resume()
    resume.track(model=model, optimizer=optimizer, schedule=schedule)
    resume.track(draws=Draws(generator, device))
    pieces = Pieces("in training")
    for epoch in range(resume.restore() + 1, recipe.epochs + 1):
        model.train()
        learning_rate = float(schedule.get_last_lr()[0])
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        batches = _batches(images, labels, view, recipe, generator, device)
        count = math.ceil(len(images) / recipe.batch_size)
        for pixels, answers in counted(batches, f"epoch {epoch}", count):
            step = partial(_step, run, optimizer, pixels, answers)
            sums += pieces.fit(step, len(answers))
        schedule.step()
        loss, accuracy = (sums / len(images)).tolist()
        _refuse_divergence(parameters, loss, epoch, recipe)
        yield Epoch(epoch, learning_rate, loss, accuracy)
        resume.keep(epoch)


def _batches(
    images: Tensor,
    labels: Tensor,
    view: View,
    recipe: Recipe,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches as the network sees them, in random order and augmented.

    Small images are prepared for several batches at once, since calls cost more than pixels there.
    """
    batches = shuffled_batches(len(images), recipe.batch_size, generator)
    together = max(1, _PIXELS_AT_ONCE // (recipe.batch_size * view.size**2))
    for first in range(0, len(batches), together):
        some = batches[first : first + together]
        rows, sizes = torch.cat(some), [len(batch) for batch in some]
        pixels = view.augmented(take(images, rows, device), recipe.augmentation, generator)
        answers = take(labels, rows, device)
        yield from zip(pixels.split(sizes), answers.split(sizes), strict=True)


def _step(
    model: nn.Module, optimizer: Optimizer, pixels: Tensor, labels: Tensor, pieces: int
) -> Tensor:
    """Descend once; returns the sums of loss and of correct answers over the batch."""
    optimizer.zero_grad(set_to_none=True)
    sums = []
    for some, answers in zip(pixels.tensor_split(pieces), labels.tensor_split(pieces), strict=True):
        with PointMaps() if _by_points(model, some) else nullcontext():
            logits = at_least_float32(model(some))
        loss = F.cross_entropy(logits, answers)
        # Gradients follow the types of their outputs.
        with torch.autocast(pixels.device.type, enabled=False):
            (loss * (len(answers) / len(labels))).backward()
        correct = (logits.detach().argmax(1) == answers).sum()
        sums.append(torch.stack([loss.detach() * len(answers), correct]))
    optimizer.step()
    return torch.stack(sums).sum(0)


def _by_points(model: nn.Module, pixels: Tensor) -> bool:
    """Tell whether maps of one pixel are worth a look at every call: on a card they gain nothing."""
    return pixels.device.type == "cpu" and not is_translated(model)


def _refuse_divergence(
    parameters: Sequence[Tensor], loss: float, epoch: int, recipe: Recipe
) -> None:
    wrong = "" if math.isfinite(loss) else f"the training loss became {loss}"
    # Stacked: a card is waited for once, not once for each weight.
    finite = torch.stack([weights.isfinite().all() for weights in parameters])
    if not wrong and not finite.all():
        wrong = "a weight is no longer finite"
    if wrong:
        raise DivergedError(
            f"{wrong} in epoch {epoch}; lower the learning rate, which is {recipe.learning_rate:g}"
        )
