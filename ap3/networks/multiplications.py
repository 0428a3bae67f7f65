"""How often the weights of a network are multiplied, read off the operations that take them.

A run is watched below all modules, where there are matrix products and convolutions only. So it does
not matter which module holds a weight, how often it is called and how its output is laid out; and of
attention's joint projection every part counts by its own tokens.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ap3.networks.batches import Batch
from ap3.networks.first_order import NO_MEMORY
from ap3.networks.logits import call

_LEFT_FACTOR: Mapping[str, int] = {
    "aten::mm": 0,
    "aten::bmm": 0,
    "aten::mv": 0,
    "aten::_grouped_mm": 0,
    "aten::addmm": 1,
    "aten::addmv": 1,
    "aten::baddbmm": 1,
}
"""Which argument of a matrix product holds the elements that one output is a sum over, last."""

_LOOK_UPS = ("aten::embedding", "aten::_embedding_bag", "aten::_embedding_bag_forward_only")


def multiplications(network: nn.Module, batch: Batch) -> dict[int, float]:
    """Count the multiplications of every parameter over one batch, by its `id`.

    A parameter that is only looked up in, or not touched, has 0. One that no product takes as it is,
    such as the masked or normalised weight's, or that shares memory with another, is left out.

    Parameters
    ----------
    network
        In evaluation mode.
    batch
        What it sees.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3, bias=False))
    >>> batch = Batch((torch.ones(5, 2),), {}, torch.zeros(5), 1)
    >>> multiplications(network, batch)[id(network[0].weight)]
    30.0
    """
    try:
        with torch.no_grad(), _Watch(network) as watch:
            call(network, batch)
    except NO_MEMORY:
        raise
    except Exception:  # what is compiled, or of another kind of tensor, may not be watched
        return {}
    if not watch.touched:
        return {}
    return {
        id(parameter): watch.counts[id(parameter)]
        for parameter in network.parameters()
        if id(parameter) not in watch.shared
        and (id(parameter) in watch.counts or id(parameter) not in watch.touched)
    }


class _Watch(TorchDispatchMode):
    """Sees every operation of a run, and which parameters it takes, whole or in part."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.counts: dict[int, float] = defaultdict(float)
        self.touched: set[int] = set()
        # A view begins within what it views, and nothing else does while that is held.
        self._spans = sorted(
            (parameter.data_ptr(), parameter.numel() * parameter.element_size(), id(parameter))
            for parameter in network.parameters()
        )
        # Of two parameters in one memory nobody can tell which an operation takes.
        self.shared = {
            key
            for one, other in pairwise(self._spans)
            if one[1] and other[0] < one[0] + one[1]
            for key in (one[2], other[2])
        }

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count what it multiplies."""
        output = func(*args, **(kwargs or {}))
        tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
        mine = {key for key in map(self._parameter, tensors) if key is not None}
        self.touched |= mine
        count = _count(func.name().split(".")[0], args, output) if mine else None
        if count is not None:
            for key in mine:
                self.counts[key] += count
        return output

    def _parameter(self, tensor: Tensor) -> int | None:
        """Return the `id` of the parameter that a tensor is, or is a part of."""
        start = tensor.data_ptr() if tensor.layout == torch.strided else 0
        place = bisect_right(self._spans, start, key=lambda span: span[0]) - 1
        if start == 0 or place < 0:
            return None
        begin, size, key = self._spans[place]
        return key if start < begin + size else None


def _count(operation: str, args: tuple[Any, ...], output: Any) -> float | None:
    """Count the multiplications of an operation; None if it is no product."""
    if operation in _LOOK_UPS:
        return 0.0
    if operation in _LEFT_FACTOR:
        return float(output.numel() * args[_LEFT_FACTOR[operation]].shape[-1])
    if operation == "aten::convolution":
        inputs, weight, is_transposed = args[0], args[1], args[6]
        places = (inputs if is_transposed else output).shape[2:]
        return float(weight.numel() * len(inputs) * prod(places))
    return None
