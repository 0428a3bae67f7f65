"""Which layers of a network may be pruned, and which of them a study chooses.

A layer is a weight: a parameter of two or more dimensions, with a number in it at least, whose own
name holds `weight`, as linear and convolutional layers, embeddings and attention's projections have.
A weight that is tied, one tensor under several names, is one layer under its first name.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ap3.errors import InvalidTypeError, InvalidValueError

_SUFFIX = ".weight"


def full_names(model: nn.Module) -> dict[str, str]:
    """Return the name of every layer's weight among the parameters, by the layer's name.

    Examples
    --------
    >>> full_names(nn.MultiheadAttention(4, 2))
    {'in_proj_weight': 'in_proj_weight', 'out_proj': 'out_proj.weight'}
    """
    return {
        name.removesuffix(_SUFFIX): name
        for name, parameter in model.named_parameters()  # a tied one only by its first name
        if parameter.ndim >= 2 and parameter.numel() > 0 and "weight" in name.rpartition(".")[2]
    }


def layer_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return every layer's weight, by the layer's name, in the network's order.

    Examples
    --------
    >>> list(layer_weights(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(),
    ...                                  nn.Linear(4, 2))))
    ['0', '3']
    """
    return {layer: model.get_parameter(name) for layer, name in full_names(model).items()}


def tied_names(model: nn.Module) -> dict[str, str]:
    """Return the further names of tied weights, each with the name of the layer that it is.

    Examples
    --------
    >>> one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> two.weight = one.weight
    >>> tied_names(nn.Sequential(one, two))
    {'1': '0'}
    """
    first = {id(weight): name for name, weight in layer_weights(model).items()}
    return {
        name.removesuffix(_SUFFIX): first[id(parameter)]
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if id(parameter) in first and first[id(parameter)] != name.removesuffix(_SUFFIX)
    }


def patterns_of(layers: Any) -> list[str]:
    """Take names or patterns of layers as they are given: one, or several.

    Raises
    ------
    UserError
        If they are something else.

    Examples
    --------
    >>> patterns_of("fc"), patterns_of(("fc", "conv*"))
    (['fc'], ['fc', 'conv*'])
    """
    names = [layers] if isinstance(layers, str) else layers
    names = [*names] if isinstance(names, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise InvalidTypeError(
            f"layers must be names of layers, but is {layers!r}; give 'fc' or ['fc', 'conv*']."
        )
    return names


def choose(model: nn.Module, head: str, wanted: str | Sequence[str]) -> dict[str, nn.Parameter]:
    """Choose layers to prune.

    Parameters
    ----------
    model
        The network.
    head
        The name of its last layer.
    wanted
        `last`, `all`, or names and patterns of the shell (`features.*`, `*.mlp.[03]`).

    Returns
    -------
    dict
        The weights by the layers' names, in the network's order.

    Raises
    ------
    UserError
        If a pattern matches nothing, or a layer is named twice.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(choose(model, "2", "all")), list(choose(model, "2", "last")), list(choose(model, "2", ["0"]))
    (['0', '2'], ['2'], ['0'])
    """
    known = layer_weights(model)
    if wanted == "all":
        return known
    if wanted == "last":
        return {head: known[head]}
    others = tied_names(model)
    chosen: set[str] = set()
    for pattern in patterns_of(wanted):
        names = _matched(pattern, known, others)
        twice = chosen & names
        if twice:
            raise InvalidValueError(
                f"{pattern!r} of the layers to prune names {sorted(twice)[0]} once more; name each "
                "layer once (a tied weight is one layer)."
            )
        chosen |= names
    return {name: weight for name, weight in known.items() if name in chosen}


def _matched(pattern: str, known: Iterable[str], others: dict[str, str]) -> set[str]:
    names = {name for name in known if fnmatchcase(name, pattern)}
    names |= {first for name, first in others.items() if fnmatchcase(name, pattern)}
    if not names:
        listed = [*known]
        shown = ", ".join(listed[:6]) + (", …" if len(listed) > 6 else "")
        raise InvalidValueError(
            f"{pattern!r} of the layers to prune matches none of the network's: {shown}."
        )
    return names
