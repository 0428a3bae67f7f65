"""How much farther apart a network's module can move two points, and how far pruning moves it.

Dense layers are decomposed where they are not too large; a convolution's norm is that of the map of
whole images, at their true size, by products with the convolution and its transpose. Batch
normalisation with fixed statistics is a diagonal map. A module of no known slope is refused.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector
from ap3.measuring.operator_norm import matrix_norm, operator_norm

_CONTRACTIONS = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.ReLU,
    nn.ReLU6,
    nn.Tanh,
    nn.Hardtanh,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.LogSigmoid,
)
"""Modules that move no two points farther apart, when a network is evaluated."""


@dataclass(frozen=True)
class ModuleNorms:
    """A module and its pruned version, in numbers that are right or too large.

    Attributes
    ----------
    norm
        How much farther apart the pruned module can move two points: the spectral norm of its
        weights, or its slope.
    change
        Spectral norm of the change of its weights; 0 where it has none.
    bias_change
        Norm of the change of its bias, over all that it puts out.
    """

    norm: float
    change: float = 0.0
    bias_change: float = 0.0


@torch.no_grad()
def norms_of(
    name: str,
    one: nn.Module,
    two: nn.Module,
    inputs: torch.Size,
    outputs: torch.Size,
    lanczos_steps: int,
) -> ModuleNorms:
    """Measure a module and its pruned version.

    Parameters
    ----------
    name
        The module's, for what is said of it.
    one, two
        The module before and after.
    inputs, outputs
        Shapes of what one example is to it, and of what it makes of it.
    lanczos_steps
        For every convolution and large dense layer, and its change.

    Raises
    ------
    UserError
        If the two are of different kinds, or no slope is known of them.

    Examples
    --------
    >>> one, two = nn.ReLU(), nn.ReLU()
    >>> norms_of("relu", one, two, torch.Size([3]), torch.Size([3]), 100)
    ModuleNorms(norm=1.0, change=0.0, bias_change=0.0)
    """
    if type(one) is not type(two):
        raise InvalidValueError(
            f"{name} is a {type(one).__name__} in one network and a {type(two).__name__} in the "
            "other; compare a network with its own pruned version."
        )
    count = int(np.prod(outputs))
    if isinstance(one, nn.Linear | nn.Conv1d | nn.Conv2d) and isinstance(two, type(one)):
        before, after = one.weight.double(), two.weight.double()
        norm, change = (
            _linear_norm(name, two, weight, inputs, lanczos_steps)
            for weight in (after, after - before)
        )
        return ModuleNorms(norm, change, _shift(one.bias, two.bias, count))
    if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d) and isinstance(two, type(one)):
        (scale, shift), (scale2, shift2) = (_affine(name, module) for module in (one, two))
        change = float((scale2 - scale).abs().max())
        return ModuleNorms(float(scale2.abs().max()), change, _shift(shift, shift2, count))
    return ModuleNorms(_slope(name, two, inputs, outputs))


def _shift(one: Tensor | None, two: Tensor | None, count: int) -> float:
    """‖Δb‖ over `count` outputs, a number for each channel at every place."""
    if one is None or two is None:
        return 0.0
    return float((two.double() - one.double()).norm()) * (count // len(one)) ** 0.5


def _linear_norm(
    name: str, module: nn.Module, weight: Tensor, inputs: torch.Size, steps: int
) -> float:
    if not weight.any():
        return 0.0
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return _convolution_norm(name, module, weight, inputs, steps)
    return matrix_norm(weight.numpy(), steps).upper


def _convolution_norm(
    name: str, module: nn.Conv1d | nn.Conv2d, weight: Tensor, inputs: torch.Size, steps: int
) -> float:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise InvalidValueError(
            f"{name} pads with {module.padding_mode}, {module.padding}, but the norm of a "
            "convolution is known only for numbers of zeros; the bound through the layers cannot be "
            "made."
        )
    convolve, transpose = (
        (functional.conv1d, functional.conv_transpose1d)
        if isinstance(module, nn.Conv1d)
        else (functional.conv2d, functional.conv_transpose2d)
    )
    stride, padding, dilation = module.stride, module.padding, module.dilation
    # Pixels at the far edge that no window reaches.
    spans = zip(inputs[1:], weight.shape[2:], stride, padding, dilation, strict=True)
    rest = tuple((n + 2 * p - d * (k - 1) - 1) % s for n, k, s, p, d in spans)

    def gram(vector: Vector) -> Vector:
        image = torch.from_numpy(vector).reshape(1, *inputs)
        out = convolve(image, weight, None, stride, padding, dilation, module.groups)
        back = transpose(out, weight, None, stride, padding, rest, module.groups, dilation)
        return np.asarray(back.reshape(-1).numpy())

    return operator_norm(gram, int(np.prod(inputs)), steps).upper


def _affine(name: str, module: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift of batch normalisation with its running statistics."""
    if module.running_mean is None or module.running_var is None:
        raise InvalidValueError(
            f"{name} has no running statistics and depends on the batch; the bound through the "
            "layers cannot be made."
        )
    scale = (module.running_var.double() + module.eps).rsqrt()
    scale = scale * (1.0 if module.weight is None else module.weight.double())
    shift = -module.running_mean.double() * scale
    return scale, shift + (0.0 if module.bias is None else module.bias.double())


def _slope(name: str, module: nn.Module, inputs: torch.Size, outputs: torch.Size) -> float:
    """How much farther apart a module without weights can move two points."""
    if isinstance(module, _CONTRACTIONS):
        return 1.0
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope))
    if isinstance(module, nn.ELU):
        return max(1.0, abs(module.alpha))
    if isinstance(module, nn.MaxPool2d):
        return _max_pool(module)
    if isinstance(module, nn.AvgPool2d):
        return _average_pool(name, module, inputs)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        sizes = zip(inputs[-2:], outputs[-2:], strict=True)
        rows = [functional.adaptive_avg_pool1d(_units(n), m) for n, m in sizes]
        return _product_norm(rows)
    raise InvalidValueError(
        f"{name} is a {type(module).__name__}, of which no slope is known; the bound through the "
        "layers needs dense layers, convolutions, poolings, and activations of slope 1 at most."
    )


def _max_pool(module: nn.MaxPool2d) -> float:
    """√m, m the number of windows that share a pixel: a maximum moves no more than its window."""
    windows = 1
    for axis in range(2):
        size, stride, dilation = (
            _along(value, axis) for value in (module.kernel_size, module.stride, module.dilation)
        )
        windows *= size if dilation > 1 else -(-size // stride)
    return float(windows**0.5)


def _average_pool(name: str, module: nn.AvgPool2d, inputs: torch.Size) -> float:
    if module.divisor_override:
        raise InvalidValueError(
            f"{name} divides by {module.divisor_override} and not by the size of its window; the "
            "bound through the layers cannot be made."
        )
    rows = []
    for axis, length in enumerate(inputs[-2:]):
        size, stride, padding = (
            _along(value, axis) for value in (module.kernel_size, module.stride, module.padding)
        )
        options = module.ceil_mode, module.count_include_pad
        rows.append(functional.avg_pool1d(_units(length), size, stride, padding, *options))
    return _product_norm(rows)


def _product_norm(rows: list[Tensor]) -> float:
    """Norm of averaging along two axes, one after the other: the product of both."""
    return float(np.prod([matrix_norm(averaged[:, 0].numpy()).upper for averaged in rows]))


def _units(length: int) -> Tensor:
    return torch.eye(length, dtype=torch.float64)[:, None]


def _along(value: int | tuple[int, ...], axis: int) -> int:
    return value if isinstance(value, int) else value[axis]
