"""What a one-shot variant of a whole network costs, beside a bare evaluation and a bare backward pass.

    python bench/network.py

Times are of this process's processor; the ways take turns. No network is trained: what is timed does
not depend on the weights.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from measuring import Ratio, conditions, in_turns, table, write_ratios

from ap3.datasets.images import Images
from ap3.measuring.network_laws import NetworkLaws
from ap3.measuring.network_variants import Evaluator
from ap3.models.checkpoint import Checkpoint, Identity
from ap3.models.head import find_head
from ap3.models.registry import build
from ap3.pruning.allocation import allocate
from ap3.pruning.network_layers import layer_weights
from ap3.pruning.pruned import Origin

NETWORKS = ("small_alexnet", "small_vgg", "small_resnet", "small_vit")
SIZE, CLASSES, TRAIN, TEST = 16, 10, 256, 360


def main() -> None:
    """Time every network, and print one table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions())
    ratios: dict[str, Ratio] = {}
    for name in chosen.networks:
        found = timed(name, chosen.rounds)
        ratios |= {f"{name}_{what}": ratio for what, ratio in found.items()}
    write_ratios(chosen.json, ratios)


def timed(name: str, rounds: int) -> dict[str, Ratio]:
    """Time one network, and print it; returns ratios of which the larger is better."""
    evaluator, variants, laws = prepared(name)
    model, splits = evaluator.model, evaluator.splits

    def evaluation() -> None:
        for seen in splits.values():
            seen.logits(model)

    def backward() -> None:
        model.zero_grad(set_to_none=True)
        seen = splits["train"]
        F.cross_entropy(model(seen.pixels), seen.labels).backward()

    place = iter(range(10**9))

    def variant() -> None:
        evaluator.measure([variants[next(place) % len(variants)]])

    def data_free() -> None:
        for one, weight in evaluator.baseline.items():
            laws.of_layer(one, np.asarray(weight) * 0.9)

    def gauss_newton() -> None:
        evaluator._put(variants[0])
        evaluator._linear()
        evaluator._take_back()

    ways = {
        "a bare evaluation pass": evaluation,
        "a bare backward pass": backward,
        "a one-shot variant, all measures": variant,
        "its data-free laws": data_free,
        "its Gauss–Newton law": gauss_newton,
    }
    times = in_turns(ways, rounds, clock="processor")
    print(table(name, times, 1.0, "a second"))
    bare, back = times["a bare evaluation pass"], times["a bare backward pass"]
    whole, linear = times["a one-shot variant, all measures"], times["its Gauss–Newton law"]
    apart = [one - two for one, two in zip(whole, linear, strict=True)]
    both = [one + two for one, two in zip(times["its data-free laws"], linear, strict=True)]
    for what, ratio in {
        "variant without Gauss–Newton ÷ evaluation": Ratio.of(bare, apart),
        "variant ÷ evaluation": Ratio.of(bare, whole),
        "all laws ÷ backward pass": Ratio.of(back, both),
    }.items():
        print(f"  {what:44}{ratio}")
    return {
        "evaluation_over_variant": Ratio.of(apart, bare),
        "backward_over_laws": Ratio.of(both, back),
    }


def prepared(name: str) -> tuple[Evaluator, list, NetworkLaws]:
    """Build a network, random images, and twenty variants."""
    torch.manual_seed(0)
    model = build(name, CLASSES, SIZE)
    draw = np.random.default_rng(0)
    parts = [
        part
        for count in (TRAIN, TEST)
        for part in (
            draw.integers(0, 256, (count, 1, SIZE, SIZE), dtype=np.uint8),
            np.arange(count, dtype=np.int64) % CLASSES,
        )
    ]
    images = Images("random", tuple(map(str, range(CLASSES))), *parts)
    identity = Identity("random", name, CLASSES, SIZE, 1, 0, find_head(model, SIZE))
    origin = Origin("random", name, 1, 0)
    weights = layer_weights(model)
    laws = NetworkLaws(
        origin, {one: np.asarray(weight.detach()) for one, weight in weights.items()}, groups=100
    )
    given = Checkpoint(model, identity), images, torch.device("cpu"), [*weights], laws
    variants = list(allocate(weights, origin, ["lowest"], [0.5], {"random": 20}))[1:]
    return Evaluator(*given), variants, laws


if __name__ == "__main__":
    main()
