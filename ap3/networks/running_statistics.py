"""Normalise by running statistics in a way that has a derivative in them.

torch's own batch normalisation takes them for constants: forward mode drops their tangent, or refuses.
"""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.overrides import TorchFunctionMode

NAMES = ("running_mean", "running_var")
"""Last parts of the names of such buffers."""

_ESTIMATES: dict[object, str] = {F.batch_norm: "training", F.instance_norm: "use_input_stats"}
"""By which argument a normalisation takes the statistics of the batch at hand instead."""


class RunningStatistics(TorchFunctionMode):
    """Within the `with` block, BatchNorm and InstanceNorm in evaluation mode are their formula.

    Outputs are the same but for rounding.

    Examples
    --------
    >>> layer = torch.nn.BatchNorm1d(3).eval()
    >>> inputs = torch.randn(5, 3)
    >>> with RunningStatistics():
    ...     outputs = layer(inputs)
    >>> torch.allclose(outputs, layer(inputs), atol=1e-6)
    True
    """

    def __torch_function__(
        self,
        function: Callable[..., object],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        """Run `function`, or the formula in place of a normalisation by running statistics."""
        if function in _ESTIMATES:
            given = signature(function).bind(*args, **(kwargs or {}))
            given.apply_defaults()
            names = ("input", "running_mean", "running_var", "weight", "bias", "eps")
            estimates, *rest = (given.arguments[name] for name in (_ESTIMATES[function], *names))
            if not estimates:
                return _normalised(*rest)
        return function(*args, **(kwargs or {}))


def _normalised(
    inputs: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """(x − mean) ÷ √(variance + ε) × weight + bias, channel by channel."""
    scale = torch.rsqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    channels = (1, -1) + (1,) * (inputs.ndim - 2)
    return inputs * scale.reshape(channels) + shift.reshape(channels)
