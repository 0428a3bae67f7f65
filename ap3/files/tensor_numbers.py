"""Described tensors made: views of their numbers where these are in the file, or what is computed of them."""

import mmap
import warnings
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ap3.files.described_tensors import (
    Array,
    MalformedError,
    Meta,
    Quantised,
    Sparse,
    Storage,
    Strided,
)


class Numbers(Protocol):
    """Where the numbers of a file's storages are."""

    def bytes_of(self, storage: Storage) -> tuple[Any, int, int]:
        """Return a buffer, where in it the storage begins, and how many bytes it holds."""


def mapped(path: Path) -> mmap.mmap:
    """Map a file; private, because torch warns of memory that it cannot write to.

    Parameters
    ----------
    path
        Of the file.
    """
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def tensor_of(described: Any, numbers: Numbers | None) -> Any:
    """Make the tensor or the array that is described.

    Parameters
    ----------
    described
        As `ap3.files.inert_pickles.read` describes it.
    numbers
        Where its numbers are; None if there are none.

    Raises
    ------
    MalformedError
        If its numbers are not there, or its parts don't fit.
    """
    if isinstance(described, Meta):
        return torch.empty(described.shape, dtype=getattr(torch, described.dtype), device="meta")
    if isinstance(described, Array):
        return _array(described)
    if isinstance(described, Sparse):
        return _sparse(described, [_strided(part, numbers) for part in described.parts])
    if isinstance(described, Quantised):
        return _dequantised(described, numbers)
    return _strided(described, numbers)


def _strided(tensor: Strided, numbers: Numbers | None) -> torch.Tensor:
    """View numbers of the file as a tensor."""
    dtype = getattr(torch, tensor.dtype)
    if prod(tensor.shape) == 0:
        return torch.empty(tensor.shape, dtype=dtype)
    if numbers is None:
        raise MalformedError("a tensor without numbers")
    buffer, start, length = numbers.bytes_of(tensor.storage)
    count = length // dtype.itemsize
    _check_inside(tensor, count)
    flat = torch.frombuffer(buffer, dtype=dtype, count=count, offset=start)
    view = flat.as_strided(tensor.shape, tensor.stride, tensor.offset)
    return -view if tensor.is_negated else view


def _dequantised(tensor: Quantised, numbers: Numbers | None) -> torch.Tensor:
    codes = _strided(tensor.codes, numbers).double()
    parts = []
    for part in (tensor.zero_point, tensor.scale):
        value = _strided(part, numbers).double() if isinstance(part, Strided) else part
        if isinstance(value, torch.Tensor):
            if tensor.axis is None or tensor.axis >= codes.ndim:
                raise MalformedError("codes with a scale of an unknown axis")
            if value.shape != (codes.shape[tensor.axis],):
                raise MalformedError("codes and scales that don't fit")
            value = value.reshape([-1 if d == tensor.axis else 1 for d in range(codes.ndim)])
        parts.append(value)
    return ((codes - parts[0]) * parts[1]).float()


def _check_inside(tensor: Strided, count: int) -> None:
    """Check that no number of a tensor lies outside of its storage of `count` numbers."""
    if len(tensor.shape) != len(tensor.stride):
        raise MalformedError("a shape and strides that don't fit")
    steps = zip(tensor.shape, tensor.stride, strict=True)
    if tensor.offset + sum((size - 1) * step for size, step in steps) >= count:
        raise MalformedError("it reaches beyond its numbers")


def _array(array: Array) -> np.ndarray[Any, Any]:
    try:
        dtype = np.dtype(array.dtype)
        content = array.content
        content = content.encode("latin-1") if isinstance(content, str) else content
        if dtype.hasobject or len(content) != prod(array.shape) * dtype.itemsize:
            raise MalformedError("an array of another size than announced")
        flat = np.frombuffer(content, dtype)
        return flat.reshape(array.shape, order="F" if array.is_fortran else "C")
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise MalformedError("an array of an unknown type") from error


def _sparse(tensor: Sparse, parts: list[torch.Tensor]) -> torch.Tensor:
    makers: dict[str, Callable[..., torch.Tensor]] = {
        "sparse_coo": torch.sparse_coo_tensor,
        "sparse_csr": torch.sparse_csr_tensor,
        "sparse_csc": torch.sparse_csc_tensor,
        "sparse_bsr": torch.sparse_bsr_tensor,
        "sparse_bsc": torch.sparse_bsc_tensor,
    }
    if tensor.layout not in makers:
        raise MalformedError("a sparse tensor of an unknown layout")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, on how well it does these
            made = makers[tensor.layout](*parts, tensor.shape, check_invariants=True)
            return made.to_dense()
    except (RuntimeError, TypeError, ValueError) as error:
        raise MalformedError("a sparse tensor whose parts don't fit") from error
