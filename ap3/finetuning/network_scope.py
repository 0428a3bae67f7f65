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
from ap3.pruning.network_layers import full_names
from ap3.pruning.pruned import PrunedNetwork
from ap3.training.evaluation import PerExample, logits_of
from ap3.training.resume import Resume
from ap3.training.running import running
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
    splits = {
        name: (resident(torch.from_numpy(images), device), torch.from_numpy(labels).to(device))
        for name, (images, labels) in data.splits.items()
    }
    tuner = _Tuner(checkpoint, splits, recipe, device)
    pairs = list(zip(networks, resumes or [Resume() for _ in networks], strict=True))
    return [tuner.tune(pruned, resume) for pruned, resume in counted(pairs, "variants")]


class _Tuner:
    """What fine-tuning one variant has in common with the others of a baseline."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        splits: Mapping[str, tuple[Tensor, Tensor]],
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.checkpoint, self.splits, self.recipe = checkpoint, splits, recipe
        self.device, self.view = device, checkpoint.identity.view
        self.baseline = self._judge(self._running(checkpoint.model))

    def tune(self, pruned: PrunedNetwork, resume: Resume) -> Trajectory:
        """Fine-tune one variant, from a copy of the baseline."""
        model = copy.deepcopy(self.checkpoint.model)
        put_into(model, pruned)
        run = self._running(model)
        trajectory = Trajectory(pruned, self.baseline)
        self._record(trajectory, model, run)
        resume.track(trajectory=trajectory)
        masks = {
            name: torch.from_numpy(layer.mask).to(self.device)
            for name, layer in pruned.layers.items()
        }
        name, (images, labels) = f"{pruned.origin} {pruned.variant}", self.splits["train"]
        torch.manual_seed(seed(pruned.origin, "dropout"))
        given = images, labels, self.view, self.recipe, order(pruned.origin), resume, run
        with naming(name), Progress(name, self.recipe.epochs, len(labels)) as progress:
            for epoch in finetune_network(model, masks, *given):
                self._record(trajectory, model, run)
                progress.advance(epoch.epoch, loss=epoch.train_loss, accuracy=epoch.train_accuracy)
        resume.finish(self.recipe.epochs, "trajectory")
        return trajectory

    def _running(self, model: nn.Module) -> nn.Module:
        """Run the baseline, and every variant from its first evaluation on, in one way."""
        return running(model, self.recipe.channels_last, self.recipe.compile)

    def _record(self, trajectory: Trajectory, model: nn.Module, run: nn.Module) -> None:
        trajectory.record(state_of(model, trajectory.pruned), self._judge(run))
        trajectory.record_depth(layer_distances(self.checkpoint.model, model))

    def _judge(self, model: nn.Module) -> dict[str, PerExample]:
        return {
            split: PerExample.of(logits_of(model, images, self.view, self.device), labels)
            for split, (images, labels) in self.splits.items()
        }


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
    run: nn.Module | None = None,
) -> Iterator[Epoch]:
    """Train a whole pruned network in place, its masks held; yields after each epoch.

    Parameters
    ----------
    model
        The network.
    masks
        For each pruned layer, by name, a tensor of the shape of its weights: 1 or True where a
        weight is kept.
    images, labels, view, recipe, generator, resume, run
        As `ap3.training.sgd.train` takes them.
    """
    hooks, full = [], full_names(model)
    for name, mask in masks.items():
        weight = model.get_parameter(
            full.get(name, f"{name}.weight")
        )  # a tied one has no place there
        with torch.no_grad():
            weight.mul_(mask)
        hooks.append(weight.register_hook(lambda gradient, mask=mask: gradient * mask))
    try:
        yield from train(model, images, labels, view, recipe, generator, resume, run)
    finally:
        for hook in hooks:
            hook.remove()
