"""How cost grows: a small study with its ratios, trials or epochs doubled, and memory with views.

A study is one small network on the digits, every stage from training to measuring run in this
process with one thread. Time is processor time, which other jobs on the machine disturb least.
Memory is the peak of a process of its own, for features and for fine-tuning, as views are added.

    python bench/growth.py
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from measuring import conditions, write_ratios
from torch import nn

from ap3.config.variants import variants
from ap3.datasets.images import Images
from ap3.machine.job_log import Record
from ap3.models.checkpoint import Checkpoint, Identity
from ap3.pruning.pruned import Pruned
from ap3.stages import baseline, covariance, data, features, finetune, measure, prune

FACTORS = (1, 2, 4)
MODEL, SIZE = "small_vgg", 16
RATIOS, TRIALS, EPOCHS = 4, 1, 5
MODES = ("lowest", "highest", "random")
ALLOWED = 100_000  # bytes of a variant beyond its layers
VIEWS = (1, 4, 16)
WIDTH, EXAMPLES = 4096, 2000  # of the network and the images that memory is measured with


class Cost(NamedTuple):
    """What a study took: seconds of processor time, bytes on the disk."""

    seconds: float
    disk: int


def main() -> None:
    """Measure, print, draw, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each study")
    parser.add_argument("--plot", type=Path, help="file for the plot")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions(model=MODEL, ratios=RATIOS, trials=TRIALS, epochs=EPOCHS))
    with tempfile.TemporaryDirectory() as folder:
        costs, share = grown(Path(folder), options.repeats)
        print(_table(costs))
        figures = {
            "growth_time_per_doubling": _worst(costs, lambda cost: cost.seconds),
            "growth_disk_per_doubling": _worst(costs, lambda cost: cost.disk),
            "disk_per_variant_over_allowed": share,
        }
        figures |= memory(Path(folder))
    write_ratios(options.json, figures)
    if options.plot:
        draw(costs, options.plot)


def grown(folder: Path, repeats: int) -> tuple[dict[tuple[str, int], list[Cost]], float]:
    """Run every study in turns; returns their costs and the fullest variant's share of its bytes."""
    digits = folder / "digits.safetensors"
    data.data("digits", digits)
    study(folder / "warm", digits, 1, 1, 1)
    costs: dict[tuple[str, int], list[Cost]] = {}
    share = 0.0
    for _ in range(repeats):
        for what, factor in itertools.product(("ratios", "trials", "epochs"), FACTORS):
            sizes = {"ratios": RATIOS, "trials": TRIALS, "epochs": EPOCHS}
            sizes[what] *= factor
            root = folder / f"{what}{factor}"
            start = time.process_time()
            study(root, digits, **sizes)
            taken = time.process_time() - start
            disk = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
            costs.setdefault((what, factor), []).append(Cost(taken, disk))
            share = max(share, fullest(root, sizes["epochs"]))
            shutil.rmtree(root)
    return costs, share


def study(root: Path, digits: Path, ratios: int, trials: int, epochs: int) -> None:
    """Run a study from training to measures."""
    recipe = {"epochs": epochs, "batch_size": 32, "learning_rate": 0.05}
    names = [str(variant) for variant in variants(MODES, np.linspace(0.1, 0.9, ratios).round(4))]
    for trial in range(1, trials + 1):
        run = root / f"trial{trial}"
        checkpoint, seen = run / "baseline.safetensors", run / "features.safetensors"
        turned, tuned = run / "covariance.safetensors", run / "finetuned.safetensors"
        history = run / "baseline.csv"
        where = {"device": "cpu", "trial": trial, "image_size": SIZE}
        baseline.baseline(digits, MODEL, checkpoint, history, **recipe, **where)
        features.features(digits, checkpoint, seen, device="cpu")
        pruned = run / "pruned.safetensors"
        prune.prune(names, checkpoint, pruned)
        finetune.finetune(pruned, checkpoint, tuned, features=seen, device="cpu", **recipe)
        covariance.covariance(checkpoint, turned)
        measure.measure(tuned, checkpoint, seen, turned, run / "measures.csv", groups=100)


def fullest(root: Path, epochs: int) -> float:
    """Bytes of the fullest baseline's variants over epochs × their layers + 100 kB each."""
    shares = []
    for path in root.rglob("pruned.safetensors"):
        variants = Pruned(path)
        weights = sum(prod(shape) for shape in variants.shapes.values())
        files = [path, *path.parent.glob("finetuned.*")]
        allowed = len(variants) * (epochs * weights * 4 + ALLOWED)
        shares.append(sum(file.stat().st_size for file in files) / allowed)
    return max(shares)


def _table(costs: dict[tuple[str, int], list[Cost]]) -> str:
    lines = [f"{'':14}{'n':>3}{'median s':>10}{'fastest':>10}{'slowest':>10}{'disk, kB':>10}"]
    for (what, factor), runs in costs.items():
        seconds = [run.seconds for run in runs]
        values = "".join(f"{s:10.2f}" for s in (median(seconds), min(seconds), max(seconds)))
        lines.append(
            f"{factor} x {what:10}{len(runs):3}{values}{median(r.disk for r in runs) / 1000:10.0f}"
        )
    return "\n".join(lines)


def _worst(costs: dict[tuple[str, int], list[Cost]], quantity: Callable[[Cost], float]) -> float:
    """Find the largest growth by one doubling; 2 is in proportion."""
    size = {key: median(map(quantity, runs)) for key, runs in costs.items()}
    return max(
        size[what, large] / size[what, small]
        for what, _ in size
        for small, large in itertools.pairwise(FACTORS)
    )


def draw(costs: dict[tuple[str, int], list[Cost]], path: Path) -> None:
    """Draw cost over the factor of growth, beside growth in proportion."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    quantities = {"processor time": lambda c: c.seconds, "disk": lambda c: c.disk}
    for panel, (name, quantity) in zip(panels, quantities.items(), strict=True):
        for what in dict.fromkeys(what for what, _ in costs):
            sizes = [median(map(quantity, costs[what, factor])) for factor in FACTORS]
            panel.plot(FACTORS, [size / sizes[0] for size in sizes], marker="o", label=what)
        panel.plot(FACTORS, FACTORS, color="grey", linestyle="--", label="in proportion")
        panel.set(xscale="log", yscale="log", xlabel="times as many", ylabel=f"times the {name}")
        panel.set_xticks(FACTORS, map(str, FACTORS))
        panel.set_yticks(FACTORS, map(str, FACTORS))
        panel.minorticks_off()
    panels[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def wide(classes: int, image_size: int) -> nn.Module:
    """Make a network whose last layer is as wide as VGG16's and whose trunk costs nothing."""
    trunk = nn.Linear(3 * image_size**2, WIDTH)
    return nn.Sequential(nn.Flatten(), trunk, nn.ReLU(), nn.Linear(WIDTH, classes))


def memory(folder: Path) -> dict[str, float]:
    """Print the peaks of both stages; return how much that of 16 views is over that of one."""
    draw_from = np.random.default_rng(0)
    images = draw_from.integers(0, 256, (EXAMPLES, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(EXAMPLES) % 10
    noise = Images("noise", tuple("0123456789"), images, labels, images[:500], labels[:500])
    noise.save(folder / "noise.safetensors")
    identity = Identity("noise", "growth:wide", 10, 8, 1, 0, "3")
    Checkpoint(wide(10, 8), identity).save(folder / "wide.safetensors")
    prune.prune(["lowest-0.5"], folder / "wide.safetensors", folder / "pruned.safetensors")
    print(f"{'':12}{'views, MB':>16}{'its file, MB':>14}{'fine-tuning, MB':>18}  (n = 1)")
    peaks = {}
    for views in VIEWS:
        seen, kept = folder / "features.safetensors", folder / "views.safetensors"
        checkpoint = ["--checkpoint", str(folder / "wide.safetensors")]
        network = ["--data", str(folder / "noise.safetensors"), "--model", "growth:wide"]
        network += checkpoint
        if not seen.exists():
            _peak(["features", *network, "--out", str(seen)])
        made = ["views", *network, "--out", str(kept), "--views", str(views)]
        made += ["--augmentation", "crop-flip"]
        tuned = ["finetune", str(folder / "pruned.safetensors"), *checkpoint]
        tuned += [
            "--features",
            str(seen),
            "--views",
            str(kept),
            "--out",
            str(folder / "tuned.safetensors"),
        ]
        tuned += ["--epochs", str(views), "--batch-size", "128", "--learning-rate", "0.01"]
        peaks[views] = _peak(made), _peak(tuned)
        print(
            f"{views:3} views  {peaks[views][0]:16.0f}{kept.stat().st_size / 1e6:14.0f}"
            f"{peaks[views][1]:18.0f}"
        )
    first, last = peaks[VIEWS[0]], peaks[VIEWS[-1]]
    return {
        "views_memory_16_views_over_1": last[0] / first[0],
        "finetune_memory_16_views_over_1": last[1] / first[1],
    }


def _peak(command: list[str]) -> float:
    """Run an `ap3` command on the CPU by itself; returns the most memory that it held, in MB."""
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    # A shell stands between: a process starts its peak at the size of the one that it came from.
    shell = ["sh", "-c", 'ap3 "$@"; exit $?', "sh", *command, "--device", "cpu"]
    done = subprocess.run(
        shell,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    record = Record.last(done.stderr)
    if done.returncode or record is None:
        sys.exit(f"ap3 {' '.join(command)} failed:\n{done.stderr}")
    return record.megabytes


if __name__ == "__main__":
    main()
