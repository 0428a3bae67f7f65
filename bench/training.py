"""Baseline training beside its limit and beside the plain PyTorch recipe.

The limit is bare forward, backward and step on one resident batch. The order of memory is a setting
of a study; of both, the loop and the limit, the faster order counts. The recipe reads through two
DataLoader workers and trains one network at a time; ours trains two of the small networks
at a time, a thread each, as `snakemake --cores 2` does.

    python bench/training.py
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import recipe
import small_networks as small
import torch
import torch.nn.functional as F  # noqa: N812
from measuring import Ratio, Times, conditions, in_turns, table, write_ratios
from networks import untrained
from torch import Tensor

from ap3.models.names import FACTORIES
from ap3.models.preprocessing import View
from ap3.training.sgd import Recipe, optimise, train

CLASSES, LEARNING_RATE, AUGMENTATION = 10, 0.01, "crop-flip"
LARGE = {"resnet18_32": ("resnet18", 32, 128, 16), "resnet50_64": ("resnet50", 64, 64, 6)}
"""What is compared with its limit → network, pixels, batch, batches a round, which is an epoch."""
AT_ONCE = 2


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of each comparison")
    parser.add_argument(
        "--threads", type=int, default=2, help="torch's threads, but for two at once"
    )
    parser.add_argument("--only", nargs="*", default=[*LARGE, "demo"], help="what to compare")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = {"augmentation": AUGMENTATION, "precision": "float32"}
    print(conditions(**settings, workers_of_the_recipe=recipe.WORKERS))
    ratios = {
        f"train_over_bare_{name}": beside_the_limit(name, options.rounds)
        for name in LARGE
        if name in options.only
    }
    if "demo" in options.only:
        ratios |= beside_the_recipe(options.rounds)
    write_ratios(options.json, ratios)


def beside_the_limit(name: str, rounds: int) -> Ratio:
    """Compare the training loop with bare steps on one batch; of both the faster order counts."""
    model, size, batch, batches = LARGE[name]
    images = torch.randint(0, 256, (batch * batches, 3, size, size), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (batch * batches,))
    loops, bare = {}, {}
    for last in (False, True):
        order = ", channels last" if last else ""
        loops[f"training loop{order}"] = _training(
            model, images, labels, size, batch, last
        ).__next__
        bare[f"bare step{order}"] = _bare(model, size, batch, batches, last)
    times = in_turns(loops | bare, rounds)
    print(table(f"{model} at {size} px, batch {batch}", times, batch * batches, "images/s"))
    return Ratio.of(*(min((times[way] for way in ways), key=median) for ways in (loops, bare)))


def beside_the_recipe(rounds: int) -> dict[str, Ratio]:
    """Compare epochs over the digits with the recipe's, over all of the small networks."""
    together: Times = {}
    for model in FACTORIES:
        times = _small(model, rounds)
        count = len(small.digits()[1])
        work = {name: count * (AT_ONCE if "at once" in name else 1) for name in times}
        print(
            table(
                f"{model} at {small.SIZE} px, batch {small.BATCH}",
                times,
                work,
                "images/s",
            )
        )
        for name, taken in times.items():
            before = together.get(name, [0.0] * rounds)
            together[name] = [one + more for one, more in zip(before, taken, strict=True)]
    theirs, ours, both = together.values()
    return {
        "train_over_recipe_demo": Ratio.of(both, theirs, AT_ONCE),
        "train_over_recipe_demo_one_process": Ratio.of(ours, theirs),
    }


def _small(model: str, rounds: int) -> Times:
    """Time epochs of one of the small networks: the recipe's, ours, and two of ours at once."""
    images, labels, *_ = small.digits()
    colour = images.expand(-1, 3, -1, -1)
    batches = recipe.loader(colour.numpy(), labels.numpy(), small.SIZE, small.BATCH)
    theirs = recipe.epochs(untrained(model, CLASSES, small.SIZE), batches, LEARNING_RATE)
    ours = _training(model, images, labels, small.SIZE, small.BATCH)
    with Processes(model, AT_ONCE) as processes:
        ways = {
            "recipe": theirs.__next__,
            "training loop": ours.__next__,
            "training loop, two at once": processes.epoch,
        }
        return in_turns(ways, rounds)


class Processes:
    """Processes that train one of the small networks each, with one thread, when they are told."""

    def __init__(self, model: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        pipes = [context.Pipe() for _ in range(count)]
        self.ours = [ours for ours, _ in pipes]
        self.running = [
            context.Process(target=_obey, args=(model, theirs), daemon=True) for _, theirs in pipes
        ]

    def __enter__(self) -> "Processes":
        for process in self.running:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self.ours:
            pipe.send(False)
        for process in self.running:
            process.join()

    def epoch(self) -> None:
        """Let all train for an epoch."""
        for pipe in self.ours:
            pipe.send(True)
        for pipe in self.ours:
            pipe.recv()


def _obey(model: str, pipe: Connection) -> None:
    torch.set_num_threads(1)
    images, labels, *_ = small.digits()
    training = _training(model, images, labels, small.SIZE, small.BATCH)
    while pipe.recv():
        next(training)
        pipe.send(None)


def _training(
    model: str, images: Tensor, labels: Tensor, size: int, batch: int, channels_last: bool = True
) -> Iterator[object]:
    """Make the real training loop; each `next` is an epoch."""
    wanted = Recipe(
        10**6, batch, LEARNING_RATE, augmentation=AUGMENTATION, channels_last=channels_last
    )
    order = torch.Generator().manual_seed(0)
    return train(untrained(model, CLASSES, size), images, labels, View(size), wanted, order)


def _bare(
    model: str, size: int, batch: int, batches: int, channels_last: bool
) -> Callable[[], None]:
    """Make a way that does nothing but forward, backward and step, on a batch that is there."""
    order = torch.channels_last if channels_last else torch.contiguous_format
    network = untrained(model, CLASSES, size).to(memory_format=order).train()
    pixels = torch.randn(batch, 3, size, size).contiguous(memory_format=order)
    labels = torch.randint(0, CLASSES, (batch,))
    optimizer, _ = optimise(list(network.parameters()), Recipe(1, batch, LEARNING_RATE))

    def run() -> None:
        for _ in range(batches):
            loss = F.cross_entropy(network(pixels), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    main()
