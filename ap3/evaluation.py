"""How well a network does: the loss and the correctness of every single example."""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ap3.views import View

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Outcomes:
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

    def of_variant(self, index: int) -> "Outcomes":
        """Take one variant's outcomes out of those of many, (V, N)."""
        return Outcomes(self.loss[index], self.correct[index])


@torch.no_grad()
def logits_of(model: nn.Module, images: Tensor, view: View, device: torch.device) -> Tensor:
    """Run `model` in evaluation mode over uint8 `images`; returns its outputs (N, …) on `device`."""
    model.eval()
    batches = images.split(EVALUATION_BATCH)
    return torch.cat([model(view.still(batch.to(device))) for batch in batches])
