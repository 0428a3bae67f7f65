"""Channels that were removed, found again: each channel that is left is matched by its values.

A layer whose inputs are all there tells by its rows which outputs were kept; what feeds on these has
lost the same inputs, and so on through the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ap3.files.lazy_tensors import Entry, Shape
from ap3.latent.vectors import to_numpy

Indices = NDArray[np.int64]
_CLEARLY_NEARER = 0.5
"""Largest ratio of squared distances, to the nearest channel and the next one, that is a match."""
_MOST_DIMENSIONS = 512


@dataclass(frozen=True)
class Kept:
    """Which rows (outputs) and columns (inputs) of a layer are left, in the pruned layer's order."""

    rows: Indices
    columns: Indices

    def widened(self, pruned: Any, shape: Shape) -> NDArray[Any]:
        """Put a pruned layer where its channels were in the whole one, with zeros elsewhere.

        Parameters
        ----------
        pruned
            Tensor of the pruned layer.
        shape
            Of the whole layer.

        Examples
        --------
        >>> Kept(np.array([1]), np.array([0, 2])).widened(np.array([[5.0, 6.0]]), (2, 3))
        array([[0., 0., 0.],
               [5., 0., 6.]])
        """
        values = to_numpy(pruned)
        whole = np.zeros(shape, values.dtype)
        whole[np.ix_(self.rows, self.columns)] = values
        return whole


def recognised(
    names: list[str], baseline: Mapping[str, Entry], pruned: Mapping[str, Entry]
) -> dict[str, Kept]:
    """Find which channels are left of layers that became smaller.

    Parameters
    ----------
    names
        Of the layers whose shapes differ.
    baseline, pruned
        The networks.

    Returns
    -------
    dict
        What is left, of the layers in which it could be recognised.
    """
    waiting = [name for name in names if _can_be(baseline[name].shape, pruned[name].shape)]
    found: dict[str, Kept] = {}
    while waiting:
        solved: dict[str, Kept] = {}
        for name in waiting:
            one, two = baseline[name], pruned[name]
            known = [*found.values(), *solved.values()]
            kept = _kept(one, two, known)
            if kept is not None:
                solved[name] = kept
        if not solved:
            break
        found |= solved
        waiting = [name for name in waiting if name not in solved]
    return found


def _can_be(whole: Shape, left: Shape) -> bool:
    """Say whether a layer can be what is left of another: fewer rows or columns, nothing else."""
    return (
        len(whole) == len(left)
        and whole[2:] == left[2:]
        and 0 < left[0] <= whole[0]
        and 0 < left[1] <= whole[1]
    )


def _kept(one: Entry, two: Entry, known: list[Kept]) -> Kept | None:
    """Match a layer that lost rows or columns, or both if what it lost elsewhere is `known`."""
    whole, left = _cube(one), _cube(two)
    (rows, columns, _), (left_rows, left_columns, _) = whole.shape, left.shape
    if columns == left_columns:
        matched = _matched(whole, left)
        return None if matched is None else Kept(matched[0], np.arange(columns))
    if rows == left_rows:
        matched = _matched(whole.swapaxes(0, 1), left.swapaxes(0, 1))
        return None if matched is None else Kept(np.arange(rows), matched[0])
    tried = []
    for inputs in _candidates(known, columns, left_columns):
        matched = _matched(whole[:, inputs], left)
        if matched is not None:
            tried.append((matched[1], Kept(matched[0], inputs)))
    for outputs in _candidates(known, rows, left_rows):
        matched = _matched(whole[outputs].swapaxes(0, 1), left.swapaxes(0, 1))
        if matched is not None:
            tried.append((matched[1], Kept(outputs, matched[0])))
    return min(tried, key=lambda each: each[0])[1] if tried else _equal_values(whole, left)


def _cube(entry: Entry) -> NDArray[Any]:
    """View a layer as (rows, columns, places of the kernel)."""
    tensor = entry.make()
    if getattr(tensor, "is_meta", False):
        return np.zeros((*entry.shape[:2], prod(entry.shape[2:])), np.float32)
    if str(getattr(tensor, "layout", "torch.strided")) != "torch.strided":
        tensor = tensor.to_dense()
    values = to_numpy(tensor.float() if hasattr(tensor, "float") else tensor)
    return values.astype(np.float32, copy=False).reshape(*entry.shape[:2], prod(entry.shape[2:]))


def _candidates(known: list[Kept], whole: int, left: int) -> list[Indices]:
    """List what other layers kept that fits: as it is, or each channel as so many flat inputs."""
    candidates: dict[bytes, Indices] = {}
    for kept in known:
        for indices in (kept.rows, kept.columns):
            times, rest = divmod(left, len(indices))
            if rest or whole % times or len(indices) == indices.max() + 1 == whole // times:
                continue
            wide = (indices[:, None] * times + np.arange(times)).ravel()
            if len(wide) == left and wide.max() < whole:
                candidates.setdefault(wide.tobytes(), wide)
    return list(candidates.values())


def _matched(whole: NDArray[Any], left: NDArray[Any]) -> tuple[Indices, float] | None:
    """Match the entries of the first axis by their values: which they are, and how far off.

    None if they are not clearly nearer to one entry than to the next.
    """
    if len(left) == len(whole) == 1:
        return np.arange(1), 0.0
    one, two = _few(whole.reshape(len(whole), -1), left.reshape(len(left), -1))
    distances = (one**2).sum(1)[None] + (two**2).sum(1)[:, None] - 2 * two @ one.T
    np.maximum(distances, 0, out=distances)
    nearest = distances.argmin(axis=1)
    if len(set(nearest)) < len(nearest):
        nearest = linear_sum_assignment(distances)[1]
    own = np.take_along_axis(distances, nearest[:, None], 1)[:, 0]
    if len(whole) > 1:
        others = distances.copy()
        np.put_along_axis(others, nearest[:, None], np.inf, 1)
        is_clear = own <= _CLEARLY_NEARER * others.min(axis=1)
        if np.median(is_clear) < 1 or is_clear.mean() < _CLEARLY_NEARER:
            return None
    return nearest.astype(np.int64), float(own.sum())


def _few(one: NDArray[Any], two: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Project long vectors at random: their distances stay nearly what they are."""
    width = one.shape[1]
    if width <= _MOST_DIMENSIONS:
        return one.astype(np.float64), two.astype(np.float64)
    signs = np.random.default_rng(0).choice(
        np.array([-1, 1], np.float32), (width, _MOST_DIMENSIONS)
    )
    scale = 1 / np.sqrt(_MOST_DIMENSIONS)
    return (one @ signs * scale).astype(np.float64), (two @ signs * scale).astype(np.float64)


def _equal_values(whole: NDArray[Any], left: NDArray[Any]) -> Kept | None:
    """Match rows and columns at once by values that are equal to the bit, as before fine-tuning."""
    flat = whole.ravel()
    order = np.argsort(flat, kind="stable")
    places = np.minimum(np.searchsorted(flat, left.ravel(), sorter=order), flat.size - 1)
    origins = order[places]
    if (flat[origins] == left.ravel()).mean() < 1 - _CLEARLY_NEARER / 5:
        return None
    row, column, _ = np.unravel_index(origins, whole.shape)
    rows = _voted(row.reshape(left.shape).reshape(len(left), -1), whole.shape[0])
    columns = _voted(
        column.reshape(left.shape).swapaxes(0, 1).reshape(left.shape[1], -1), whole.shape[1]
    )
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        return None
    is_right = np.array_equal(whole[np.ix_(rows, columns)], left)
    return Kept(rows, columns) if is_right else None


def _voted(votes: NDArray[np.int64], count: int) -> Indices:
    return np.array([np.bincount(each, minlength=count).argmax() for each in votes], np.int64)
