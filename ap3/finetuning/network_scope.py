"""Scope `all`: the whole network of every variant learns, one variant after the other."""

import copy
from collections.abc import Sequence

import torch

from ap3.datasets.images import Images
from ap3.explaining.depth import distances
from ap3.finetuning.heads import finetune_network
from ap3.finetuning.trajectory import Trajectory, order, seed
from ap3.machine.device import resident
from ap3.machine.progress import Progress, counted
from ap3.models.checkpoint import Checkpoint
from ap3.models.head import linear
from ap3.pruning.layers import Layer
from ap3.training.evaluation import PerExample, logits_of
from ap3.training.resume import Resume
from ap3.training.sgd import Recipe, naming


def through_network(
    layers: list[Layer],
    checkpoint: Checkpoint,
    data: Images,
    recipe: Recipe,
    device: torch.device,
    resumes: Sequence[Resume] = (),
) -> list[Trajectory]:
    """Fine-tune the whole network of every variant, one after the other (scope `all`).

    With `resumes`, one for each layer, a job that was killed goes on where it was.

    Raises
    ------
    UserError
        If the network was trained on another data set.
    """
    checkpoint.check_data(data)
    name, view = checkpoint.identity.head, checkpoint.identity.view
    splits = {
        "train": (
            resident(torch.from_numpy(data.train_images), device),
            torch.from_numpy(data.train_labels).to(device),
        ),
        "test": (
            resident(torch.from_numpy(data.test_images), device),
            torch.from_numpy(data.test_labels).to(device),
        ),
    }

    def judge(model: torch.nn.Module) -> dict[str, PerExample]:
        return {
            split: PerExample.of(logits_of(model, images, view, device), labels)
            for split, (images, labels) in splits.items()
        }

    baseline = judge(checkpoint.model)
    trajectories = []
    pairs = list(zip(layers, resumes or [Resume() for _ in layers], strict=True))
    for pruned, resume in counted(pairs, "variants"):
        model = copy.deepcopy(checkpoint.model)
        layer = linear(model, name)
        layer.weight.data.copy_(torch.from_numpy(pruned.weight))
        mask = torch.from_numpy(pruned.mask).to(device)
        trajectory = Trajectory(pruned, baseline)
        trajectory.record(layer.weight, layer.bias, judge(model))
        trajectory.record_depth(distances(checkpoint.model, model))
        torch.manual_seed(seed(pruned.origin, "dropout"))
        name_of_run = f"{pruned.origin} {pruned.variant}"
        resume.track(trajectory=trajectory)
        examples, draws = len(data.train_labels), order(pruned.origin)
        with naming(name_of_run), Progress(name_of_run, recipe.epochs, examples) as progress:
            steps = finetune_network(
                model, name, mask, *splits["train"], view, recipe, draws, resume
            )
            for epoch in steps:
                trajectory.record(layer.weight, layer.bias, judge(model))
                trajectory.record_depth(distances(checkpoint.model, model))
                progress.advance(epoch.epoch, loss=epoch.train_loss, accuracy=epoch.train_accuracy)
        resume.finish(recipe.epochs, "trajectory")
        trajectories.append(trajectory)
    return trajectories
