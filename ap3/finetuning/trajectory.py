"""One pruned variant through fine-tuning: its layers and its performance, epoch by epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ap3.config.seeds import derive
from ap3.errors import InvalidValueError
from ap3.files import csv_tables
from ap3.finetuning import performance
from ap3.finetuning.log import joined
from ap3.pruning import pruned
from ap3.pruning.pruned import Origin, PrunedNetwork
from ap3.training.evaluation import PerExample
from ap3.training.outcomes import Outcomes, write_outcomes

State = Mapping[str, Mapping[str, Tensor]]
"""The pruned layers at one epoch, by name: `weight` and, where a layer has one, `bias`."""


class Trajectory:
    """One variant's layers and log, from epoch 0 (pruned, not yet fine-tuned) on.

    Parameters
    ----------
    pruned
        What fine-tuning starts from.
    baseline
        How the unpruned network does on every example of each split.
    """

    def __init__(self, pruned: PrunedNetwork, baseline: Mapping[str, PerExample]) -> None:
        self.pruned, self.baseline = pruned, baseline
        self.states: list[State] = []
        self.log: list[dict[str, Any]] = []
        self.depth: list[dict[str, Any]] = []
        self.outcomes: Mapping[str, PerExample] = {}

    def record(
        self, state: State, outcomes: Mapping[str, PerExample], epoch: int | None = None
    ) -> None:
        """Add the next epoch's layers and outcomes on each split; of these, hold the last alone.

        Parameters
        ----------
        state, outcomes
            The pruned layers, and how every example fares.
        epoch
            Its number where some were not recorded; otherwise the next.
        """
        self.outcomes = outcomes
        number = len(self.log) if epoch is None else epoch
        row: dict[str, Any] = self.pruned.about | {"epoch": number}
        for split, outcome in outcomes.items():
            row |= performance.columns(split, self.baseline[split], outcome)
            if not math.isfinite(row[f"{split}_loss"]):
                raise InvalidValueError(
                    f"fine-tuning {self.pruned.origin} {self.pruned.variant} diverged in epoch "
                    f"{row['epoch']}: the {split} loss is {row[f'{split}_loss']}; lower the learning rate."
                )
        self.states.append(
            {
                layer: {part: tensor.detach().cpu().clone() for part, tensor in parts.items()}
                for layer, parts in state.items()
            }
        )
        self.log.append(row)

    def record_depth(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add how far every layer of the whole network has moved, as of the epoch just recorded."""
        about = self.pruned.about | {"epoch": len(self.log) - 1}
        self.depth += [about | dict(row) for row in rows]

    def state_dict(self) -> dict[str, Any]:
        """Return what was recorded so far."""
        outcomes = {split: vars(found) for split, found in self.outcomes.items()}
        return {
            "states": self.states,
            "log": self.log,
            "depth": self.depth,
            "outcomes": outcomes,
        }

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Put back what was recorded."""
        self.states, self.log, self.depth = state["states"], state["log"], state["depth"]
        self.outcomes = {split: PerExample(**found) for split, found in state["outcomes"].items()}

    @property
    def tuned(self) -> PrunedNetwork:
        """The layers with a leading axis of epochs."""
        layers = {}
        for name, layer in self.pruned.layers.items():
            parts = {
                part: torch.stack([state[name][part] for state in self.states]).numpy()
                for part in self.states[0][name]
            }
            layers[name] = replace(layer, **parts)
        return replace(self.pruned, layers=layers)


def save(path: Path, trajectories: Sequence[Trajectory]) -> None:
    """Write what fine-tuning gave: states to `path`, and beside it the log of all variants (CSV).

    Where the whole network learned, two files more: `.layers.csv`, how far each layer has moved,
    and `.outcomes.safetensors`, how every test example fares at the end.
    """
    pruned.save(path, [one.tuned for one in trajectories])
    csv_tables.write(joined(one.log for one in trajectories), path.with_suffix(".csv"))
    if trajectories[0].depth:
        depth = joined(one.depth for one in trajectories)
        csv_tables.write(depth, path.with_suffix(".layers.csv"))
        last = {}
        for one in trajectories:
            test = one.outcomes["test"]
            arrays = (part[None].cpu().numpy() for part in (test.loss, test.correct))
            last[str(one.pruned.variant)] = Outcomes(*arrays)
        write_outcomes(path.with_suffix(".outcomes.safetensors"), last)


def order(origin: Origin) -> torch.Generator:
    """Draw the batches of fine-tuning with this: the same ones for every variant of a baseline."""
    return torch.Generator().manual_seed(seed(origin, "fine-tuning"))


def seed(origin: Origin, purpose: str) -> int:
    """Derive the seed of one purpose in the fine-tuning of a baseline's variants."""
    return derive(origin.seed, origin.dataset, origin.model, origin.trial, purpose)
