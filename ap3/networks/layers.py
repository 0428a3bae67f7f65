"""The layers of any network by name, and what one weight of each costs to compute."""

from collections.abc import Mapping, Sequence

from torch import nn

from ap3.errors import InvalidValueError
from ap3.pruning.network_layers import choose, full_names, layer_weights, patterns_of


def parameters(network: nn.Module, layers: str | Sequence[str] = "all") -> dict[str, str]:
    """Return the full name of the weight of every layer chosen, by the layer's name.

    A tied weight is one layer, under its first name.

    Parameters
    ----------
    network
        Any module.
    layers
        `all`, or names and patterns of the shell.

    Raises
    ------
    UserError
        If the network has no layer, or a pattern matches none or one twice.

    Examples
    --------
    >>> parameters(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    {'0': '0.weight', '2': '2.weight'}
    >>> parameters(nn.Sequential(nn.MultiheadAttention(4, 2)), "*in_proj*")
    {'0.in_proj_weight': '0.in_proj_weight'}
    """
    patterns = patterns_of(layers)
    chosen = choose(network, "", "all" if patterns in (["all"], ["*"]) else patterns)
    if not chosen:
        raise InvalidValueError(
            f"{type(network).__name__} has no layer: no parameter called weight of two dimensions or "
            "more; give a network whose parameters are registered."
        )
    full = full_names(network)
    return {layer: full[layer] for layer in chosen}


def sizes(network: nn.Module, names: Mapping[str, str]) -> dict[str, int]:
    """Count the weights of layers.

    Parameters
    ----------
    network
        Any module.
    names
        What `parameters` gave.
    """
    weights = layer_weights(network)
    return {layer: weights[layer].numel() for layer in names}
