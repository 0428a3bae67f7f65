"""How far every layer of a network has moved, where all of them are fine-tuned."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def layer_distances(baseline: nn.Module, tuned: nn.Module) -> list[dict[str, Any]]:
    """AP2 of every layer's weights, tensors of two or more dimensions, in the network's order.

    `ap3.ap2` says the same of arrays; here the tensors stay on their device.

    Returns
    -------
    list of dict
        `layer`, `depth` (from 1), `weights` (how many), `norm2` (‖ω‖²) and `ap2`.

    Examples
    --------
    >>> one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> _ = nn.init.ones_(one.weight), nn.init.zeros_(two.weight)
    >>> layer_distances(one, two)
    [{'layer': 'weight', 'depth': 1, 'weights': 4, 'norm2': 4.0, 'ap2': 4.0}]
    """
    others = dict(tuned.named_parameters())
    return [
        {
            "layer": name.removesuffix(".weight"),
            "depth": depth,
            "weights": weight.numel(),
            "norm2": _norm2(weight.double()),
            "ap2": _norm2(others[name].double() - weight.double()),
        }
        for depth, (name, weight) in enumerate(_weights(baseline), start=1)
    ]


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "weight" in name.rpartition(".")[2]:
            yield name, parameter


def _norm2(values: Tensor) -> float:
    return values.square().sum().item()
