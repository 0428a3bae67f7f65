"""What was not compared and differs all the same: counted, so that nothing is left out silently."""

from typing import Any

import numpy as np

from ap3.comparing.layer_names import Matching
from ap3.files.safe_names import listed
from ap3.latent.vectors import slices, to_numpy


def differing(pairs: Matching, compared: set[str]) -> list[str]:
    """Say which tensors beside the layers differ, and which are in one network only.

    Parameters
    ----------
    pairs
        The networks.
    compared
        Names of the layers that were compared.

    Returns
    -------
    list
        No sentence, or one or two.
    """
    one, two = pairs.baseline.entries, pairs.pruned.entries
    layers = compared | set(pairs.names) | set(pairs.added)
    both = [name for name in one if name in two and name not in layers]
    different = [name for name in both if not _are_equal(pairs, name)]
    layers |= {name for name, entry in [*one.items(), *two.items()] if len(entry.shape) >= 2}
    single = [name for name in one.keys() ^ two.keys() if name not in layers]
    said = []
    if different:
        said.append(
            f"tensors that are not compared and differ: {len(different):,} ({listed(different)})."
        )
    if single:
        single.sort()
        said.append(f"further tensors in one network only: {len(single):,} ({listed(single)}).")
    return said


def _are_equal(pairs: Matching, name: str) -> bool:
    """Compare two tensors of any type, block by block; NaN equals NaN."""
    one, two = pairs.baseline.entries[name], pairs.pruned.entries[name]
    if one.shape != two.shape:
        return False
    if 0 in one.shape:
        return True
    first, second = _flat(one.make()), _flat(two.make())
    return all(
        np.array_equal(to_numpy(first[rows]), to_numpy(second[rows]), equal_nan=_has_nan(one.dtype))
        for rows in slices(len(first), 1)
    )


def _has_nan(dtype: str) -> bool:
    return "float" in dtype or "complex" in dtype


def _flat(tensor: Any) -> Any:
    is_sparse = str(getattr(tensor, "layout", "torch.strided")) != "torch.strided"
    return (tensor.to_dense() if is_sparse else tensor).reshape(-1)
