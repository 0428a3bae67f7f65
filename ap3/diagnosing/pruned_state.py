"""The state of a pruned network beside that of its baseline, in whichever way it is given."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.files import state_dicts
from ap3.files.safe_names import listed

Pruned = nn.Module | Mapping[str, Any] | str | PathLike[str]
"""A module, a state dict, or the path of a checkpoint."""


def changes(
    network: nn.Module, pruned: Pruned, whose: str = "pruned network"
) -> tuple[dict[str, Tensor], list[str]]:
    """Return what differs in a pruned network: parameters and buffers by their names in `network`.

    Masks beside weights are multiplied in, prefixes taken off, and tied weights given once.

    Parameters
    ----------
    network
        The baseline.
    pruned
        A network of the same shapes.
    whose
        What a sentence calls it.

    Returns
    -------
    tuple
        The tensors, on the network's device and in its types, and sentences on what was done.

    Raises
    ------
    UserError
        If a tensor is missing, has another shape, or is not finite.
    """
    state = _state(pruned, whose)
    found: dict[str, Tensor] = {}
    missing = []
    for names, tensor in _tensors(network):
        name = next((name for name in names if name in state), None)
        if name is None:
            missing.append(names[0])
            continue
        value = _like(tensor, state[name], names[0], whose)
        if not torch.equal(value, tensor):
            found[names[0]] = value
    if missing:
        raise InvalidValueError(
            f"the {whose} lacks {listed(missing)}; give the whole state of the same "
            "architecture (what was removed as zeros; `ap3.compare` takes networks that became "
            "smaller)."
        )
    return found, [f"{whose}: {remark}" for remark in state.remarks]


def load(network: nn.Module, checkpoint: Pruned, whose: str = "checkpoint") -> list[str]:
    """Give a network the weights of a checkpoint; returns sentences on what was done to read them.

    Parameters
    ----------
    network
        Of the checkpoint's architecture.
    checkpoint
        In any way that `changes` takes.
    whose
        What a sentence calls it.

    Raises
    ------
    UserError
        As `changes`.
    """
    found, remarks = changes(network, checkpoint, whose)
    held = dict(network.named_parameters()) | dict(network.named_buffers())
    with torch.no_grad():
        for name, tensor in found.items():
            held[name].copy_(tensor)
    return remarks


def _state(pruned: Pruned, whose: str) -> Any:
    if isinstance(pruned, nn.Module):
        pruned = pruned.state_dict()
    if isinstance(pruned, str | PathLike):
        return state_dicts.plain(state_dicts.read(pruned))
    if isinstance(pruned, Mapping):
        return state_dicts.plain(state_dicts.of_content(pruned, f"the {whose}"))
    raise InvalidTypeError(
        f"the {whose} must be a module, a state dict or the path of a checkpoint, but is a "
        f"{type(pruned).__name__}; give pruned.state_dict()."
    )


def _tensors(network: nn.Module) -> list[tuple[list[str], Tensor]]:
    """List what a network's state holds, each tensor once, with all of its names."""
    stored = set(network.state_dict())
    found: dict[int, tuple[list[str], Tensor]] = {}
    tensors: list[tuple[str, Tensor]] = [*network.named_parameters(remove_duplicate=False)]
    tensors += network.named_buffers(remove_duplicate=False)
    for name, tensor in tensors:
        if name in stored:
            found.setdefault(id(tensor), ([], tensor.detach()))[0].append(name)
    return list(found.values())


def _like(tensor: Tensor, given: Any, name: str, whose: str) -> Tensor:
    value = torch.as_tensor(given).detach()
    if value.layout != torch.strided:
        value = value.to_dense()
    if value.shape != tensor.shape:
        raise InvalidValueError(
            f"{name} has shape {tuple(value.shape)} in the {whose} and {tuple(tensor.shape)} in "
            "the network that it is run in; give one of the same architecture, with zeros where something was "
            "removed."
        )
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise InvalidValueError(
            f"{name} of the {whose} must be finite, but holds NaN or infinity; look for a "
            "diverged training or a damaged file."
        )
    return value.to(tensor.device, tensor.dtype)
