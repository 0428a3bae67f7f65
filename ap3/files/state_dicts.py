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
_PARALLEL = "module."
_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
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
    # A file of torch.save is a zip archive or, from old versions, a pickle.
    if not start.startswith((b"PK", b"\x80")):
        raise _no_checkpoint(path)
    return _read_torch(path, zipped=start.startswith(b"PK"))


def plain(tensors: Mapping[str, Any]) -> StateDict:
    """Take prefixes off names, and put weights and masks of `torch.nn.utils.prune` together.

    Examples
    --------
    >>> mask = torch.tensor([1, 0])
    >>> dict(plain({"module.fc.weight_orig": torch.ones(2), "module.fc.weight_mask": mask}))
    {'fc.weight': tensor([1., 0.])}
    """
    entries = {_uninserted(name): entry for name, entry in StateDict.of(tensors).entries.items()}
    # An averaged model has a counter beside its module, so what may be weights decides.
    while (many := [n for n, e in entries.items() if len(e.shape) >= 2] or list(entries)) and all(
        name.startswith(_PARALLEL) for name in many
    ):
        entries = {name.removeprefix(_PARALLEL): entry for name, entry in entries.items()}
    for name in [name.removesuffix(_MASK) for name in entries if name.endswith(_MASK)]:
        if name + _ORIGINAL in entries:
            original, mask = entries.pop(name + _ORIGINAL), entries.pop(name + _MASK)
            if original.shape != mask.shape:
                raise UserError(
                    f"{name} is kept as weights of shape {original.shape} and a mask of shape "
                    f"{mask.shape}, which don't fit; make the checkpoint again."
                )
            entries[name] = Entry(original.shape, partial(_masked, original, mask))
    return StateDict(entries)


def _uninserted(name: str) -> str:
    for part in _INSERTED:
        name = name.replace(part, "")
    return name


def _masked(original: Entry, mask: Entry) -> Any:
    return original.make() * mask.make()


def _read_safetensors(path: Path) -> StateDict:
    try:
        file = safe_open(path, framework="pt")
        names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path.resolve()} is a damaged safetensors file ({error}); copy or make it again."
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
    if _has_weights(content):
        return StateDict.of(_tensors(content))
    found = dict(_nested(content))
    usual = [key for key in _WRAPPINGS if key in found]
    if len(found) > 1 and not usual:
        raise UserError(
            f"{path} holds several state dicts ({', '.join(found)}); save the one that is meant by "
            "itself."
        )
    if found:
        return StateDict.of(_tensors(found[usual[0] if usual else next(iter(found))]))
    if _tensors(content):
        return StateDict.of(_tensors(content))
    known = f"the keys {', '.join(map(str, content))}" if isinstance(content, Mapping) else "none"
    raise UserError(
        f"{path} holds no state dict (a mapping of names to tensors; found {known[:120]}); save "
        "model.state_dict() and give that."
    )


def _nested(content: Any) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """State dicts with weights inside a mapping, at any depth, by the last key."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if _has_weights(value):
                yield str(key), value
            else:
                yield from _nested(value)


def _has_weights(content: Any) -> bool:
    return any("weight" in name and tensor.ndim >= 2 for name, tensor in _tensors(content).items())


def _tensors(content: Any) -> dict[str, Tensor]:
    """Named tensors of a mapping, whatever else it holds."""
    if not isinstance(content, Mapping):
        return {}
    named = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return named if all(isinstance(name, str) for name in named) else {}
