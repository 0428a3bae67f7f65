"""Networks as they are given: modules, state dicts, files; and the pruned versions of one baseline."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from ap3.errors import InvalidFileError, InvalidTypeError, InvalidValueError
from ap3.files import state_dicts, storage
from ap3.files.lazy_tensors import Entry, StateDict
from ap3.pruning.pruned import Origin, Pruned, PrunedLayer, read_unpruned

Network = Mapping[str, Any] | str | PathLike[str] | Any
"""A module, a state dict, or the path of a checkpoint."""


@dataclass(frozen=True)
class Version:
    """A pruned network.

    Attributes
    ----------
    name
        What to call it among several; empty where it is alone.
    state
        Its weights.
    only
        Tensors of the baseline that it says something about; None for all of them.
    """

    name: str
    state: StateDict
    only: frozenset[str] | None = None


def network_of(network: Network, whose: str) -> StateDict:
    """Take a network's weights, in whichever of the ways it is given.

    Parameters
    ----------
    network
        A module, a state dict, or a path.
    whose
        What to call it in a refusal.

    Raises
    ------
    UserError
        If it is something else, or a file that holds no network.
    """
    if hasattr(network, "state_dict") and callable(network.state_dict):
        network = network.state_dict()
    if isinstance(network, str | PathLike):
        if _variants(network):
            raise InvalidFileError(
                f"{network} holds pruned variants of a network and no baseline; give it second, "
                "behind the checkpoint that ap3 baseline wrote."
            )
        return state_dicts.plain(state_dicts.read(network))
    if isinstance(network, Mapping):
        return state_dicts.plain(state_dicts.of_content(network, f"the {whose}"))
    raise InvalidTypeError(
        f"the {whose} must be a module, a state dict or the path of a checkpoint, but is "
        f"{type(network).__name__}; give network.state_dict()."
    )


def versions_of(pruned: Network | list[Network], baseline: Network) -> list[Version]:
    """Take the pruned versions of a baseline: one, a list of them, or a file of ap3 with many.

    Parameters
    ----------
    pruned
        What is given.
    baseline
        What they were pruned from.

    Raises
    ------
    UserError
        If there is none, or one is no network.
    """
    several = list(pruned) if isinstance(pruned, list | tuple) else [pruned]
    if not several:
        raise InvalidValueError("no pruned network is given; give one at least.")
    found: list[Version] = []
    for name, network in zip(_names(several), several, strict=True):
        if isinstance(network, str | PathLike) and _variants(network):
            variants = _of_variants(Path(network), _origin(baseline))
            before = f"{name} " if len(several) > 1 else ""
            found += [Version(before + each.name, each.state, each.only) for each in variants]
        else:
            state = network_of(network, "pruned network")
            is_alone = not isinstance(pruned, list | tuple)
            found.append(Version("" if is_alone else name, state))
    return found


def _names(networks: list[Network]) -> list[str]:
    """Name each: a file by its last part, or its path where that is not enough; others by number."""
    texts = [str(n) if isinstance(n, str | PathLike) else "" for n in networks]
    ends = [Path(text).name for text in texts]
    counts = Counter(ends)
    names = [
        (end if end and counts[end] == 1 else text) or f"version {number}"
        for number, (text, end) in enumerate(zip(texts, ends, strict=True), start=1)
    ]
    times = Counter(names)
    return [n if times[n] == 1 else f"{n} ({i})" for i, n in enumerate(names, start=1)]


def _variants(path: str | PathLike[str]) -> bool:
    """Tell by its header whether a file is one of `ap3 prune` or `ap3 finetune`."""
    if not Path(path).is_file() or not storage.is_ours(Path(path)):
        return False
    _, about = storage.load(Path(path), only=())
    return "variants" in about


def _origin(baseline: Network) -> Origin | None:
    """Tell which baseline of a study is given, if it is one."""
    if not isinstance(baseline, str | PathLike) or not Path(baseline).is_file():
        return None
    if not storage.is_ours(Path(baseline)):
        return None
    return read_unpruned(Path(baseline), []).origin


def _of_variants(path: Path, origin: Origin | None) -> list[Version]:
    """Take the variants of a study; of fine-tuned ones the state of the last epoch."""
    pruned = Pruned(path, origin)
    versions = []
    for name, network in pruned.items():
        entries: dict[str, Entry] = {}
        remarks: tuple[str, ...] = ()
        for layer, what in network.layers.items():
            last = _last(what)
            entries[f"{layer}.weight"] = Entry(last.shape, partial(_same, last), str(last.dtype))
            epochs = len(what.weight) - 1 if what.weight.ndim > what.mask.ndim else 0
            remarks = (f"its layers are those of epoch {epochs}, the last.",) if epochs else ()
        versions.append(Version(name, StateDict(entries, remarks), frozenset(entries)))
    return versions


def _last(layer: PrunedLayer) -> Any:
    return layer.weight[-1] if layer.weight.ndim > layer.mask.ndim else layer.weight


def _same(value: Any) -> Any:
    return value
