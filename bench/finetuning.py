"""Fine-tuning the 12 variants of one baseline beside the plain recipe, which takes one by one.

Ours is timed from images to the last epoch's log: features of both splits and of every view,
written and read again, the heads of all variants, their evaluation on both splits after every
epoch. Of the recipe a few steps are timed and multiplied: 12 variants, 20 epochs, no evaluation.

    python bench/finetuning.py
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import recipe
import torch
from measuring import CLOCKS, Ratio, conditions, in_turns, table, write_ratios
from networks import untrained

from ap3.config.variants import CONTROL, variants
from ap3.datasets.images import Images
from ap3.finetuning.head_scope import through_head
from ap3.finetuning.network_scope import finetune_network
from ap3.models.checkpoint import Checkpoint, Identity
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.training import features
from ap3.training.features import Features
from ap3.training.sgd import Recipe, train

CPU = torch.device("cpu")
VARIANTS = [
    v for v in variants(("lowest", "highest", "random"), (0.1, 0.3, 0.5, 0.8)) if v.mode != CONTROL
]
EPOCHS, BATCH, CLASSES = 20, 128, 10
WAYS = {"fresh": (EPOCHS, "crop-flip"), "fixed": (1, "none")}
"""Name of the way → augmented views, augmentation."""
STEPS = 4


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=32, help="pixels")
    parser.add_argument(
        "--examples", type=int, default=2048, help="training images; a fifth to test"
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds")
    parser.add_argument("--threads", type=int, default=2, help="torch's CPU threads")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="which time to take")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        conditions(
            variants=len(VARIANTS),
            epochs=EPOCHS,
            batch=BATCH,
            precision="float32",
            clock=options.clock,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        data = noise(options.examples, options.size)
        baseline = Path(folder) / "baseline.safetensors"
        _untrained(options.model, options.size).save(baseline)
        ways = {
            name: _ours(data, baseline, Path(folder) / "features.safetensors", *way)
            for name, way in WAYS.items()
        }
        ways["recipe"] = _recipe(data, options.model, options.size)
        ways |= _whole_networks(data, baseline)
        times = in_turns(ways, options.rounds, clock=options.clock)
    work = {name: len(VARIANTS) * EPOCHS * options.examples for name in WAYS}
    work |= dict.fromkeys(set(ways) - set(WAYS), STEPS * BATCH)
    title = f"{options.model} at {options.size} px, {options.examples} images"
    print(table(title, times, work, "images/s of one variant"))
    scale = work["fresh"] / work["recipe"]
    ratios = {
        f"finetune_{name}_over_recipe": Ratio.of(times[name], times["recipe"], scale)
        for name in WAYS
    }
    ratios["finetune_all_over_train"] = Ratio.of(times["scope all"], times["baseline"])
    write_ratios(options.json, ratios)


def noise(examples: int, size: int) -> Images:
    """Make a data set of noise, a fifth as many test images as training images."""
    draw = np.random.default_rng(0)

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % CLASSES
        return draw.integers(0, 256, (count, 3, size, size), dtype=np.uint8), labels

    names = tuple(map(str, range(CLASSES)))
    return Images("noise", names, *split(examples), *split(examples // 5))


def _untrained(model: str, size: int) -> Checkpoint:
    network = untrained(model, CLASSES, size)
    head = [name for name, _ in network.named_parameters()][-1].removesuffix(".bias")
    return Checkpoint(network, Identity("noise", model, CLASSES, size, 1, 0, head))


def _ours(
    data: Images, baseline: Path, path: Path, views: int, augmentation: str
) -> Callable[[], object]:
    wanted = Recipe(EPOCHS, BATCH, 0.01, augmentation=augmentation)

    def run() -> None:
        network = Checkpoint.load(baseline, CPU)
        network.model.to(memory_format=torch.channels_last)
        features.write(path, network, data, CPU)
        augmented = path.with_name("views.safetensors") if augmentation != "none" else None
        if augmented:
            features.write_views(augmented, network, data, views, augmentation, CPU)
        layer = read_unpruned(baseline)
        pruned = [prune_network(layer, variant) for variant in VARIANTS]
        through_head(pruned, layer, Features.load(path, augmented), wanted, CPU)

    return run


def _recipe(data: Images, model: str, size: int) -> Callable[[], object]:
    """Make a way that takes a few of the recipe's steps for one variant; the loader keeps running."""
    network = _untrained(model, size).model
    mask = (torch.rand_like(list(network.parameters())[-2]) < 0.5).float()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    many = np.tile(data.train_images, (40, 1, 1, 1)), np.tile(data.train_labels, 40)
    running = recipe.steps(network, recipe.loader(*many, size, BATCH), optimizer, mask)
    return lambda: [next(running) for _ in range(STEPS)]


def _whole_networks(data: Images, baseline: Path) -> dict[str, Callable[[], object]]:
    """Make ways of training for a few batches: as a baseline, and as a variant in scope `all`."""
    images = torch.from_numpy(data.train_images[: STEPS * BATCH])
    labels = torch.from_numpy(data.train_labels[: STEPS * BATCH])
    wanted = Recipe(10**6, BATCH, 0.01, augmentation="crop-flip", channels_last=True)
    one, other = (Checkpoint.load(baseline, CPU) for _ in range(2))
    head, view = one.identity.head, one.identity.view
    order = torch.Generator().manual_seed(0)
    mask = torch.ones_like(other.model.get_submodule(head).weight)
    return {
        "baseline": train(one.model, images, labels, view, wanted, order).__next__,
        "scope all": finetune_network(
            other.model, {head: mask}, images, labels, view, wanted, order
        ).__next__,
    }


if __name__ == "__main__":
    main()
