"""How much of each layer goes: allocations of one total ratio over the layers of a network.

- `uniform`: every layer by the ratio.
- `global`: one threshold over the weights of all layers, as torch's `global_unstructured`.
- `random`: K vectors of per-layer ratios whose total is the ratio. Every layer draws u from (0, 1),
  and its odds of being pruned are those of u times a factor that all layers share and that makes the
  total right: r = u f / (1 − u + u f). At a total of one half r is spread about as u is.

Beside these, each layer is pruned alone at some ratios, for its sensitivity.

Totals are exact: the numbers of weights to prune in all layers add up to round(ratio · n).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ap3.config import compressions
from ap3.config.seeds import derive
from ap3.config.variants import CONTROL
from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector
from ap3.pruning.masks import check_ratio, pruning_mask
from ap3.pruning.pruned import Origin

ALONE = "only "
"""Begins the name of an allocation in which one layer is pruned alone; its name follows."""


@dataclass(frozen=True, eq=False)
class Allocated:
    """One variant of a network: how its weights are chosen, and how many go in each layer.

    Attributes
    ----------
    mode
        How, as in `ap3.pruning.compressions`; `control` where nothing goes.
    ratio
        The total over the layers that are pruned.
    allocation
        `uniform`, `global`, `random 1`, …, `only LAYER`, or `none`.
    ratios
        That of each layer chosen, by name; 0 where it is left as it is.
    """

    mode: str
    ratio: float
    allocation: str
    ratios: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.mode}-{self.ratio} {self.allocation}"

    @property
    def alone(self) -> str:
        """The layer that is pruned alone, or an empty text."""
        return self.allocation.removeprefix(ALONE) if self.allocation.startswith(ALONE) else ""

    def seed(self, origin: Origin, layer: str) -> int:
        """Derive what decides a random mask of one layer."""
        names = (origin.dataset, origin.model, origin.trial, self, layer)
        return derive(origin.seed, *names)


def allocate(
    weights: Mapping[str, Tensor],
    origin: Origin,
    modes: Sequence[str],
    ratios: Sequence[float],
    allocation: str | Mapping[str, Any],
    alone: Sequence[float] = (),
) -> Iterator[Allocated]:
    """Give the variants of a network: the control, each layer alone, then every allocation.

    Parameters
    ----------
    weights
        Of the layers to prune, by name.
    origin
        The baseline, by whose names random numbers are drawn.
    modes, ratios
        Every mode at every ratio.
    allocation
        `uniform`, `global`, or `{"random": K}`.
    alone
        Ratios at which every layer is pruned alone.

    Raises
    ------
    UserError
        If a ratio lies outside 0 to 1, or one threshold is asked for of a mode that does not score
        single weights.
    """
    for ratio in (*ratios, *alone):
        check_ratio(ratio)
    sizes = {name: weight.numel() for name, weight in weights.items()}
    nothing = dict.fromkeys(sizes, 0.0)
    yield Allocated(CONTROL, 0.0, "none", nothing)
    for mode in modes:
        for layer in sizes:
            for ratio in alone:
                share = round(ratio * sizes[layer]) / sizes[layer]
                yield Allocated(mode, float(ratio), f"{ALONE}{layer}", nothing | {layer: share})
    for mode in modes:
        for ratio in map(float, ratios):
            if allocation == "uniform":
                yield Allocated(mode, ratio, "uniform", dict.fromkeys(sizes, ratio))
            elif allocation == "global":
                yield Allocated(mode, ratio, "global", global_ratios(weights, origin, mode, ratio))
            else:
                for number in range(1, compressions.drawn(allocation) + 1):
                    name = f"random {number}"
                    seed = derive(
                        origin.seed, origin.dataset, origin.model, origin.trial, ratio, name
                    )
                    amounts = drawn_amounts([*sizes.values()], ratio, seed)
                    shares = {
                        layer: int(amount) / size
                        for (layer, size), amount in zip(sizes.items(), amounts, strict=True)
                    }
                    yield Allocated(mode, ratio, name, shares)


def global_ratios(
    weights: Mapping[str, Tensor], origin: Origin, mode: str, ratio: float
) -> dict[str, float]:
    """Return each layer's share of the weights below one threshold over all of them.

    Of equal weights those of the earlier layer are pruned first, and within a layer the earlier.

    Examples
    --------
    >>> weights = {"a": torch.tensor([[1.0, 5.0]]), "b": torch.tensor([[2.0, 3.0]])}
    >>> global_ratios(weights, Origin("digits", "net", 1, 0), "lowest", 0.5)
    {'a': 0.5, 'b': 0.5}
    """
    if not compressions.is_criterion(mode):
        raise InvalidValueError(
            f"one threshold over all layers is not defined for {mode}, which does not score single "
            "weights; take the allocation uniform or random."
        )
    joined = torch.cat([weight.detach().flatten() for weight in weights.values()])
    seed = derive(origin.seed, origin.dataset, origin.model, origin.trial, mode, ratio, "global")
    kept = pruning_mask(joined, mode, ratio, seed).bool()
    parts = kept.split([weight.numel() for weight in weights.values()])
    return {
        name: (part.numel() - int(part.sum())) / part.numel()
        for name, part in zip(weights, parts, strict=True)
    }


def drawn_amounts(sizes: Sequence[int], ratio: float, seed: int) -> NDArray[np.int64]:
    """Draw how many weights go in each layer, round(ratio · n) in all.

    Parameters
    ----------
    sizes
        How many weights each layer has.
    ratio
        From 0 to 1.
    seed
        Decides the draw.

    Examples
    --------
    >>> drawn_amounts([10, 1000, 90], 0.5, seed=1).sum()
    np.int64(550)
    """
    counts = np.asarray(sizes, dtype=np.int64)
    total = round(ratio * int(counts.sum()))
    share = total / counts.sum()
    if not 0 < share < 1:
        return counts * int(share)
    u = np.random.default_rng(seed).uniform(size=len(counts))
    low, high = -60.0, 60.0  # logarithms of the factor
    for _ in range(200):
        middle = (low + high) / 2
        if counts @ _with_odds(u, middle) < total:
            low = middle
        else:
            high = middle
    return _rounded(counts, counts * _with_odds(u, (low + high) / 2), total)


def _with_odds(u: Vector, log_factor: float) -> Vector:
    return np.asarray(1 / (1 + (1 - u) / u * np.exp(-log_factor)))


def _rounded(counts: NDArray[np.int64], wanted: Vector, total: int) -> NDArray[np.int64]:
    """Round to whole numbers that add up to `total`, those first that lose most by rounding down."""
    amounts = np.minimum(np.floor(wanted).astype(np.int64), counts)
    order = np.argsort(amounts - wanted, kind="stable")
    missing = total - int(amounts.sum())
    for place in [*order] * (abs(missing) + 1):
        if missing <= 0:
            break
        if amounts[place] < counts[place]:
            amounts[place] += 1
            missing -= 1
    return amounts
