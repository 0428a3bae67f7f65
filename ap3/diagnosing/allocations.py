"""Six ways to spread pruning over the layers of a network, under one budget of weights or of FLOPs.

Within a layer the weights of lowest magnitude go first, whatever the way; so a way is a number of
weights for each layer. What a weight costs is 1, or for FLOPs how often it is multiplied.

- `calibrated`: the least Σ a_l AP3_l, AP3 of the network under Gaussian laws of variance σ_l²/a_l.
  AP3_l is a sum over the weights that go, so it is reached by one threshold on
  a_l w²/(2 σ_l²) ÷ cost, over all layers.
- `measured_kl`: the least sum of the single layers' curves of KL, as measured by a scan. Between its
  points a curve is a power of AP3_l, and its lower convex hull is taken.
- `uniform`: every layer by the same ratio.
- `global`: one threshold on |w| over all layers.
- `lamp`: one threshold on w²/Σ v² over the layer's v with |v| ≥ |w| (Lee et al. 2021).
- `erk`: density in proportion to Σ dimensions / Π dimensions of the weight, at most 1 (Evci et al.
  2020).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ap3.latent.calibration import FULL_PRUNING_KL
from ap3.latent.vectors import Vector
from ap3.pruning.weight_scores import lamp

_GRID = 400  # steps of a layer's curve
_LEAST = 1e-12  # nats; no KL is taken as smaller
_MOST = 1e6  # nats; none as larger: it is infinite where the logits are no numbers

Counts = dict[str, int]


@dataclass(frozen=True, eq=False)
class Layer:
    """What an allocation knows of one layer.

    Attributes
    ----------
    squares : array of shape (n,)
        w² of its weights, ascending.
    shape
        Of the weight.
    cost
        Of one weight.
    ratios, kl : arrays of shape (K,)
        A scan's: KL of the predictions with the layer alone pruned by each ratio.
    """

    squares: Vector
    shape: tuple[int, ...]
    cost: float
    ratios: Vector
    kl: Vector

    @property
    def size(self) -> int:
        """Number of weights."""
        return len(self.squares)

    @property
    def ap3_by_count(self) -> Vector:
        """AP3 under N(ω, σ²I) with 0, 1, …, n weights gone, (n + 1,), in nats."""
        sums = np.concatenate([[0.0], np.cumsum(self.squares)])
        return FULL_PRUNING_KL * sums / sums[-1] if sums[-1] else sums

    def curve(self, counts: NDArray[np.int64]) -> Vector:
        """Read the KL of the predictions off the scan's points, with some weights gone.

        Between two points it is a power of AP3, below the first in proportion to AP3, and beyond the
        last the last power goes on. It never falls.

        Parameters
        ----------
        counts
            How many are gone.
        """
        ap3 = self.ap3_by_count
        x = ap3[np.rint(self.ratios * self.size).astype(np.int64)]
        y = np.clip(np.maximum.accumulate(self.kl), _LEAST, _MOST)
        use = (x > 0) & np.concatenate([[True], np.diff(x) > 0])
        x, y = np.log(x[use]), np.log(y[use])
        if len(x) == 0:
            return np.zeros(len(counts))
        wanted = np.log(np.maximum(ap3[counts], np.exp(x[0]) * 1e-300))
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2]) if len(x) > 1 else 1.0
        found = np.interp(wanted, x, y)
        found = np.where(wanted < x[0], y[0] + wanted - x[0], found)
        found = np.where(wanted > x[-1], y[-1] + slope * (wanted - x[-1]), found)
        return np.where(counts == 0, 0.0, np.exp(found))

    def calibration(self, ratio: float) -> float:
        """Return a_l = KL ÷ AP3 at the scan's ratio nearest to `ratio`; 0 for a layer of zeros.

        Parameters
        ----------
        ratio
            Of the whole network.
        """
        place = int(np.argmin(np.abs(self.ratios - ratio)))
        ap3 = self.ap3_by_count[round(float(self.ratios[place]) * self.size)]
        return float(np.clip(self.kl[place], _LEAST, _MOST) / ap3) if ap3 > 0 else 0.0


Layers = Mapping[str, Layer]


def total_cost(layers: Layers) -> float:
    """Add up what all weights cost.

    Parameters
    ----------
    layers
        By name.
    """
    return sum(layer.size * layer.cost for layer in layers.values())


def calibrated(layers: Layers, amount: float) -> Counts:
    """Spread by the calibrated law: so many weights of each layer go.

    Parameters
    ----------
    layers
        By name.
    amount
        Of cost that goes.
    """
    ratio = amount / total_cost(layers)

    def score(layer: Layer) -> Vector:
        whole = layer.squares.sum() or 1.0
        scale = layer.calibration(ratio) * FULL_PRUNING_KL / whole / layer.cost
        return np.asarray(layer.squares * scale)

    return by_threshold(layers, amount, score)


def measured_kl(layers: Layers, amount: float) -> Counts:
    """Spread by the curves of a scan.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    """
    segments = []
    for name, layer in layers.items():
        counts = np.unique(np.rint(np.linspace(0, 1, _GRID + 1) * layer.size).astype(np.int64))
        hull = _hull(np.asarray(counts * layer.cost, np.float64), layer.curve(counts))
        for start, end in pairwise(hull):
            rise = layer.curve(counts[[start, end]])
            width = float(counts[end] - counts[start]) * layer.cost
            segments.append(((rise[1] - rise[0]) / width, name, int(counts[end] - counts[start])))
    found, left = dict.fromkeys(layers, 0), amount
    for _, name, count in sorted(segments, key=lambda segment: segment[0]):
        cost = layers[name].cost
        taken = min(count, _whole(left / cost))
        found[name] += taken
        left -= taken * cost
        if left <= 0:
            break
    return found


def uniform(layers: Layers, amount: float) -> Counts:
    """Prune every layer by the same ratio.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    """
    ratio = amount / total_cost(layers)
    return _rounded(layers, amount, {name: ratio * layer.size for name, layer in layers.items()})


def global_magnitude(layers: Layers, amount: float) -> Counts:
    """Prune by one threshold on the magnitude.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    """
    return by_threshold(layers, amount, lambda layer: layer.squares)


def by_lamp(layers: Layers, amount: float) -> Counts:
    """Prune by one threshold on LAMP's score.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    """
    return by_threshold(layers, amount, lambda layer: lamp(np.sqrt(layer.squares)))


def erk(layers: Layers, amount: float) -> Counts:
    """Keep weights in proportion to Σ dimensions / Π dimensions, no layer more than all of its own.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    """
    raw = {name: sum(layer.shape) / np.prod(layer.shape) for name, layer in layers.items()}
    kept_cost = total_cost(layers) - amount
    low, high = 0.0, max(1 / value for value in raw.values())
    for _ in range(200):
        middle = (low + high) / 2
        density = {name: min(1.0, middle * value) for name, value in raw.items()}
        cost = sum(density[name] * layer.size * layer.cost for name, layer in layers.items())
        low, high = (middle, high) if cost < kept_cost else (low, middle)
    gone = {name: (1 - min(1.0, high * raw[name])) * layer.size for name, layer in layers.items()}
    return _rounded(layers, amount, gone)


def by_threshold(layers: Layers, amount: float, score: Callable[[Layer], Vector]) -> Counts:
    """Prune the weights of lowest score over all layers, until `amount` of cost is gone.

    Of equal scores those of the earlier layer go first.

    Parameters
    ----------
    layers, amount
        As `calibrated` takes them.
    score
        Scores of a layer's weights, (n,), ascending as its weights are.
    """
    scores = np.concatenate([score(layer) for layer in layers.values()])
    owners = np.repeat(np.arange(len(layers)), [layer.size for layer in layers.values()])
    costs = np.array([layer.cost for layer in layers.values()])
    order = np.argsort(scores, kind="stable")
    spent = np.cumsum(costs[owners[order]])
    number = int(np.searchsorted(spent, amount * (1 + 1e-12), side="right"))
    counts = np.bincount(owners[order[:number]], minlength=len(layers))
    return {name: int(count) for name, count in zip(layers, counts, strict=True)}


WAYS: dict[str, Callable[[Layers, float], Counts]] = {
    "calibrated": calibrated,
    "measured_kl": measured_kl,
    "uniform": uniform,
    "global": global_magnitude,
    "lamp": by_lamp,
    "erk": erk,
}
"""The allocations by name."""


def predicted(layers: Layers, counts: Counts, ratio: float) -> dict[str, float]:
    """Predict the KL of the predictions from single layers, in nats.

    Parameters
    ----------
    layers
        By name.
    counts
        How many weights of each go.
    ratio
        Of the whole network, for `calibration`.

    Returns
    -------
    dict
        `predicted_calibrated`, Σ a_l AP3_l, and `predicted_curves`, the sum of the curves.
    """
    by_law = sum(
        layer.calibration(ratio) * float(layer.ap3_by_count[counts[name]])
        for name, layer in layers.items()
    )
    curves = sum(float(layer.curve(np.array([counts[name]]))[0]) for name, layer in layers.items())
    return {"predicted_calibrated": by_law, "predicted_curves": curves}


def _rounded(layers: Layers, amount: float, wanted: Mapping[str, float]) -> Counts:
    """Round to whole weights whose cost is `amount` or, where costs differ, just below."""
    counts = {name: min(int(wanted[name]), layer.size) for name, layer in layers.items()}
    left = amount - sum(counts[name] * layer.cost for name, layer in layers.items())
    for name in sorted(layers, key=lambda name: counts[name] - wanted[name]):
        layer = layers[name]
        if counts[name] < layer.size and layer.cost <= left * (1 + 1e-9) + 1e-9:
            counts[name] += 1
            left -= layer.cost
    return counts


def _whole(value: float) -> int:
    return int(np.floor(value * (1 + 1e-12) + 1e-9))


def _hull(x: Vector, y: Vector) -> list[int]:
    """Return the places of the lower convex hull of points with ascending x."""
    hull: list[int] = []
    for place in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[place] - x[a]) < (y[place] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(place)
    return hull
