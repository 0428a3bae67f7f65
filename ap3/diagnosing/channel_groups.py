"""Which layers share their channels, and so can lose them only together.

A channel that one layer puts out is read by the next, and where outputs are added, all of the added
layers must lose it. torch-pruning follows this through a network (Fang et al., DepGraph, CVPR 2023).
Each of its groups is tried: a third of the channels, drawn, is really removed from a copy. The group
is kept only if as many weights go as are set to zero, and the logits are those that zeros leave.
"""

import copy
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ap3.config.seeds import derive
from ap3.errors import InvalidValueError, MissingPackageError
from ap3.networks.batches import Batch
from ap3.networks.logits import call, evaluating, first_logits
from ap3.networks.replay import TRANSPOSED

_WIDE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *TRANSPOSED)
_TOLERANCE = 1e-3
"""Of what the removal does to the logits."""
_ROUNDING = 64
"""Units in the last place of the largest logit: what another order of sums may do."""
_PATIENCE = 60.0
"""Seconds for one look of torch-pruning at a network; some networks send it round in circles."""


@dataclass(frozen=True, eq=False)
class Part:
    """Where one parameter holds the channels of a group.

    Attributes
    ----------
    name
        Full name of the parameter.
    dimension
        Along which it holds them.
    places : array of shape (P,)
        Indices along that dimension.
    channels : array of shape (P,)
        The channel of the group at each of them; after a flattening, one channel has many places.
    """

    name: str
    dimension: int
    places: NDArray[np.int64]
    channels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can only be removed together.

    Attributes
    ----------
    makers
        Names of the layers that put the channels out, in the network's order.
    root
        The one by whose outputs channels are numbered.
    count
        How many channels.
    parts
        Where parameters hold them.
    """

    makers: tuple[str, ...]
    root: str
    count: int
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The first layer that puts the channels out, and how many more do."""
        more = len(self.makers) - 1
        return self.makers[0] + (f" + {more} coupled" if more else "")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Full names of the parameters that hold the channels."""
        return tuple(dict.fromkeys(part.name for part in self.parts))

    def gone(self, name: str, shape: torch.Size, channels: NDArray[np.int64]) -> Tensor:
        """Tell which weights of one parameter go with some channels.

        Parameters
        ----------
        name
            Of the parameter.
        shape
            Its shape.
        channels
            Those that are removed.

        Returns
        -------
        Tensor
            Of `shape`, bool.
        """
        found = torch.zeros(shape, dtype=torch.bool)
        for part in self.parts:
            if part.name == name:
                places = part.places[np.isin(part.channels, channels)]
                found.index_fill_(part.dimension, torch.from_numpy(places), True)
        return found

    def squares(self, parameters: Mapping[str, Tensor]) -> NDArray[np.float64]:
        """Sum the squares of all that each channel holds: what AP2 of removing it alone would be.

        Parameters
        ----------
        parameters
            Of the network, by full name.
        """
        sums = np.zeros(self.count)
        for name in self.names:
            squares = parameters[name].detach().double().cpu().square().numpy()
            mine = [part for part in self.parts if part.name == name]
            for part in mine:
                others = tuple(d for d in range(squares.ndim) if d != part.dimension)
                np.add.at(sums, part.channels, squares.sum(others)[part.places])
            if len(mine) == 2:  # a layer that reads the channels and puts them out: once is enough
                for channel in range(self.count):
                    rows, columns = (part.places[part.channels == channel] for part in mine)
                    if mine[0].dimension > mine[1].dimension:
                        rows, columns = columns, rows
                    sums[channel] -= squares[np.ix_(rows, columns)].sum()
        return sums


def channel_groups(network: nn.Module, batch: Batch) -> tuple[list[ChannelGroup], list[str]]:
    """Find the groups of coupled channels of a network, but for its outputs.

    The network itself is not touched; copies of it are traced, and pruned to prove each group.

    Parameters
    ----------
    network
        Any that autograd can trace.
    batch
        What it is traced with.

    Returns
    -------
    groups
        In the order of the network's modules.
    left_out
        Names of those whose removal is not proved to do what zeros do.

    Raises
    ------
    UserError
        If torch-pruning is not installed or cannot follow the network, or a layer's weights are
        computed from other tensors.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    >>> batch = Batch((torch.ones(2, 1, 4, 4),), {}, torch.tensor([0, 1]), 1)
    >>> [group], left_out = channel_groups(network, batch)
    >>> group.name, group.count, group.names
    ('0', 4, ('0.weight', '0.bias', '1.weight', '1.bias', '3.weight'))
    """
    _refuse_computed(network)
    with evaluating(network):
        before = first_logits(network, batch)
        found = _Traced(network, batch).groups()
        kept = [one for one in found if one.parts and _is_proved(network, batch, one, before)]
    return kept, [group.name for group in found if group not in kept]


def _refuse_computed(network: nn.Module) -> None:
    """Refuse layers whose weights are no parameters, such as normalised ones; a scan took no masks."""
    for path, module in network.named_modules():
        for name in ("weight", "bias") if isinstance(module, _WIDE) else ():
            if name not in module._parameters:
                raise InvalidValueError(
                    f"channels are removed from weights that are parameters, but the {name} of {path} is "
                    f"computed from other tensors; {_remedy(module, name)} first."
                )


def _remedy(module: nn.Module, name: str) -> str:
    """Say what makes a parameter again of what a module computes."""
    if is_parametrized(module, name):
        call = "parametrize.remove_parametrizations"
    elif f"{name}_g" in module._parameters:
        call = "remove_weight_norm"
    elif f"{name}_orig" in module._parameters:
        call = "remove_spectral_norm"
    else:
        return "make it a parameter"
    return f"call torch.nn.utils.{call}(module, {name!r}) on each such layer"


class _Traced:
    """A copy of a network, and the graph that torch-pruning made of it."""

    def __init__(self, network: nn.Module, batch: Batch) -> None:
        library = _torch_pruning()
        try:
            self.network = copy.deepcopy(network).requires_grad_()
            self.names = {module: name for name, module in self.network.named_modules()}
            self.first = {id(one): name for name, one in self.network.named_parameters()}
            with torch.enable_grad(), _quiet():
                self.graph = library.DependencyGraph().build_dependency(
                    self.network, batch.inputs, forward_fn=lambda model, _: call(model, batch)
                )
        except Exception as error:  # whatever the library meets in a stranger's network
            raise _lost(network, error) from error

    def groups(self) -> list[ChannelGroup]:
        """Return the groups that another layer reads; those without parts are not understood."""
        try:
            with _quiet():
                every = list(self.graph.get_all_groups())
        except Exception as error:
            raise _lost(self.network, error) from error
        found = [group for one in every if (group := self._group(one))]
        places = {name: place for place, name in enumerate(self.names.values())}
        return sorted(found, key=lambda group: places[group.makers[0]])

    def removed(self, group: ChannelGroup, channels: NDArray[np.int64]) -> nn.Module:
        """Remove channels of a group; returns the copy, which is smaller now."""
        root = self.network.get_submodule(group.root)
        prune = self.graph.get_pruner_of_module(root).prune_out_channels
        self.graph.get_pruning_group(root, prune, channels.tolist()).prune()
        return self.network

    def _group(self, found: Any) -> ChannelGroup | None:
        makers, parts, is_read, is_whole = list[str](), list[Part](), False, len(found[0].idxs) > 1
        for item in found:
            module = item.dep.target.module
            if module not in self.names:
                # An operation holds nothing; a parameter outside of all layers may hold anything.
                is_whole &= not isinstance(module, nn.Parameter)
                continue
            puts_out = self.graph.is_out_channel_pruning_fn(item.dep.handler)
            places, channels = (np.asarray(n, np.int64) for n in (item.idxs, item.root_idxs))
            dimensions = _dimensions(module, puts_out)
            is_whole &= dimensions is not None
            is_wide = isinstance(module, _WIDE)
            is_read |= is_wide and not puts_out
            if is_wide and puts_out:
                makers.append(self.names[module])
                is_whole &= len(set(item.idxs)) == self.graph.get_out_channels(module)
            own = dict(module.named_parameters(recurse=False))
            for parameter, dimension in (dimensions or {}).items():
                part = Part(self.first[id(own[parameter])], dimension, places, channels)
                parts.append(part)
        if not is_read or not makers:
            return None
        order = tuple(name for name in self.names.values() if name in makers)
        root = self.names[found[0].dep.target.module]
        return ChannelGroup(order, root, len(found[0].idxs), tuple(parts if is_whole else ()))


def _lost(network: nn.Module, error: Exception) -> InvalidValueError:
    said = str(error).partition("\n")[0]
    return InvalidValueError(
        f"torch-pruning cannot follow the channels of {type(network).__name__} "
        f"({type(error).__name__}: {said}); scan single weights."
    )


def _dimensions(module: nn.Module, puts_out: bool) -> dict[str, int] | None:
    """Say along which dimension each parameter of a layer holds channels; None if this is not known."""
    if isinstance(module, _WIDE):
        groups = getattr(module, "groups", 1)
        is_depthwise = groups > 1 and groups == module.out_channels == module.in_channels
        if groups > 1 and not is_depthwise:
            return None
        dimension = int(not puts_out) if not isinstance(module, TRANSPOSED) else int(puts_out)
        held = {"weight": 0 if is_depthwise else dimension}
        return held | (
            {"bias": 0} if (puts_out or is_depthwise) and module.bias is not None else {}
        )
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, nn.PReLU):
        return {}
    if all(parameter.ndim == 1 for parameter in own.values()) and not list(module.children()):
        return dict.fromkeys(own, 0)
    return None


def _is_proved(network: nn.Module, batch: Batch, group: ChannelGroup, before: Tensor) -> bool:
    """Tell whether a third of the channels, drawn, goes by zeros as by real removal."""
    drawn = np.random.default_rng(derive(0, group.name)).permutation(group.count)
    channels = np.sort(drawn[: max(1, group.count // 3)])
    changed = zeroed(network, group, channels)
    gone = sum(int(group.gone(name, one.shape, channels).sum()) for name, one in changed.items())
    copied = _Traced(network, batch)
    left = sum(one.numel() for one in copied.network.parameters()) - gone
    try:
        with _quiet():
            smaller = copied.removed(group, channels)
        with evaluating(smaller):
            removed = call(smaller, batch)
    except Exception:  # the library's removal left a network that does not run
        return False
    zeros = call(network, batch, changed)
    if removed.shape != zeros.shape or left != sum(one.numel() for one in smaller.parameters()):
        return False
    rounding = _ROUNDING * torch.finfo(zeros.dtype).eps * float(zeros.abs().max())
    effect = float((zeros - before).abs().max())
    return float((removed - zeros).abs().max()) <= max(rounding, _TOLERANCE * effect)


def zeroed(
    network: nn.Module, group: ChannelGroup, channels: NDArray[np.int64]
) -> dict[str, Tensor]:
    """Return the parameters of a group with some channels set to zero, by full name.

    Parameters
    ----------
    network
        That the group is of; not changed.
    group
        Of `channel_groups`.
    channels
        Those that go.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> batch = Batch((torch.ones(2, 1),), {}, torch.tensor([0, 1]), 1)
    >>> [group], _ = channel_groups(network, batch)
    >>> zeroed(network, group, np.array([1]))["2.weight"][:, 1]
    tensor([0., 0.])
    """
    found = {}
    for name in group.names:
        weight = network.get_parameter(name).detach()
        gone = group.gone(name, weight.shape, channels).to(weight.device)
        found[name] = weight.masked_fill(gone, 0)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's warnings back, since all is proved, and stop it where it does not end."""
    group, start = _torch_pruning().dependency.Group, time.monotonic()
    add = group.add_dep

    def add_in_time(*given: Any, **named: Any) -> None:
        if time.monotonic() - start > _PATIENCE:
            raise TimeoutError(f"no end after {_PATIENCE:.0f} seconds")
        add(*given, **named)

    try:
        group.add_dep = add_in_time
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        group.add_dep = add


def _torch_pruning() -> ModuleType:
    try:
        import torch_pruning
    except ImportError as error:
        raise MissingPackageError(
            "channels are scanned by way of torch-pruning, which is not installed; run "
            "pip install torch-pruning, or scan single weights."
        ) from error
    return torch_pruning
