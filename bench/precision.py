"""What bfloat16 does to the accuracy of the small networks and to their performance differences.

Each network is trained in float32 and in bfloat16 from the same weights, on the same batches; all
its variants are then fine-tuned in scope `head` on features of the same precision. A third way
trains in float32 and takes the features alone in bfloat16: what judging by rounded features does by
itself.

Few CPUs multiply in bfloat16, and those that don't take five times as long as in float32. So
training here multiplies in float32 what is rounded to bfloat16, as tensor cores do: inputs, weights
and outputs of every layer, and on the way back their gradients. `--true` leaves it to torch's
autocast. Features are always autocast's.

    python bench/precision.py
"""

import argparse
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import small_networks as small
import torch
from measuring import conditions
from networks import untrained
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ap3 import datasets
from ap3.config.variants import Variant
from ap3.datasets.images import Images
from ap3.finetuning.head_scope import through_head
from ap3.machine.device import processor
from ap3.models.checkpoint import Checkpoint, Identity
from ap3.models.head import find_head
from ap3.pruning.masks import prune_network
from ap3.pruning.pruned import read_unpruned
from ap3.training.features import Features, write
from ap3.training.sgd import Recipe, train

VARIANTS = [
    Variant.parse(f"{mode}-{ratio}")
    for mode in ("lowest", "highest", "random")
    for ratio in (0.1, 0.3, 0.5, 0.8)
]
WAYS = {
    "float32": ("float32", "float32"),
    "bfloat16": ("bfloat16", "bfloat16"),
    "bfloat16 features alone": ("float32", "bfloat16"),
}
"""Each way → the precision of training, and that of the features."""


class Result(NamedTuple):
    """Test accuracy of a baseline, and the mean PD of its variants on the test split."""

    accuracy: float
    pd_accuracy: float
    pd_loss: float


def main() -> None:
    """Train, fine-tune, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="trainings of each network, each way")
    parser.add_argument("--models", nargs="*", help="networks; all four if not given")
    parser.add_argument(
        "--epochs", type=int, help="of training and tuning; as many as each needs if not given"
    )
    parser.add_argument("--true", action="store_true", help="leave bfloat16 to torch's autocast")
    options = parser.parse_args()
    data = datasets.get("digits").decode(None)
    print(
        conditions(batch=small.BATCH, variants=len(VARIANTS), trials=options.trials),
        flush=True,
    )
    print(f"{'mean ± sd over trials; difference ± its standard error':60}n = {options.trials}")
    for model, (epochs, rate) in small.TRAININGS.items():
        if options.models and model not in options.models:
            continue
        recipe = Recipe(options.epochs or epochs, small.BATCH, rate, 0.9, 5e-4, channels_last=True)
        tuning = Recipe(options.epochs or 20, small.BATCH, rate, 0.9, 5e-4)
        results: dict[str, list[Result]] = {way: [] for way in WAYS}
        for trial in range(1, options.trials + 1):
            for way, found in _trial(data, model, recipe, tuning, trial, options.true).items():
                results[way].append(found)
        print(_rows(model, results), flush=True)


def _trial(
    data: Images, model: str, recipe: Recipe, tuning: Recipe, trial: int, true: bool
) -> dict[str, Result]:
    """Go every way once, from the same weights."""
    trained = {
        precision: _trained(data, model, recipe, trial, precision, true)
        for precision in dict.fromkeys(training for training, _ in WAYS.values())
    }
    return {
        way: _judged(trained[training], data, tuning, features)
        for way, (training, features) in WAYS.items()
    }


def _trained(
    data: Images, model: str, recipe: Recipe, trial: int, precision: str, true: bool
) -> Checkpoint:
    """Train one network; all that is drawn is the same in every precision."""
    network = untrained(model, small.CLASSES, small.SIZE, trial)
    head = find_head(network, small.SIZE)
    identity = Identity(data.name, model, small.CLASSES, small.SIZE, trial, 0, head)
    images, labels = map(torch.from_numpy, (data.train_images, data.train_labels))
    order = torch.Generator().manual_seed(trial)
    rounds = precision == "bfloat16" and not true
    with processor("cpu", 1, "float32" if rounds else precision), _rounded(network, rounds):
        deque(train(network, images, labels, identity.view, recipe, order), maxlen=0)
    return Checkpoint(network, identity)


class _Rounding(nn.Module):
    """Rounds to bfloat16 and widens again, and so does its gradient."""

    def forward(self, values: Tensor) -> Tensor:
        return values.bfloat16().float()


@contextmanager
def _rounded(network: nn.Module, rounds: bool) -> Iterator[None]:
    """Let every layer multiply numbers of bfloat16 within the `with` block, if `rounds`."""
    if not rounds:
        yield
        return
    multiply = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
    layers = [one for one in network.modules() if not list(one.children())]
    weights = [
        (module, name)
        for module in network.modules()
        if isinstance(module, multiply)
        for name, _ in list(module.named_parameters(recurse=False))
    ]
    for module, name in weights:
        parametrize.register_parametrization(module, name, _Rounding())
    hooks = [one.register_forward_hook(lambda *given: _Rounding()(given[-1])) for one in layers]
    hooks.append(network.register_forward_pre_hook(lambda _, given: _Rounding()(given[0])))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, name in weights:
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)


def _judged(checkpoint: Checkpoint, data: Images, recipe: Recipe, precision: str) -> Result:
    """Fine-tune all variants of a baseline on features of a precision."""
    with tempfile.TemporaryDirectory() as folder:
        network, seen = Path(folder, "baseline.safetensors"), Path(folder, "features.safetensors")
        checkpoint.save(network)
        with processor("cpu", 1, precision) as where:
            write(seen, checkpoint, data, where)
        baseline = read_unpruned(network)
        variants = [prune_network(baseline, variant) for variant in VARIANTS]
        with processor("cpu", 1) as where:
            done = through_head(variants, baseline, Features.load(seen), recipe, where)
    last = [one.log[-1] for one in done]
    return Result(
        done[0].baseline["test"].correct.mean().item(),
        fmean(row["test_pd_accuracy"] for row in last),
        fmean(row["test_pd_loss"] for row in last),
    )


def _rows(model: str, results: dict[str, list[Result]]) -> str:
    """Say of each quantity what came of every way, and how far from float32."""
    lines = []
    for quantity in Result._fields:
        exact = [getattr(one, quantity) for one in results["float32"]]
        for way, found in results.items():
            values = [getattr(one, quantity) for one in found]
            line = f"{model:16}{quantity:14}{way:26}{fmean(values):9.4f} ± {_sd(values):.4f}"
            if way != "float32":
                differences = [one - other for one, other in zip(values, exact, strict=True)]
                error = _sd(differences) / sqrt(len(differences))
                line += f"{fmean(differences):+11.5f} ± {error:.5f}"
            lines.append(line)
    return "\n".join(lines)


def _sd(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
