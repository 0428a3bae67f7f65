"""One pruned variant through fine-tuning: its layer and its performance, epoch by epoch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ap3.config.seeds import derive
from ap3.errors import UserError
from ap3.finetuning import performance
from ap3.pruning.layers import Layer, Origin
from ap3.training.evaluation import PerExample


class Trajectory:
    """One variant's layer and log, from epoch 0 (pruned, not yet fine-tuned) on.

    Parameters
    ----------
    pruned
        The layer that fine-tuning starts from.
    baseline
        How the unpruned network does on every example of each split.
    """

    def __init__(self, pruned: Layer, baseline: Mapping[str, PerExample]) -> None:
        self.pruned, self.baseline = pruned, baseline
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        self.log: list[dict[str, Any]] = []
        self.depth: list[dict[str, Any]] = []
        self.outcomes: Mapping[str, PerExample] = {}

    def record(self, weight: Tensor, bias: Tensor, outcomes: Mapping[str, PerExample]) -> None:
        """Add the next epoch's layer and outcomes on each split; of these, hold the last alone."""
        self.outcomes = outcomes
        row: dict[str, Any] = {"epoch": len(self.log)}
        for split, outcome in outcomes.items():
            row |= performance.columns(split, self.baseline[split], outcome)
            if not math.isfinite(row[f"{split}_loss"]):
                raise UserError(
                    f"fine-tuning {self.pruned.origin} {self.pruned.variant} diverged in epoch "
                    f"{row['epoch']}: the {split} loss is {row[f'{split}_loss']}; lower the learning rate."
                )
        self.weights.append(weight.detach().cpu().clone())
        self.biases.append(bias.detach().cpu().clone())
        self.log.append(row)

    def record_depth(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add how far every layer of the whole network has moved, as of the epoch just recorded."""
        about = self.pruned.about | {"epoch": len(self.log) - 1}
        self.depth += [about | dict(row) for row in rows]

    def state_dict(self) -> dict[str, Any]:
        """Return what was recorded so far."""
        outcomes = {split: vars(found) for split, found in self.outcomes.items()}
        layer = {"weights": torch.stack(self.weights), "biases": torch.stack(self.biases)}
        return layer | {"log": self.log, "depth": self.depth, "outcomes": outcomes}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put back what was recorded."""
        self.weights, self.biases = list(state["weights"]), list(state["biases"])
        self.log, self.depth = state["log"], state["depth"]
        self.outcomes = {split: PerExample(**found) for split, found in state["outcomes"].items()}

    @property
    def layer(self) -> Layer:
        """The layer with a leading axis of epochs."""
        weight, bias = torch.stack(self.weights).numpy(), torch.stack(self.biases).numpy()
        return replace(self.pruned, weight=weight, bias=bias)


def order(origin: Origin) -> torch.Generator:
    """Draw the batches of fine-tuning with this: the same ones for every variant of a baseline."""
    return torch.Generator().manual_seed(seed(origin, "fine-tuning"))


def seed(origin: Origin, purpose: str) -> int:
    """Derive the seed of one purpose in the fine-tuning of a baseline's variants."""
    return derive(origin.seed, origin.dataset, origin.model, origin.trial, purpose)
