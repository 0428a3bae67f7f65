"""Scope `head`: only the pruned layer learns, that of every variant at the same time."""

from functools import partial

import torch
from torch import Tensor

from ap3.errors import InvalidValueError
from ap3.finetuning.heads import Heads, finetune_heads
from ap3.finetuning.trajectory import Trajectory, order
from ap3.machine.device import resident, send
from ap3.machine.memory import Pieces
from ap3.machine.progress import Progress
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork
from ap3.training.evaluation import PerExample
from ap3.training.features import Features
from ap3.training.resume import Resume
from ap3.training.sgd import Recipe

_EXAMPLES_AT_ONCE = 8192


def through_head(
    networks: list[PrunedNetwork],
    baseline: PrunedNetwork,
    features: Features,
    recipe: Recipe,
    device: torch.device,
    resume: Resume | None = None,
    ends: bool = False,
) -> list[Trajectory]:
    """Fine-tune only the last layer of every variant, all of them together (scope `head`).

    Parameters
    ----------
    networks
        The variants of one baseline, in each of which its last layer alone is pruned.
    baseline
        That layer, nothing pruned.
    features
        What the layer sees.
    recipe
        Epochs, batch size and the settings of SGD.
    device
        Where the layers are trained.
    resume
        Where to go on from after a crash.
    ends
        Whether to record epoch 0 and the last one alone, for hundreds of variants; `resume` is not
        for that.

    Raises
    ------
    UserError
        If the features are not what this layer sees, or other layers are pruned too.
    """
    name = baseline.only_layer
    whole = baseline.layers[name]
    _check(features, baseline)
    splits = {
        name: (
            resident(torch.from_numpy(split.features), device),
            torch.from_numpy(split.labels).to(device),
        )
        for name, split in features.splits.items()
    }
    pieces = Pieces("in evaluating the last layers")

    def judge(heads: Heads) -> dict[str, PerExample]:
        return {split: _judge(heads, *pair, pieces) for split, pair in splits.items()}

    unpruned = judge(_heads([whole], device))
    own = {split: outcomes.of_variant(0) for split, outcomes in unpruned.items()}
    trajectories = [Trajectory(network, own) for network in networks]

    def record(heads: Heads, epoch: int | None = None) -> None:
        outcomes = judge(heads)
        for index, trajectory in enumerate(trajectories):
            mine = {split: outcome.of_variant(index) for split, outcome in outcomes.items()}
            trajectory.record({name: heads.of_variant(index)}, mine, epoch)

    layers = [network.layers[network.only_layer] for network in networks]
    start = _heads(layers, device)
    masks = torch.stack([torch.from_numpy(layer.mask) for layer in layers])
    masks = masks.to(device, start.weight.dtype)
    views, labels = features.views, splits["train"][1]
    record(start)
    origin, resume = baseline.origin, resume or Resume()
    resume.track(**{str(one.pruned.variant): one for one in trajectories})
    with Progress(str(origin), recipe.epochs, len(labels)) as progress:
        tuning = finetune_heads(start, masks, views, labels, recipe, order(origin), resume)
        for count, heads in enumerate(tuning, 1):
            if not ends:
                record(heads)
            elif count == recipe.epochs:
                record(heads, count)
            progress.advance(count if ends else len(trajectories[0].log) - 1)
    return trajectories


def _check(features: Features, baseline: PrunedNetwork) -> None:
    classes, width = baseline.layers[baseline.only_layer].weight.shape
    train = features.splits["train"]
    seen, last = train.features.shape[1], int(train.labels.max())
    if seen != width or last >= classes:
        raise InvalidValueError(
            f"the last layer of {baseline.origin} sees {width} numbers and tells {classes} "
            f"classes, but the features are of {seen} numbers and {last + 1} classes; give what "
            "ap3 features made of that checkpoint."
        )
    train.check_layer(baseline.layers[baseline.only_layer].weight)


def _judge(heads: Heads, features: Tensor, labels: Tensor, pieces: Pieces) -> PerExample:
    """Evaluate all variants on all examples, some at a time so that memory stays bounded."""
    batches = zip(features.split(_EXAMPLES_AT_ONCE), labels.split(_EXAMPLES_AT_ONCE), strict=True)
    parts = []
    for some, answers in batches:
        run = partial(_in_pieces, heads, send(some, labels.device), answers)
        parts.append(pieces.fit(run, len(some)))
    return _joined(parts)


@torch.no_grad()
def _in_pieces(heads: Heads, features: Tensor, labels: Tensor, pieces: int) -> PerExample:
    parts = zip(features.tensor_split(pieces), labels.tensor_split(pieces), strict=True)
    return _joined([PerExample.of(heads.logits(some), answers) for some, answers in parts])


def _joined(parts: list[PerExample]) -> PerExample:
    return PerExample(
        torch.cat([part.loss for part in parts], dim=-1),
        torch.cat([part.correct for part in parts], dim=-1),
    )


def _heads(layers: list[PrunedLayer], device: torch.device) -> Heads:
    weight = torch.stack([torch.from_numpy(layer.weight) for layer in layers])
    bias = torch.stack([torch.from_numpy(layer.shift) for layer in layers])
    return Heads(weight.to(device), bias.to(device))
