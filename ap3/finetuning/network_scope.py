"""Scope `all`: the whole network of every variant learns, one variant after the other."""

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ap3.datasets.images import Images
from ap3.finetuning.layer_distances import layer_distances
from ap3.finetuning.trajectory import State, Trajectory, order, seed
from ap3.machine.device import resident
from ap3.machine.progress import Progress, counted
from ap3.models.checkpoint import Checkpoint
from ap3.models.preprocessing import View
from ap3.pruning.pruned import PrunedNetwork
from ap3.training.evaluation import PerExample, logits_of
from ap3.training.resume import Resume
from ap3.training.sgd import Epoch, Recipe, naming, train


def through_network(
    networks: list[PrunedNetwork],
    checkpoint: Checkpoint,
    data: Images,
    recipe: Recipe,
    device: torch.device,
    resumes: Sequence[Resume] = (),
) -> list[Trajectory]:
    """Fine-tune the whole network of every variant, one after the other (scope `all`).

    Parameters
    ----------
    networks
        The variants of one baseline.
    checkpoint
        The baseline.
    data
        What it was trained on.
    recipe
        Epochs, batch size and the settings of SGD.
    device
        Where the networks are trained.
    resumes
        One for each variant: a job that was killed goes on where it was.

    Raises
    ------
    UserError
        If the network was trained on another data set.
    """
    checkpoint.check_data(data)
    view = checkpoint.identity.view
    splits = {
        "train": (data.train_images, data.train_labels),
        "test": (data.test_images, data.test_labels),
    }
    there = {
        split: (resident(torch.from_numpy(images), device), torch.from_numpy(labels).to(device))
        for split, (images, labels) in splits.items()
    }

    def judge(model: nn.Module) -> dict[str, PerExample]:
        return {
            split: PerExample.of(logits_of(model, images, view, device), labels)
            for split, (images, labels) in there.items()
        }

    baseline = judge(checkpoint.model)
    trajectories = []
    pairs = list(zip(networks, resumes or [Resume() for _ in networks], strict=True))
    for pruned, resume in counted(pairs, "variants"):
        model = copy.deepcopy(checkpoint.model)
        put_into(model, pruned)
        trajectory = Trajectory(pruned, baseline)

        def record(model: nn.Module = model, trajectory: Trajectory = trajectory) -> None:
            trajectory.record(state_of(model, trajectory.pruned), judge(model))
            trajectory.record_depth(layer_distances(checkpoint.model, model))

        record()
        torch.manual_seed(seed(pruned.origin, "dropout"))
        name = f"{pruned.origin} {pruned.variant}"
        resume.track(trajectory=trajectory)
        masks = {
            layer: torch.from_numpy(found.mask).to(device) for layer, found in pruned.layers.items()
        }
        draws, examples = order(pruned.origin), len(data.train_labels)
        with naming(name), Progress(name, recipe.epochs, examples) as progress:
            steps = finetune_network(model, masks, *there["train"], view, recipe, draws, resume)
            for epoch in steps:
                record()
                progress.advance(epoch.epoch, loss=epoch.train_loss, accuracy=epoch.train_accuracy)
        resume.finish(recipe.epochs, "trajectory")
        trajectories.append(trajectory)
    return trajectories


@torch.no_grad()
def put_into(model: nn.Module, pruned: PrunedNetwork) -> None:
    """Give the layers of `model` that were pruned their pruned weights, in place."""
    for name, layer in pruned.layers.items():
        model.get_parameter(f"{name}.weight").copy_(torch.from_numpy(layer.weight))


def state_of(model: nn.Module, pruned: PrunedNetwork) -> State:
    """Take the layers that were pruned out of `model`."""
    return {
        name: {
            part: model.get_parameter(f"{name}.{part}")
            for part in ("weight", "bias")
            if getattr(layer, part) is not None
        }
        for name, layer in pruned.layers.items()
    }


def finetune_network(
    model: nn.Module,
    masks: Mapping[str, Tensor],
    images: Tensor,
    labels: Tensor,
    view: View,
    recipe: Recipe,
    generator: torch.Generator,
    resume: Resume | None = None,
) -> Iterator[Epoch]:
    """Train a whole pruned network in place, its masks held; yields after each epoch.

    Parameters
    ----------
    model
        The network.
    masks
        For each pruned layer, by name, a tensor of the shape of its weights: 1 or True where a
        weight is kept.
    images, labels, view, recipe, generator, resume
        As `ap3.training.sgd.train` takes them.
    """
    hooks = []
    for name, mask in masks.items():
        weight = model.get_parameter(f"{name}.weight")
        with torch.no_grad():
            weight.mul_(mask)
        hooks.append(weight.register_hook(lambda gradient, mask=mask: gradient * mask))
    try:
        yield from train(model, images, labels, view, recipe, generator, resume)
    finally:
        for hook in hooks:
            hook.remove()
