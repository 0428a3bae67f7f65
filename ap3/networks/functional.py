"""Call a network with other weights, whatever names its modules and weights go by.

`torch.func.functional_call` loses the weights of a module that is registered under two names: it
swaps them in twice, and puts the second pair back. Here each place that holds a tensor is named once.
"""

from collections.abc import Mapping
from typing import Any

import torch.func
from torch import Tensor, nn


def functional_call(
    network: nn.Module,
    changed: Mapping[str, Tensor],
    arguments: Any,
    named: Mapping[str, Any] | None = None,
) -> Any:
    """Call a network, with tensors in the places of its parameters and buffers for this call.

    Parameters
    ----------
    network
        As it was afterwards.
    changed
        Tensors by the full name of what they stand for; a tied weight goes by any of its names.
    arguments, named
        Of the network.

    Examples
    --------
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> network = nn.Sequential(layer, layer)
    >>> functional_call(network, {"0.weight": torch.tensor([[3.0]])}, (torch.ones(1, 1),)).item()
    9.0
    >>> network[0].weight is layer.weight
    True
    """
    places = _places(network, changed) if changed else {}
    return torch.func.functional_call(
        network, places, arguments, dict(named or {}), tie_weights=False
    )


def _places(network: nn.Module, changed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each place that holds a changed tensor one name."""
    named: dict[str, Tensor] = {
        **dict(network.named_parameters(remove_duplicate=False)),
        **dict(network.named_buffers(remove_duplicate=False)),
    }
    wanted = {id(named[name]): tensor for name, tensor in changed.items()}
    found = {}
    for prefix, module in network.named_modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if id(tensor) in wanted:
                    found[f"{prefix}.{name}" if prefix else name] = wanted[id(tensor)]
    return found
