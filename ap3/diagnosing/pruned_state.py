"""The state of a pruned network beside that of its baseline, in whichever way it is given."""

from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from ap3.errors import InvalidTypeError, InvalidValueError
from ap3.files import state_dicts
from ap3.files.lazy_tensors import StateDict
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
        If a tensor is missing or too many, has another shape, or is not finite; if a tied weight is
        no longer one; or if the network itself carries masks of `torch.nn.utils.prune`.
    """
    refuse_masks(network)
    own = network.state_dict().keys()
    state, said = _state(pruned, own, whose)
    holders = {path for path, module in network.named_modules() if hasattr(module, "weight")}
    holders |= (
        {name.rpartition(".")[0] for name in state} if isinstance(pruned, nn.Module) else set()
    )
    found: dict[str, Tensor] = {}
    missing, known = [], set[str]()
    for names, tensor in _tensors(network):
        given = [name for name in names if name in state]
        if not given:
            missing.append(names[0])
            continue
        known.update(given)
        value = _one(tensor, state, given, whose)
        if not torch.equal(value, tensor):
            found[names[0]] = value
    if missing:
        raise InvalidValueError(
            f"the {whose} lacks {listed(missing)}; give the whole state of the same "
            "architecture (what was removed as zeros; `ap3.compare` takes networks that became "
            "smaller)."
        )
    said = [*said, *_left_over(state, known | own, holders, whose)]
    return found, [f"{whose}: {remark}" for remark in said]


def refuse_masks(network: nn.Module) -> None:
    """Refuse a network whose weights are made by masks at every call.

    Parameters
    ----------
    network
        To be measured or changed.

    Raises
    ------
    UserError
        If it is no module, or `torch.nn.utils.prune` hangs on one of its modules.
    """
    if not isinstance(network, nn.Module):
        raise InvalidTypeError(
            f"the network must be a torch module, not {type(network).__name__}; build the architecture "
            "and load the weights into it."
        )
    for path, module in network.named_modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, prune.BasePruningMethod):
                name = hook._tensor_name
                raise InvalidValueError(
                    f"the {name} of {path or 'the network'} is computed from a mask at every call, so that "
                    f"its parameter is not what is in use; call torch.nn.utils.prune.remove(module, {name!r}) "
                    "on each such layer of a copy first."
                )


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


def _state(pruned: Pruned, own: Collection[str], whose: str) -> tuple[StateDict, list[str]]:
    """Read a state, and say what was done; with the network's own names it is taken as it is."""
    if isinstance(pruned, nn.Module):
        pruned = pruned.state_dict()
    if isinstance(pruned, str | PathLike):
        state = state_dicts.read(pruned)
    elif isinstance(pruned, Mapping):
        state = state_dicts.of_content(pruned, f"the {whose}")
    else:
        raise InvalidTypeError(
            f"the {whose} must be a module, a state dict or the path of a checkpoint, but is "
            f"{type(pruned).__name__}; give pruned.state_dict()."
        )
    plain = state_dicts.plain(state)
    if set(state) != set(own):
        return plain, [*plain.remarks]
    masks = [name for name in state if name not in plain and "mask" in name.rpartition(".")[2]]
    if not masks:
        return state, [*state.remarks]
    remark = (
        f"sparsity, AP2 and AP3 are of weights before {listed(masks)}, which the network applies."
    )
    return state, [*state.remarks, remark]


def _one(tensor: Tensor, state: StateDict, names: list[str], whose: str) -> Tensor:
    """Take a tensor that the state may hold under several names: the most precise, if all agree."""
    given = {name: _values(state, name) for name in names}
    finest = min(names, key=lambda name: _rounding(given[name]))
    for name in set(names) - {finest}:
        coarse = max(given[finest], given[name], key=_rounding).dtype
        if not torch.equal(given[finest].to(coarse), given[name].to(coarse)):
            first, second = sorted((finest, name), key=names.index)
            raise InvalidValueError(
                f"{first} and {second} are one tensor of the network, but differ in the {whose}: pruning "
                "one of them untied them; give a network in which they are two, by layer.weight = "
                "nn.Parameter(layer.weight.detach().clone()) of one of them."
            )
    return _like(tensor, given[finest], names[0], whose)


def _rounding(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).eps if tensor.is_floating_point() else 0.0


def _left_over(
    state: StateDict, known: Collection[str], holders: Collection[str], whose: str
) -> list[str]:
    """Refuse weights that the state gives to layers of the network, and name what else it has."""
    left = [name for name in state if name not in known]
    weights = [name for name in left if _is_of(holders, name) and bool(_values(state, name).any())]
    if weights:
        raise InvalidValueError(
            f"the {whose} has {listed(weights)}, which the network lacks; give two networks of the same "
            "architecture: where pruning added a bias, the first with a bias of zeros."
        )
    # BatchNorm counts batches there, which no output depends on.
    left = [name for name in left if not name.endswith("num_batches_tracked")]
    return [f"{listed(left)}, which the network lacks, was left out."] if left else []


def _is_of(holders: Collection[str], name: str) -> bool:
    layer, _, last = name.rpartition(".")
    return last in ("weight", "bias") and layer in holders


def _values(state: StateDict, name: str) -> Tensor:
    value = torch.as_tensor(state[name]).detach()
    return value if value.layout == torch.strided else value.to_dense()


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


def _like(tensor: Tensor, value: Tensor, name: str, whose: str) -> Tensor:
    if value.shape != tensor.shape:
        raise InvalidValueError(
            f"{name} has shape {tuple(value.shape)} in the {whose} and {tuple(tensor.shape)} in "
            "the network that it is run in; give one of the same architecture, with zeros where something was "
            "removed."
        )
    if tensor.is_floating_point() and not (value.is_floating_point() or value.is_complex()):
        raise InvalidValueError(
            f"{name} of the {whose} holds {str(value.dtype).removeprefix('torch.')}, no real numbers as the "
            "network does; give the weights that its codes stand for."
        )
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise InvalidValueError(
            f"{name} of the {whose} must be finite, but holds NaN or infinity; look for a "
            "diverged training or a damaged file."
        )
    held = value.to(tensor.device, tensor.dtype)
    if held.is_floating_point() and not bool(held.isfinite().all()):
        raise InvalidValueError(
            f"{name} of the {whose} is beyond the range of {tensor.dtype}, the network's type; give the "
            "network as float32."
        )
    return held
