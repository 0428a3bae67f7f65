"""Checkpoints of any network on disk: named tensors out of any file or folder, no code run.

What the file holds is found by its first bytes, whatever it is called. `plain` turns what tools
write into the weights meant: prefixes, masks, scales and bit masks are taken off.
"""

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ap3.errors import InvalidFileError, InvalidTypeError, MissingFileError, UserError
from ap3.files import (
    bitmasks,
    gguf_files,
    masks,
    nested,
    onnx_files,
    quantised,
    safetensors_files,
    shards,
    torch_files,
)
from ap3.files.lazy_tensors import Entry, StateDict
from ap3.files.safe_names import safe
from ap3.files.wrappings import unwrapped

_MASK = "_mask"
_OF_ADAPTER = re.compile(r"(^|[._])lora_(A|B|a|b|down|up)(\.|$)|\.base_layer\.(weight|bias)$")
"""Names of peft, loralib, torchtune and kohya."""
_OTHER_FORMATS = {
    b"version https://git-lfs": "is a pointer of git-lfs and not the weights; run: git lfs pull",
    b"\x89HDF": "is an HDF5 file; write its weights with safetensors.numpy.save_file and give that",
    b"\x1f\x8b": "is compressed by gzip; unpack it first",
    b"<!DOCTYPE": "is a web page and not the weights; download the file itself",
    b"<html": "is a web page and not the weights; download the file itself",
}
_BEGINNING = 32


def read(path: str | PathLike[str]) -> StateDict:
    """Read a checkpoint by what it holds, whatever it is called.

    Parameters
    ----------
    path
        A safetensors file, a file of torch.save, a folder of either, or the index of its shards.

    Returns
    -------
    StateDict
        Tensors by name, each read when it is asked for.

    Raises
    ------
    UserError
        If there is no such file, it is of another kind, damaged, holds pickled code or several
        networks of equal standing, or would take more memory than a file of its size can.
    """
    if not isinstance(path, str | PathLike):
        raise InvalidTypeError(
            f"weights are read from the path of a checkpoint, but {type(path).__name__} was given; give "
            "the path."
        )
    path = Path(path)
    try:
        if path.is_dir():
            path = shards.file_of(path)
        with path.open("rb") as file:
            start = file.read(_BEGINNING)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MissingFileError(
            f"{path} cannot be read ({why}); give a checkpoint's path."
        ) from error
    if path.name.endswith(shards.INDEX):
        return shards.read_index(path, _read_file)
    return _read_file(path, start)


def _read_file(path: Path, start: bytes | None = None) -> StateDict:
    if start is None:
        with path.open("rb") as file:
            start = file.read(_BEGINNING)
    for beginning, sentence in _OTHER_FORMATS.items():
        if start.startswith(beginning):
            raise InvalidFileError(f"{path} {sentence}.")
    # A safetensors file is eight bytes of length, then JSON.
    if start[8:9] == b"{":
        return StateDict(safetensors_files.read(path))
    if start.startswith(gguf_files.MAGIC):
        return StateDict(gguf_files.read(path))
    if path.suffix == ".onnx":
        return StateDict(onnx_files.read(path))
    # A file of torch.save is a zip archive or, from old versions, a pickle.
    if not start.startswith((b"PK", b"\x80")):
        raise torch_files.no_checkpoint(path)
    file_of_torch = torch_files.read(path, is_zip=start.startswith(b"PK"))
    chosen = nested.choose(file_of_torch.content, str(path))
    return with_masks(
        file_of_torch.entries(chosen.tensors), file_of_torch.entries(chosen.masks), chosen.remarks
    )


def of_content(content: Mapping[str, Any], source: str) -> StateDict:
    """Take the network out of what `torch.load` returned.

    Parameters
    ----------
    content
        A state dict, or dictionaries around one.
    source
        What to call it in a refusal.

    Raises
    ------
    UserError
        If it holds no network, or several of equal standing.
    """
    if isinstance(content, StateDict):
        return content
    chosen = nested.choose(content, source)
    tensors, beside = StateDict.of(chosen.tensors), StateDict.of(chosen.masks)
    return with_masks(dict(tensors.entries), dict(beside.entries), chosen.remarks)


def with_masks(
    entries: dict[str, Entry], beside: dict[str, Entry], remarks: tuple[str, ...]
) -> StateDict:
    """Put masks of another dictionary beside the weights that they belong to.

    Parameters
    ----------
    entries
        Tensors by name.
    beside
        Masks by the name of the weights or of their layer.
    remarks
        Sentences to keep.
    """
    if beside:
        entries, beside = unwrapped(entries), unwrapped(beside)
    for name, mask in beside.items():
        owner = name if name in entries else f"{name}.weight"
        if owner in entries and f"{owner}{_MASK}" not in entries:
            entries[f"{owner}{_MASK}"] = mask
        else:
            entries.setdefault(f"masks.{name}", mask)
    return StateDict(entries, remarks)


def plain(tensors: Mapping[str, Any]) -> StateDict:
    """Turn what tools write into the weights meant, under the names that a reader expects.

    Prefixes of wrappers are taken off, masks multiplied in, codes multiplied by their scales,
    sparse weights filled up, and names made safe to print.

    Parameters
    ----------
    tensors
        By name.

    Raises
    ------
    UserError
        If the weights are an adapter's, packed, or don't fit their masks, bits or scales.

    Examples
    --------
    >>> import torch
    >>> mask = torch.tensor([1, 0])
    >>> dict(plain({"module.fc.weight_orig": torch.ones(2), "module.fc.weight_mask": mask}))
    {'fc.weight': tensor([1., 0.])}
    """
    state = StateDict.of(tensors)
    entries = unwrapped(_with_safe_names(state.entries))
    _refuse_adapter(entries)
    entries, said_of_codes = quantised.dequantised(bitmasks.decompressed(entries))
    entries, said_of_masks = masks.folded(entries)
    return StateDict(entries, (*state.remarks, *said_of_codes, *said_of_masks))


def _with_safe_names(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    named = {safe(name): entry for name, entry in entries.items()}
    if len(named) < len(entries):
        raise InvalidFileError(
            "two tensors have names that only differ in unprintable or endless parts; rename them."
        )
    return named


def _refuse_adapter(entries: Mapping[str, Entry]) -> None:
    adapters = [name for name in entries if _OF_ADAPTER.search(name)]
    if adapters:
        raise shards.adapter(f"the checkpoint (with {adapters[0]})")
