"""Whatever holds numbers, as a dense torch tensor that can be computed with."""

from typing import Any

import numpy as np
import torch

from ap3.errors import InvalidFileError
from ap3.files.lazy_tensors import Entry


def dense(entry: Entry) -> torch.Tensor:
    """Make a tensor, dense and without its gradient, whatever tool or array it comes from.

    Parameters
    ----------
    entry
        The tensor to be.

    Raises
    ------
    UserError
        If it holds no numbers, or none that torch knows.

    Examples
    --------
    >>> dense(Entry((2,), lambda: np.ones(2, ">f4")))
    tensor([1., 1.])
    """
    if entry.problem:
        raise InvalidFileError(entry.problem)
    value = entry.make()
    try:
        if not isinstance(value, torch.Tensor):
            return torch.from_numpy(_known_to_torch(np.asarray(value)))
        value = value.detach()
        value = value if value.layout == torch.strided else value.to_dense()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidFileError(
            f"a tensor of shape {entry.shape} and type {entry.dtype or 'unknown'} cannot be made "
            "dense; give it as a dense tensor of floats."
        ) from error
    if value.is_meta:
        raise InvalidFileError(
            "a mask, a scale or the weights beside it are a meta tensor, which holds no numbers; "
            "load the weights before saving."
        )
    return value


def _known_to_torch(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give an array the machine's order of bytes, a type of torch's, and memory of its own."""
    dtype = np.dtype("f8") if array.dtype == np.longdouble else array.dtype.newbyteorder("=")
    is_fit = array.dtype == dtype and array.flags.writeable and min(array.strides, default=0) >= 0
    return array if is_fit else array.astype(dtype)
