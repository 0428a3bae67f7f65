"""The performance difference (PD) of a pruned network, with the standard error of its pairing."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from ap3.evaluation import Outcomes


@dataclass(frozen=True)
class Difference:
    """The mean over examples of a paired difference, and that mean's standard error.

    Positive where the pruned network does worse. The PD of Def. 2.8 is `abs(signed)`.
    """

    signed: Tensor
    standard_error: Tensor

    @classmethod
    def of(cls, differences: Tensor) -> Self:
        """Average `differences` (…, N) over their last axis."""
        count = differences.shape[-1]
        return cls(differences.mean(-1), differences.std(-1) / count**0.5)


def loss_difference(baseline: Outcomes, pruned: Outcomes) -> Difference:
    """How much the loss rises by pruning; `pruned` may hold many variants (…, N)."""
    return Difference.of(pruned.loss - baseline.loss)


def accuracy_difference(baseline: Outcomes, pruned: Outcomes) -> Difference:
    """How much the accuracy, a share from 0 to 1, falls by pruning."""
    return Difference.of(baseline.correct - pruned.correct)


def columns(split: str, baseline: Outcomes, pruned: Outcomes) -> dict[str, float]:
    """Put one variant's outcomes (N,) on one split beside its baseline's, as columns of a log."""
    row = {
        f"{split}_examples": len(pruned.loss),
        f"{split}_loss": pruned.loss.mean().item(),
        f"{split}_accuracy": pruned.correct.mean().item(),
    }
    differences = {
        "loss": loss_difference(baseline, pruned),
        "accuracy": accuracy_difference(baseline, pruned),
    }
    for quantity, difference in differences.items():
        name = f"{split}_pd_{quantity}"
        row[name] = abs(difference.signed.item())
        row[f"{name}_signed"] = difference.signed.item()
        row[f"{name}_se"] = difference.standard_error.item()
    return row
