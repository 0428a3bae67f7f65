"""The last linear layer of a network: found by what it does, whatever it is called."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ap3.errors import UserError


@torch.no_grad()
def find_head(model: nn.Module, image_size: int) -> str:
    """Name the linear layer whose output is the network's output.

    One image of zeros, (1, 3, image_size, image_size), is sent through the network.

    Raises
    ------
    UserError
        If no linear layer gives the output; the sentence lists the linear layers there are.

    Examples
    --------
    >>> find_head(nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)), 2)
    '3'
    """
    linear = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    outputs: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs.update({name: output})
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
    for name in reversed(list(outputs)):
        if isinstance(final, Tensor) and outputs[name].data_ptr() == final.data_ptr():
            return name
    raise UserError(
        f"{type(model).__name__} does not end in a linear layer, and only a last linear layer can "
        f"be pruned; its linear layers are: {', '.join(linear) or 'none'}."
    )


def fit_head(model: nn.Module, name: str, classes: int) -> None:
    """Give the last layer, called `name`, one output per class: a new layer if it has others.

    Raises
    ------
    UserError
        If the layer has no bias.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 1000))
    >>> fit_head(model, "1", 10)
    >>> model[1]
    Linear(in_features=12, out_features=10, bias=True)
    """
    head = linear(model, name)
    if head.bias is None:
        raise UserError(
            f"the last linear layer of {type(model).__name__}, {name}, has no bias, which "
            "fine-tuning needs; give it one (bias=True), or choose another network."
        )
    if head.out_features != classes:
        replace_head(model, name, nn.Linear(head.in_features, classes))


def linear(model: nn.Module, name: str) -> nn.Linear:
    """Return the linear layer of `model` that is called `name`.

    Raises
    ------
    UserError
        If what has this name is another kind of layer.
    """
    layer = model.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise UserError(
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
