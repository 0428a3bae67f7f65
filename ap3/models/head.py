"""The last linear layer of a network: found by what it does, whatever it is called."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ap3.errors import InvalidTypeError, InvalidValueError


@torch.no_grad()
def find_head(model: nn.Module, image_size: int) -> str:
    """Name the linear layer whose output is the network's output.

    One image of zeros, (1, 3, image_size, image_size), is sent through the network.

    Raises
    ------
    UserError
        If no linear layer gives the output, as it left the layer; the sentence lists the linear
        layers there are.

    Examples
    --------
    >>> find_head(nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)), 2)
    '3'
    """
    linear = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    # An output and how often it had been written to when it left its layer.
    outputs: dict[str, tuple[Tensor, int]] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs.update(
                {name: (output, output._version)}
            )
        )
        for name, module in linear.items()
    ]
    training = model.training
    device = next(model.parameters(), torch.empty(0)).device
    try:
        final = model.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if not isinstance(final, Tensor):
        raise InvalidTypeError(
            f"{type(model).__name__} returns {type(final).__name__}, but must return one tensor, a "
            "number for each class."
        )
    for name, (output, version) in reversed(outputs.items()):
        if _is_untouched(output, version, final):
            return name
    raise InvalidValueError(
        f"{type(model).__name__} does not end in a linear layer, and only a last linear layer can "
        f"be pruned; its linear layers are: {', '.join(linear) or 'none'}."
    )


def _is_untouched(output: Tensor, version: int, final: Tensor) -> bool:
    """Tell whether `final` is all classes of a layer's `output`, not written to since."""
    return (
        output.data_ptr() == final.data_ptr()
        and output._version == version
        and output.shape[-1] == final.shape[-1]
    )


def fit_head(model: nn.Module, name: str, classes: int) -> None:
    """Give the last layer, called `name`, one output per class and a bias.

    A layer with other outputs is replaced by a new one; one without a bias gets one of zeros, which
    changes no output.

    Raises
    ------
    UserError
        If the layer computes its weight from other parameters.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 1000))
    >>> fit_head(model, "1", 10)
    >>> model[1]
    Linear(in_features=12, out_features=10, bias=True)
    """
    head = linear(model, name)
    if head.out_features != classes:
        head = nn.Linear(head.in_features, classes)
        replace_head(model, name, head)
    parameters = {own for own, _ in head.named_parameters()}
    if not parameters <= {"weight", "bias"}:
        raise InvalidValueError(
            f"the last linear layer of {type(model).__name__}, {name}, has the parameters "
            f"{', '.join(sorted(parameters))}, but must have a weight and a bias of its own to be "
            "pruned; take its parametrization off."
        )
    if head.bias is None:
        head.bias = nn.Parameter(head.weight.new_zeros(classes))


def linear(model: nn.Module, name: str) -> nn.Linear:
    """Return the linear layer of `model` that is called `name`.

    Raises
    ------
    UserError
        If what has this name is another kind of layer.
    """
    layer = model.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise InvalidTypeError(
            f"{name} of {type(model).__name__} is a {type(layer).__name__}, but a linear layer is "
            "expected; give the name of one."
        )
    return layer


def replace_head(model: nn.Module, name: str, head: nn.Module) -> None:
    """Put `head` in the place of the layer called `name`."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, head)


@contextmanager
def without_head(model: nn.Module, name: str) -> Iterator[nn.Module]:
    """Lend the frozen trunk: within the `with` block `model` returns what its last layer sees."""
    head = model.get_submodule(name)
    replace_head(model, name, nn.Identity())
    try:
        yield model
    finally:
        replace_head(model, name, head)
