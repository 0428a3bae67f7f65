"""The paper's networks on a CUDA card: training beside bare steps and the recipe, and what it uses.

Utilisation is the floating-point operations of forward and backward, counted by torch, over the
rate of one large matrix product measured in the same precision. Hours are those of study `paper`:
measured seconds an image times its images, epochs and trials.

    python bench/card.py
    python bench/card.py --device cpu --size 64 --models alexnet --examples 256    # a trial run
"""

import argparse
from pathlib import Path

import recipe
import torch
import torch.nn.functional as F  # noqa: N812
import yaml
from measuring import Ratio, conditions, in_turns, seconds, table, write_ratios
from networks import untrained
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ap3.machine.device import processor
from ap3.models.names import PAPER
from ap3.models.preprocessing import View
from ap3.training.sgd import Recipe, optimise, train

CLASSES, STORED = 100, 32
STUDY = Path(__file__).parents[1] / "workflow/studies/paper.yaml"
IMAGES = {"ten_classes": 50_000, "hundred_classes": 50_000, "large_images": 100_000}
"""Training images of the data sets in the places of the paper's figures."""
PLACE = {"alexnet": "alexnet", "vgg": "vgg16", "resnet": "resnet50", "vit": "vit_b_16"}


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="*", default=list(PAPER))
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--examples", type=int, default=128 * 20, help="images of one round")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--precision", default="bfloat16", help="ours; the recipe has float32")
    parser.add_argument("--compile", action="store_true", help="translate ours with torch.compile")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA card: not measured")
        return
    print(conditions(**{k: v for k, v in vars(options).items() if k not in ("json", "models")}))
    figures: dict[str, Ratio | float] = {}
    with processor(options.device, torch.get_num_threads(), options.precision) as where:
        edge = 8192 if where.type == "cuda" else 1024
        limit = _matmul_rate(where, edge)
        print(f"one product of {edge} x {edge} matrices: {limit / 1e12:.4g} TFLOP/s")
        for model in options.models:
            figures |= _measured(model, where, options, limit)
    write_ratios(options.json, figures)
    print(_hours(figures, options.models))


def _measured(
    model: str, where: torch.device, options: argparse.Namespace, limit: float
) -> dict[str, Ratio | float]:
    size, batch, count = options.size, options.batch, options.examples
    images = torch.randint(0, 256, (count, 3, STORED, STORED), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (count,))
    wanted = Recipe(
        10**6, batch, 0.01, augmentation="crop-flip", channels_last=True, compile=options.compile
    )
    ours = untrained(model, CLASSES, size).to(where)
    order = torch.Generator().manual_seed(0)
    loop = train(ours, images.to(where), labels.to(where), View(size), wanted, order)
    ways = {
        "training loop": lambda: next(loop),
        "bare step": _Bare(model, where, options),
        "recipe": _Plain(model, images, labels, where, options),
    }
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
    times = in_turns(ways, options.rounds)
    print(table(f"{model} at {size} px, batch {batch}", times, count, "images/s"))
    rate = _operations(model, where, size) * count / min(times["training loop"])
    peak = torch.cuda.max_memory_allocated(where) / 2**30 if where.type == "cuda" else 0.0
    print(f"  utilisation {rate / limit:.2f}, peak memory of all three {peak:.2f} GiB")
    return {
        f"train_over_bare_{model}": Ratio.of(times["training loop"], times["bare step"]),
        f"train_over_recipe_{model}": Ratio.of(times["training loop"], times["recipe"]),
        f"utilisation_{model}": rate / limit,
        f"ours_s_per_image_{model}": sorted(times["training loop"])[options.rounds // 2] / count,
        f"recipe_s_per_image_{model}": sorted(times["recipe"])[options.rounds // 2] / count,
    }


class _Bare:
    """Forward, backward and step on a batch that is there."""

    def __init__(self, model: str, where: torch.device, options: argparse.Namespace) -> None:
        order = torch.channels_last
        network = untrained(model, CLASSES, options.size).to(where, memory_format=order)
        self.network = network.train()
        shape = (options.batch, 3, options.size, options.size)
        self.pixels = torch.randn(shape, device=where).contiguous(memory_format=order)
        self.labels = torch.randint(0, CLASSES, (options.batch,), device=where)
        self.steps = -(-options.examples // options.batch)
        wanted = Recipe(1, options.batch, 0.01)
        self.optimizer, _ = optimise(list(self.network.parameters()), wanted)
        if options.compile:
            self.network.compile(dynamic=False)

    def __call__(self) -> None:
        for _ in range(self.steps):
            loss = F.cross_entropy(self.network(self.pixels).float(), self.labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        loss.item()  # waits for the card


class _Plain:
    """An epoch of the plain recipe, in float32, outside our precision."""

    def __init__(
        self,
        model: str,
        images: Tensor,
        labels: Tensor,
        where: torch.device,
        options: argparse.Namespace,
    ) -> None:
        network = untrained(model, CLASSES, options.size).to(where)
        batches = recipe.loader(images.numpy(), labels.numpy(), options.size, options.batch)
        self.where = where
        self.epochs = recipe.epochs(network, batches, 0.01, device=where)

    def __call__(self) -> None:
        with torch.autocast(self.where.type, enabled=False):
            next(self.epochs)


def _operations(model: str, where: torch.device, size: int) -> float:
    """Count the floating-point operations of forward and backward, for one image."""
    network = untrained(model, CLASSES, size).to(where)
    pixels = torch.randn(2, 3, size, size, device=where)
    with FlopCounterMode(display=False) as counter:
        network(pixels).sum().backward()
    return counter.get_total_flops() / 2


def _matmul_rate(where: torch.device, edge: int) -> float:
    """Measure how many floating-point operations a second a large matrix product makes."""
    one = torch.randn(edge, edge, device=where)

    def run() -> None:
        for _ in range(10):
            product = one @ one
        product[0, 0].item()  # waits for the card

    run()
    return 10 * 2 * edge**3 / min(seconds(run) for _ in range(5))


def _hours(figures: dict[str, Ratio | float], models: list[str]) -> str:
    """Extrapolate what the baselines of study `paper` take, from measured seconds an image."""
    paper = yaml.safe_load(STUDY.read_text(encoding="utf-8"))["paper"]
    lines = ["the baselines of study paper, extrapolated, in hours of this device:"]
    for way in ("ours", "recipe"):
        total = 0.0
        for role, network in paper["networks"].items():
            if PLACE[role] not in models:
                continue
            for place in network.get("data", IMAGES):
                entry = paper["data"][place]
                epochs = (
                    entry.get("epochs", network["epochs"])
                    if isinstance(entry, dict)
                    else network["epochs"]
                )
                images = IMAGES[place] * (1 - paper["validation"])
                total += (
                    figures[f"{way}_s_per_image_{PLACE[role]}"] * images * epochs * paper["trials"]
                )
        lines.append(f"  {way}: {total / 3600:.1f} ({', '.join(models)})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
