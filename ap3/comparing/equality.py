"""Two tensors compared to the bit, block by block, whatever their type."""

from typing import Any

import numpy as np

from ap3.files.lazy_tensors import Entry
from ap3.latent.vectors import slices, to_numpy


def are_equal(one: Entry, two: Entry) -> bool:
    """Say whether two tensors have one shape and the same numbers; NaN equals NaN.

    Parameters
    ----------
    one, two
        The tensors.

    Examples
    --------
    >>> ones, zeros = (Entry((2,), lambda value=value: np.full(2, value)) for value in (1.0, 0.0))
    >>> are_equal(ones, ones), are_equal(ones, zeros)
    (True, False)
    """
    if one.shape != two.shape:
        return False
    if 0 in one.shape:
        return True
    first, second = _flat(one.make()), _flat(two.make())
    if "meta" in (str(getattr(each, "device", "")) for each in (first, second)):
        return True  # no numbers, none of which differ
    has_nan = "float" in one.dtype or "complex" in one.dtype
    return all(
        np.array_equal(to_numpy(first[rows]), to_numpy(second[rows]), equal_nan=has_nan)
        for rows in slices(len(first), 1)
    )


def _flat(tensor: Any) -> Any:
    is_sparse = str(getattr(tensor, "layout", "torch.strided")) != "torch.strided"
    return (tensor.to_dense() if is_sparse else tensor).reshape(-1)
