"""Two tensors compared to the bit, block by block, whatever their type."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ap3.files.lazy_tensors import Entry
from ap3.latent.vectors import slices, to_numpy

_FIRST = 64  # numbers


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


def equal_pairs(entries: Mapping[str, Entry], others: Mapping[str, Entry]) -> dict[str, str]:
    """Find which tensors are equal to one of others, each read once but for those that may be.

    Parameters
    ----------
    entries, others
        By name.

    Returns
    -------
    dict
        Names of `entries`, and for each the last of `others` that it is equal to.
    """
    if not entries or not others:
        return {}
    alike: dict[object, list[str]] = {}
    for name, entry in others.items():
        alike.setdefault(_beginning(entry), []).append(name)
    return {
        name: other
        for name, entry in entries.items()
        for other in alike.get(_beginning(entry), ())
        if are_equal(entry, others[other])
    }


def _beginning(entry: Entry) -> object:
    """Take the shape and the first numbers, in which most tensors differ already."""
    first = _flat(entry.make())[:_FIRST]
    if "meta" in str(getattr(first, "device", "")):
        return entry.shape, None
    return entry.shape, (to_numpy(first).astype(np.complex128) + 0).tobytes()  # −0 is 0


def _flat(tensor: Any) -> Any:
    is_sparse = str(getattr(tensor, "layout", "torch.strided")) != "torch.strided"
    return (tensor.to_dense() if is_sparse else tensor).reshape(-1)
