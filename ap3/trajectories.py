"""Every variant of a baseline through fine-tuning: its layer and its performance, epoch by epoch."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ap3 import depth, performance
from ap3.checkpoints import Checkpoint
from ap3.datasets.images import Images
from ap3.errors import UserError
from ap3.evaluation import Outcomes, logits_of
from ap3.features import Features
from ap3.finetuning import Heads, finetune_heads, finetune_network
from ap3.layers import Layer, Origin
from ap3.models.head import linear
from ap3.progress import Progress
from ap3.seeds import derive
from ap3.training import Recipe

_EXAMPLES_AT_ONCE = 8192


class Trajectory:
    """One variant's layer and log, from epoch 0 (pruned, not yet fine-tuned) on.

    Parameters
    ----------
    pruned
        The layer that fine-tuning starts from.
    baseline
        Outcomes of the unpruned network on each split.
    """

    def __init__(self, pruned: Layer, baseline: Mapping[str, Outcomes]) -> None:
        self.pruned, self.baseline = pruned, baseline
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        self.log: list[dict[str, Any]] = []
        self.depth: list[dict[str, Any]] = []

    def record(self, weight: Tensor, bias: Tensor, outcomes: Mapping[str, Outcomes]) -> None:
        """Add the next epoch's layer and outcomes on each split."""
        row: dict[str, Any] = {"epoch": len(self.log)}
        for split, outcome in outcomes.items():
            row |= performance.columns(split, self.baseline[split], outcome)
            if not math.isfinite(row[f"{split}_loss"]):
                raise UserError(
                    f"fine-tuning {_title(self.pruned.origin)} {self.pruned.variant} diverged in epoch "
                    f"{row['epoch']}: the {split} loss is {row[f'{split}_loss']}; lower the learning rate."
                )
        self.weights.append(weight.detach().cpu().clone())
        self.biases.append(bias.detach().cpu().clone())
        self.log.append(row)

    def record_depth(self, baseline: nn.Module, tuned: nn.Module) -> None:
        """Add how far every layer of the whole network has moved, as of the epoch just recorded."""
        origin, variant = self.pruned.origin, self.pruned.variant
        about = {"dataset": origin.dataset, "model": origin.model, "trial": origin.trial}
        about |= {"mode": variant.mode, "ratio": variant.ratio, "epoch": len(self.log) - 1}
        self.depth += [about | row for row in depth.distances(baseline, tuned)]

    @property
    def layer(self) -> Layer:
        """The layer with a leading axis of epochs."""
        weight, bias = torch.stack(self.weights).numpy(), torch.stack(self.biases).numpy()
        return replace(self.pruned, weight=weight, bias=bias)


def through_head(
    layers: list[Layer], checkpoint: Layer, features: Features, recipe: Recipe, device: torch.device
) -> list[Trajectory]:
    """Fine-tune only the last layer of every variant, all of them together (scope `head`).

    Parameters
    ----------
    layers
        The pruned layers, all of one baseline.
    checkpoint
        The baseline's own last layer, nothing pruned.
    """
    splits = {
        "train": (features.train.to(device), features.train_labels.to(device)),
        "test": (features.test.to(device), features.test_labels.to(device)),
    }
    unpruned = _heads([checkpoint], device)
    baseline = {split: _judge(unpruned, *pair).of_variant(0) for split, pair in splits.items()}
    trajectories = [Trajectory(layer, baseline) for layer in layers]

    def record(heads: Heads) -> None:
        outcomes = {split: _judge(heads, *pair) for split, pair in splits.items()}
        for index, trajectory in enumerate(trajectories):
            own = {split: outcome.of_variant(index) for split, outcome in outcomes.items()}
            trajectory.record(heads.weight[index], heads.bias[index], own)

    start = _heads(layers, device)
    masks = torch.stack([torch.from_numpy(layer.mask) for layer in layers]).to(device)
    views, labels = features.views.to(device), splits["train"][1]
    record(start)
    with Progress(_title(layers[0].origin), recipe.epochs, len(labels)) as progress:
        for heads in finetune_heads(start, masks, views, labels, recipe, _order(layers[0].origin)):
            record(heads)
            progress.advance()
    return trajectories


def through_network(
    layers: list[Layer], checkpoint: Checkpoint, data: Images, recipe: Recipe, device: torch.device
) -> list[Trajectory]:
    """Fine-tune the whole network of every variant, one after the other (scope `all`)."""
    name, view = checkpoint.identity.head, checkpoint.identity.view
    splits = {
        "train": (
            torch.from_numpy(data.train_images).to(device),
            torch.from_numpy(data.train_labels).to(device),
        ),
        "test": (
            torch.from_numpy(data.test_images).to(device),
            torch.from_numpy(data.test_labels).to(device),
        ),
    }

    def judge(model: torch.nn.Module) -> dict[str, Outcomes]:
        return {
            split: Outcomes.of(logits_of(model, images, view, device), labels)
            for split, (images, labels) in splits.items()
        }

    baseline = judge(checkpoint.model)
    trajectories = []
    for pruned in layers:
        model = copy.deepcopy(checkpoint.model)
        layer = linear(model, name)
        layer.weight.data.copy_(torch.from_numpy(pruned.weight))
        mask = torch.from_numpy(pruned.mask).to(device)
        trajectory = Trajectory(pruned, baseline)
        trajectory.record(layer.weight, layer.bias, judge(model))
        trajectory.record_depth(checkpoint.model, model)
        torch.manual_seed(_seed(pruned.origin, "dropout"))
        title = f"{_title(pruned.origin)} {pruned.variant}"
        with Progress(title, recipe.epochs, len(data.train_labels)) as progress:
            steps = finetune_network(
                model, name, mask, *splits["train"], view, recipe, _order(pruned.origin)
            )
            for epoch in steps:
                trajectory.record(layer.weight, layer.bias, judge(model))
                trajectory.record_depth(checkpoint.model, model)
                progress.advance(loss=epoch.train_loss, accuracy=epoch.train_accuracy)
        trajectories.append(trajectory)
    return trajectories


@torch.no_grad()
def _judge(heads: Heads, features: Tensor, labels: Tensor) -> Outcomes:
    """Evaluate all variants on all examples, some at a time so that memory stays bounded."""
    parts = [
        Outcomes.of(heads.logits(some), answers)
        for some, answers in zip(
            features.split(_EXAMPLES_AT_ONCE), labels.split(_EXAMPLES_AT_ONCE), strict=True
        )
    ]
    return Outcomes(
        torch.cat([part.loss for part in parts], dim=-1),
        torch.cat([part.correct for part in parts], dim=-1),
    )


def _heads(layers: list[Layer], device: torch.device) -> Heads:
    weight = torch.stack([torch.from_numpy(layer.weight) for layer in layers])
    bias = torch.stack([torch.from_numpy(layer.bias) for layer in layers])
    return Heads(weight.to(device), bias.to(device))


def _order(origin: Origin) -> torch.Generator:
    """Draws the batches of fine-tuning: the same for every variant of a baseline."""
    return torch.Generator().manual_seed(_seed(origin, "fine-tuning"))


def _seed(origin: Origin, purpose: str) -> int:
    return derive(origin.seed, origin.dataset, origin.model, origin.trial, purpose)


def _title(origin: Origin) -> str:
    return f"{origin.dataset} {origin.model} trial {origin.trial}"
