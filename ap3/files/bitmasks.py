"""Sparse weights as compressed-tensors writes them: the numbers that are left, and a bit for each place."""

from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch

from ap3.errors import InvalidFileError, UserError
from ap3.files.dense_tensors import dense
from ap3.files.lazy_tensors import Entry
from ap3.files.safe_names import safe

_COMPRESSED, _BITS, _SHAPE, _OFFSETS = ".compressed", ".bitmask", ".shape", ".row_offsets"


def decompressed(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Put the numbers of sparse weights where their bits say.

    Parameters
    ----------
    entries
        Tensors by name.

    Raises
    ------
    UserError
        If bits and numbers don't fit.
    """
    entries = dict(entries)
    for name in [name.removesuffix(_BITS) for name in entries if name.endswith(_BITS)]:
        if not all(name + part in entries for part in (_COMPRESSED, _SHAPE)):
            continue
        values, bits = entries.pop(name + _COMPRESSED), entries.pop(name + _BITS)
        shape = tuple(int(size) for size in dense(entries.pop(name + _SHAPE)).reshape(-1).tolist())
        entries.pop(name + _OFFSETS, None)
        fits = len(shape) == 2 and bits.shape == (shape[0], -(-shape[1] // 8)) and min(shape) >= 0
        if not fits or bits.dtype != "uint8" or prod(values.shape) > prod(shape):
            raise _damaged(name)
        entries[name] = Entry(shape, partial(_dense, name, values, bits, shape), values.dtype)
    return entries


def _dense(name: str, values: Entry, bits: Entry, shape: tuple[int, ...]) -> Any:
    packed = dense(bits).numpy()
    mask = np.unpackbits(packed, axis=1, count=shape[1], bitorder="little").astype(bool)
    numbers = dense(values).reshape(-1)
    if int(mask.sum()) != len(numbers):
        raise _damaged(name)
    whole = torch.zeros(shape, dtype=numbers.dtype)
    # Of float8, torch fills bytes only.
    codes = numbers.view(torch.uint8) if numbers.dtype.itemsize == 1 else numbers
    whole.view(codes.dtype)[torch.from_numpy(mask)] = codes
    return whole


def _damaged(name: str) -> UserError:
    return InvalidFileError(
        f"the sparse weights {safe(name)} have bits and numbers that don't fit; make the file again."
    )
