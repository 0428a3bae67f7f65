"""How well a network does: the loss and the correctness of every single example."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Self, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ap3.machine.device import at_least_float32, send
from ap3.machine.memory import Pieces
from ap3.machine.progress import counted
from ap3.models.preprocessing import View
from ap3.training.running import is_translated

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class PerExample:
    """Cross-entropy `loss` (float64) and `correct` (float64, 0 or 1) per example, along the last axis."""

    loss: Tensor
    correct: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> Self:
        """Judge `logits` (…, N, classes) by `labels` (N,)."""
        targets = labels.expand(logits.shape[:-1])
        loss = F.cross_entropy(
            logits.movedim(-1, 1) if logits.ndim > 2 else logits, targets, reduction="none"
        )
        return cls(loss.double(), (logits.argmax(-1) == targets).double())

    def of_variant(self, index: int) -> "PerExample":
        """Take one variant's outcomes out of those of many, (V, N)."""
        return PerExample(self.loss[index], self.correct[index])


def logits_of(model: nn.Module, images: Tensor, view: View, device: torch.device) -> Tensor:
    """Run `model` in evaluation mode over uint8 `images`; returns its outputs (N, …) on `device`."""
    return torch.cat(list(outputs_of(model, images, view.still, device)))


def outputs_of(
    model: nn.Module,
    images: Tensor,
    look: Callable[[Tensor], Tensor],
    device: torch.device,
    title: str = "evaluation",
) -> Iterator[Tensor]:
    """Run `model` in evaluation mode over uint8 `images`, a batch at a time; yields its outputs.

    The model sees what `look` makes of a batch: `View.still`, or a random view. `title` is what
    the bar calls it.
    """
    model.eval()
    pieces = Pieces("in evaluation")
    # A batch of another size would have to be translated anew.
    least = min(EVALUATION_BATCH, len(images)) if is_translated(model) else 0
    for batch in counted(images.split(EVALUATION_BATCH), title):
        with torch.no_grad():
            pixels = _filled(look(send(batch, device)), least)
            outputs = pieces.fit(partial(_in_pieces, model, pixels), len(pixels))
        yield at_least_float32(outputs[: len(batch)])


def _filled(pixels: Tensor, least: int) -> Tensor:
    """Repeat the last of some images until there are at least so many."""
    missing = least - len(pixels)
    if missing <= 0:
        return pixels
    return torch.cat([pixels, pixels[-1:].expand(missing, *pixels.shape[1:])])


def _in_pieces(model: nn.Module, pixels: Tensor, pieces: int) -> Tensor:
    if pieces == 1:
        return cast(Tensor, model(pixels))
    return torch.cat([model(some) for some in pixels.tensor_split(pieces)])
