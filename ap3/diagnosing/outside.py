"""Weights that are in no layer, named beside the numbers that leave them out.

`ap3.compare` takes every real parameter of two or more dimensions for a layer. What prunes or runs
layers takes those called weight: neither a name nor a shape tells experts of a mixture, which could
be pruned, from class tokens, positions and scales, which are no layer. So the rest is said.
"""

from collections.abc import Mapping
from math import prod

from torch import nn

from ap3.comparing.layer_names import is_layer
from ap3.files.lazy_tensors import StateDict
from ap3.files.safe_names import listed
from ap3.pruning.network_layers import full_names, layer_weights

LEFT = "are left as they are"
"""What becomes of them where layers are pruned."""


def outside(network: nn.Module) -> dict[str, int]:
    """Count the weights of parameters that `ap3.compare` takes for layers, and that are in none here.

    Parameters
    ----------
    network
        Any module.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
    >>> network.experts = nn.Parameter(network[0].weight.new_ones(2, 3, 5))
    >>> outside(network)
    {'experts': 30}
    """
    layers = set(full_names(network).values())
    entries = StateDict.of(dict(network.named_parameters())).entries
    return {
        name: prod(entry.shape)
        for name, entry in entries.items()
        if name not in layers and is_layer(name, entry)
    }


def size(network: nn.Module) -> int:
    """Count the weights of a network: those of its layers, and those outside.

    Parameters
    ----------
    network
        Any module.

    Examples
    --------
    >>> size(nn.Linear(4, 3))
    12
    """
    inside = sum(weight.numel() for weight in layer_weights(network).values())
    return inside + sum(outside(network).values())


def remarks(network: nn.Module, fate: str, more: Mapping[str, int] | None = None) -> list[str]:
    """Say how many weights are in no layer, and of which tensors; nothing if all are in one.

    Parameters
    ----------
    network
        Any module.
    fate
        What becomes of them, after "are in no layer and".
    more
        Sizes of further tensors to name, by name.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 3))
    >>> remarks(network, "stay"), remarks(network, "stay", {"table": 6})
    ([], ['6 of 18 weights are in no layer and stay: table.'])
    """
    held = outside(network)
    found = held | dict(more or {})
    if not found:
        return []
    count = sum(found.values())
    whole = size(network) + count - sum(held.values())
    return [f"{count:,} of {whole:,} weights are in no layer and {fate}: {listed(found)}."]
