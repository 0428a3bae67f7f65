"""Weights and masks that pruning tools keep apart: the weights meant are their product.

A mask is recognised by its values, all 0 or 1, and by where it is: beside the weights, in their
shape or with a number per row. Tools call it weight_mask, mask, parametrizations.weight.0.mask, and
more.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from ap3.errors import InvalidFileError
from ap3.files.dense_tensors import dense
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import listed

_ORIGINAL, _MASK = "_orig", "_mask"
_BLOCK = 2**22
_PARAMETRISED = re.compile(r"^(.*?)parametrizations\.(\w+)\.original$")


def folded(entries: dict[str, Entry]) -> tuple[dict[str, Entry], list[str]]:
    """Multiply masks into the weights beside them.

    Parameters
    ----------
    entries
        Tensors by name.

    Returns
    -------
    dict, list
        The tensors without the masks, and sentences on what was multiplied.

    Raises
    ------
    UserError
        If weights that `torch.nn.utils.prune` keeps have a mask of another shape.
    """
    entries = dict(entries)
    _fold_originals(entries)
    names = []
    for name, mask_name in list(_pairs(entries)):
        if name in entries and mask_name in entries and _is_mask(mask_name, entries[mask_name]):
            entries[name] = _product(entries[name], entries.pop(mask_name))
            names.append(name)
    said = f"the masks beside {listed(names)} were multiplied into the weights." if names else ""
    return entries, [said] if said else []


def _fold_originals(entries: dict[str, Entry]) -> None:
    """Put together what `torch.nn.utils.prune` and torch.ao's sparsifiers keep apart."""
    for name in [name.removesuffix(_MASK) for name in entries if name.endswith(_MASK)]:
        if name + _ORIGINAL in entries:
            original, mask = entries.pop(name + _ORIGINAL), entries.pop(name + _MASK)
            entries[name] = _checked_product(name, original, mask)
    for original_name in list(entries):
        found = _PARAMETRISED.match(original_name)
        parts = found and [n for n in entries if n.startswith(original_name[: -len("original")])]
        if found and parts and len(parts) == 2 and parts[1].endswith(".mask"):
            original, mask = (entries.pop(part) for part in sorted(parts, key=len, reverse=True))
            name = found[1] + found[2]
            entries[name] = _checked_product(name, original, mask)


def _checked_product(name: str, original: Entry, mask: Entry) -> Entry:
    if original.shape != mask.shape:
        raise InvalidFileError(
            f"{name} is kept as weights of shape {original.shape} and a mask of shape "
            f"{mask.shape}, which don't fit; make the checkpoint again."
        )
    return _product(original, mask)


def _pairs(entries: dict[str, Entry]) -> Iterator[tuple[str, str]]:
    """Pair weights with what may be their mask by its place and its shape."""
    by_layer: dict[str, list[str]] = {}
    for name in entries:
        by_layer.setdefault(name.rpartition(".")[0], []).append(name)
    for name, entry in entries.items():
        layer = name.rpartition(".")[0]
        if len(entry.shape) < 2 or not _is_float(entry) or _is_called_mask(name):
            continue
        beside = [n for n in by_layer[layer] if n != name] + by_layer.get(name, [])
        for other in beside:
            if _may_be_mask(entry, entries[other], other):
                yield name, other


def _may_be_mask(weights: Entry, other: Entry, name: str) -> bool:
    """Say whether a tensor is where and as large as a mask of the weights would be."""
    if other.shape == weights.shape:
        return True
    rows = weights.shape[0]
    is_per_row = other.shape in ((rows,), (rows,) + (1,) * (len(weights.shape) - 1))
    return is_per_row and _is_called_mask(name)


def _is_float(entry: Entry) -> bool:
    return "float" in entry.dtype


def _is_called_mask(name: str) -> bool:
    return "mask" in name.rpartition(".")[2]


def _is_mask(name: str, entry: Entry) -> bool:
    """Say whether all numbers of a tensor are 0 or 1: both of them, unless its name says mask."""
    if not entry.dtype.startswith(
        ("bool", "uint", "int", "float16", "float32", "float64", "bfloat")
    ):
        return False
    if getattr(entry.make(), "is_meta", False):
        return False
    flat, ones = dense(entry).reshape(-1), 0
    for block in flat.split(_BLOCK):
        is_one = block == 1
        if not bool(((block == 0) | is_one).all()):
            return False
        ones += int(is_one.sum())
    return _is_called_mask(name) or entry.dtype == "bool" or 0 < ones < len(flat)


def _product(original: Entry, mask: Entry) -> Entry:
    dtype = "float32" if original.dtype.startswith("float8") else original.dtype
    return Entry(original.shape, partial(_masked, original, mask), dtype, codes=original.codes)


def _masked(original: Entry, mask: Entry) -> Any:
    """Multiply; torch multiplies no float8, and a mask per row stands along the first axis."""
    weights, factors = dense(original), dense(mask)
    if original.dtype.startswith("float8"):
        weights = weights.float()
    if mask.dtype.startswith("float8"):
        factors = factors.float()
    if len(mask.shape) == 1:
        factors = factors.reshape(-1, *(1,) * (len(original.shape) - 1))
    # A mask of another type must not change that of the weights.
    return (weights * factors).to(weights.dtype)
