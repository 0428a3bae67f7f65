"""What a scan prunes, one at a time: weights of a layer, or channels that several layers share."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ap3.config.seeds import derive
from ap3.diagnosing.channel_groups import ChannelGroup, channel_groups, zeroed
from ap3.diagnosing.layer_laws import LayerLaws
from ap3.errors import InvalidValueError
from ap3.latent.vectors import to_numpy
from ap3.networks.batches import Batch
from ap3.networks.layers import parameters
from ap3.networks.replay import Replay
from ap3.pruning.masks import pruning_mask

Key = tuple[str, float]
"""A layer or group, and the ratio by which it is pruned."""


class Points(Protocol):
    """Every pruning of a scan.

    Attributes
    ----------
    keys
        All of them, layer by layer.
    sizes
        Weights of each layer.
    counts
        How many go, by key.
    laws
        AP2 and AP3, by key.
    names
        Full names of the parameters of each layer.
    remarks
        What a reader has to know of them.
    """

    keys: list[Key]
    sizes: dict[str, int]
    counts: dict[Key, int]
    laws: dict[Key, dict[str, float]]
    names: dict[str, tuple[str, ...]]
    remarks: list[str]

    def changed(self, key: Key) -> dict[str, Tensor]:
        """Return the parameters of one pruning, by full name."""
        ...

    def uses(self, runs: Replay, layer: str) -> float:
        """Count how often a weight is multiplied for an example of the recorded batch; NaN if untold."""
        ...


class WeightPoints(Points):
    """Single weights of every layer; which ones is kept as a bit each.

    Parameters
    ----------
    network, layers, ratios, mode
        As of `ap3.scan`.
    """

    def __init__(
        self, network: nn.Module, layers: str | Sequence[str], ratios: Sequence[float], mode: str
    ) -> None:
        self.names = {layer: (name,) for layer, name in parameters(network, layers).items()}
        self.remarks = []
        self._weights = {
            layer: network.get_parameter(name).detach() for layer, (name,) in self.names.items()
        }
        self.sizes = {layer: weight.numel() for layer, weight in self._weights.items()}
        self.keys = [(layer, ratio) for layer in self.names for ratio in ratios]
        self.counts, self.laws = {}, {}
        self._bits: dict[Key, NDArray[np.uint8]] = {}
        for layer, weight in self._weights.items():
            laws = LayerLaws(weight)
            for ratio in ratios:
                mask = pruning_mask(weight.cpu(), mode, ratio, derive(0, layer, mode, ratio))
                kept = np.asarray(to_numpy(mask) != 0)
                self._bits[layer, ratio] = np.packbits(kept)
                self.counts[layer, ratio] = kept.size - int(np.count_nonzero(kept))
                self.laws[layer, ratio] = laws.of(weight.cpu() * mask)

    def changed(self, key: Key) -> dict[str, Tensor]:
        """Return the weights of one layer, pruned, by full name.

        Parameters
        ----------
        key
            One of `keys`.
        """
        weight = self._weights[key[0]]
        bits = np.unpackbits(self._bits[key], count=prod(weight.shape)).view(np.bool_)
        gone = torch.from_numpy(~bits).view(weight.shape).to(weight.device)
        return {self.names[key[0]][0]: weight.masked_fill(gone, 0)}

    def uses(self, runs: Replay, layer: str) -> float:
        """Count how often a weight is multiplied for an example.

        Parameters
        ----------
        runs
            Holds a batch.
        layer
            One of those scanned.
        """
        return runs.uses(self.names[layer][0])


class ChannelPoints(Points):
    """Whole channels, with all that coupled layers, their norms and the next layers hold of them.

    Those of smallest norm over all of that go first, as mode `lowest` has it.

    Parameters
    ----------
    network, layers, ratios, mode
        As of `ap3.scan`; a group is scanned if one of the layers that put it out is chosen.
    batch
        What the network is traced with.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: str | Sequence[str],
        ratios: Sequence[float],
        mode: str,
        batch: Batch,
    ) -> None:
        if mode not in ("lowest", "highest", "random"):
            raise InvalidValueError(
                f"channels are removed by mode lowest, highest or random, but mode is {mode!r}."
            )
        groups, left_out = channel_groups(network, batch)
        self._network = network
        self._groups = {group.name: group for group in _chosen(groups, layers)}
        self.remarks = [_COUPLED.format(_listed(self._groups.values()))]
        if left_out:
            self.remarks.append(_LEFT_OUT.format("; ".join(left_out)))
        named = dict(network.named_parameters(remove_duplicate=False))
        self.names = {name: group.names for name, group in self._groups.items()}
        self.keys = [(name, ratio) for name in self.names for ratio in ratios]
        self.sizes, self.counts, self.laws = {}, {}, {}
        self._channels: dict[Key, NDArray[np.int64]] = {}
        for name, group in self._groups.items():
            norms = torch.from_numpy(np.sqrt(group.squares(named)))
            self.sizes[name] = _count(group, named, np.arange(group.count))
            for ratio in ratios:
                mask = pruning_mask(norms, mode, ratio, derive(0, name, mode, ratio))
                channels = np.flatnonzero(to_numpy(mask) == 0)
                self._channels[name, ratio] = channels
                self.counts[name, ratio] = _count(group, named, channels)
            for key, laws in self._laws(name, ratios).items():
                self.laws[key] = laws

    def changed(self, key: Key) -> dict[str, Tensor]:
        """Return the parameters of a group, its channels set to zero, by full name.

        Parameters
        ----------
        key
            One of `keys`.
        """
        return zeroed(self._network, self._groups[key[0]], self._channels[key])

    def uses(self, runs: Replay, layer: str) -> float:
        """Count how often a weight of a group is multiplied for an example, on average.

        Parameters
        ----------
        runs
            Holds a batch.
        layer
            One of the groups scanned.
        """
        group, total, size = self._groups[layer], 0.0, 0
        for name in group.names:
            weight = self._network.get_parameter(name)
            if weight.ndim > 1:
                gone = int(group.gone(name, weight.shape, np.arange(group.count)).sum())
                total, size = total + gone * runs.uses(name), size + gone
        return total / size

    def _laws(self, group: str, ratios: Sequence[float]) -> dict[Key, dict[str, float]]:
        """Sum AP2 and AP3 over the layers of a group, one layer at a time."""
        sums: dict[Key, dict[str, float]] = {(group, ratio): {} for ratio in ratios}
        for name in self._groups[group].names:
            weight = self._network.get_parameter(name).detach().cpu()
            if weight.ndim < 2:
                continue
            laws = LayerLaws(weight)
            for key, mine in sums.items():
                gone = self._groups[group].gone(name, weight.shape, self._channels[key])
                for column, value in laws.of(weight.masked_fill(gone, 0)).items():
                    mine[column] = mine.get(column, 0.0) + value
        return sums


_COUPLED = (
    "whole channels are set to zero in all that holds them, which is what removing them does; "
    "AP2 and AP3 are sums over the layers. {}"
)
_LEFT_OUT = "left out, since removing these channels is not proved to do what zeros do: {}."


def _listed(groups: Iterable[ChannelGroup]) -> str:
    """Name the layers of the groups that have several."""
    several = [group for group in groups if len(group.makers) > 1]
    if not several:
        return "No layers share channels."
    return "Coupled: " + "; ".join(" = ".join(group.makers) for group in several) + "."


def _chosen(groups: list[ChannelGroup], layers: str | Sequence[str]) -> list[ChannelGroup]:
    patterns = [layers] if isinstance(layers, str) else list(layers)
    if patterns == ["all"]:
        patterns = ["*"]
    if not groups:
        raise InvalidValueError(
            "no channels of this network are known to be removable; scan single weights."
        )
    makers = [maker for group in groups for maker in group.makers]
    for pattern in patterns or [""]:
        if not any(fnmatchcase(maker, pattern) for maker in makers):
            raise InvalidValueError(
                f"no layer whose channels can be removed matches {pattern!r}; these can: "
                f"{', '.join(group.name for group in groups)}."
            )
    return [
        group
        for group in groups
        if any(fnmatchcase(maker, pattern) for maker in group.makers for pattern in patterns)
    ]


def _count(group: ChannelGroup, named: Mapping[str, Tensor], channels: NDArray[np.int64]) -> int:
    """Count the weights of layers that go with some channels."""
    return sum(
        int(group.gone(name, named[name].shape, channels).sum())
        for name in group.names
        if named[name].ndim > 1
    )
