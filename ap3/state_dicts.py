"""Checkpoints of any network on disk: named tensors out of safetensors or torch files, no code run.

What wraps the tensors is taken off: a training loop's outer dictionary, the prefixes of
DataParallel and torch.compile, and the weight and mask that `torch.nn.utils.prune` keeps apart.
"""

import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ap3.errors import UserError

_WRAPPINGS = ("state_dict", "model_state_dict", "model", "net", "params")
_PREFIXES = ("module.", "_orig_mod.")
_ORIGINAL, _MASK = "_orig", "_mask"


@dataclass(frozen=True)
class Entry:
    """A tensor that is not there yet: its shape, and how to get it."""

    shape: tuple[int, ...]
    make: Callable[[], Any]


class StateDict(Mapping[str, Any]):
    """Tensors by name, each made when it is asked for, so that one layer is held at a time.

    Examples
    --------
    >>> StateDict({"weight": Entry((2,), lambda: torch.zeros(2))})["weight"]
    tensor([0., 0.])
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries

    @classmethod
    def of(cls, tensors: Mapping[str, Any]) -> "StateDict":
        """Wrap tensors or arrays that are there already."""
        if isinstance(tensors, cls):
            return tensors
        return cls(
            {
                name: Entry(tuple(np.shape(value)), partial(tensors.__getitem__, name))
                for name, value in tensors.items()
            }
        )

    def __getitem__(self, name: str) -> Any:
        return self.entries[name].make()

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def read(path: Path) -> StateDict:
    """Read a checkpoint by what it holds, whatever its file is called.

    Raises
    ------
    UserError
        If the file is missing, is neither safetensors nor a torch file, holds pickled code, or
        holds no named tensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a checkpoint's path."
        ) from error
    # A safetensors file is eight bytes of length, then JSON.
    if start[8:] == b"{":
        return _read_safetensors(path)
    return _read_torch(path, zipped=start.startswith(b"PK"))


def plain(tensors: Mapping[str, Any]) -> StateDict:
    """Take prefixes off names, and put weights and masks of `torch.nn.utils.prune` together.

    Examples
    --------
    >>> mask = torch.tensor([1, 0])
    >>> dict(plain({"module.fc.weight_orig": torch.ones(2), "module.fc.weight_mask": mask}))
    {'fc.weight': tensor([1., 0.])}
    """
    entries = dict(StateDict.of(tensors).entries)
    for prefix in _PREFIXES:
        if entries and all(name.startswith(prefix) for name in entries):
            entries = {name.removeprefix(prefix): entry for name, entry in entries.items()}
    for name in [name.removesuffix(_MASK) for name in entries if name.endswith(_MASK)]:
        if name + _ORIGINAL in entries:
            original, mask = entries.pop(name + _ORIGINAL), entries.pop(name + _MASK)
            entries[name] = Entry(original.shape, partial(_masked, original, mask))
    return StateDict(entries)


def _masked(original: Entry, mask: Entry) -> Any:
    return original.make() * mask.make()


def _read_safetensors(path: Path) -> StateDict:
    try:
        file = safe_open(path, framework="pt")
        names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is a damaged safetensors file ({error}); copy or make it again."
        ) from error
    return StateDict(
        {
            name: Entry(tuple(file.get_slice(name).get_shape()), partial(file.get_tensor, name))
            for name in names
        }
    )


def _read_torch(path: Path, zipped: bool) -> StateDict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, on the speed of sparse tensors
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower():
            raise UserError(
                f"{path} holds pickled Python objects beside tensors, which are not loaded because "
                "they could run any code; save model.state_dict() and give that."
            ) from error
        raise _no_checkpoint(path) from error
    except Exception as error:
        # torch.load fails in as many ways as there are files that are none of its own.
        raise _no_checkpoint(path) from error
    return _unwrap(content, path)


def _no_checkpoint(path: Path) -> UserError:
    return UserError(
        f"{path} is no checkpoint (neither safetensors nor a file of torch.save); give one that "
        "holds a state dict."
    )


def _unwrap(content: Any, path: Path) -> StateDict:
    """Find the mapping of names to tensors in what a training loop saved."""
    if isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors and all(isinstance(name, str) for name in tensors):
            return StateDict.of(tensors)
        for key in _WRAPPINGS:
            if isinstance(content.get(key), Mapping):
                return _unwrap(content[key], path)
    found = f"the keys {', '.join(map(str, content))}" if isinstance(content, Mapping) else "none"
    raise UserError(
        f"{path} holds no state dict (a mapping of names to tensors; found {found[:120]}); save "
        "model.state_dict() and give that."
    )
