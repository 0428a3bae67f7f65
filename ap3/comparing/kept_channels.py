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
_SOME, _NEARLY_ALL = 0.2, 0.98
"""Shares of weights that are equal to the bit, between which channels are mixed up."""
_UNLIKE = 0.7
"""‖a − b‖²/(‖a‖² + ‖b‖²), which is 1 for two that have nothing in common."""
_FEW = 0.05  # share of rows or columns that may be unlike
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
        inputs, outputs = [np.arange(columns)], []
    elif rows == left_rows:
        inputs, outputs = [], [np.arange(rows)]
    else:
        exact = _equal_values(whole, left)
        if exact is not None:
            return exact
        inputs = _candidates(known, columns, left_columns)
        outputs = _candidates(known, rows, left_rows)
    tried = [_completed(whole, left, known_columns) for known_columns in inputs]
    turned = whole.swapaxes(0, 1), left.swapaxes(0, 1)
    for known_rows in outputs:
        found = _completed(*turned, known_rows)
        tried.append(found and (found[0], Kept(found[1].columns, found[1].rows)))
    return min(filter(None, tried), key=lambda each: each[0], default=(0.0, None))[1]


def _completed(
    whole: NDArray[Any], left: NDArray[Any], columns: Indices
) -> tuple[float, Kept] | None:
    """Match rows by columns that are known, and these anew: how far off all is, and which they are."""
    rows = _matched(whole[:, columns], left)
    if rows is None:
        return None
    if len(columns) < whole.shape[1]:
        # What another layer kept can be a little else than what this one did.
        again = _matched(whole[rows].swapaxes(0, 1), left.swapaxes(0, 1))
        if again is not None and not np.array_equal(again, columns):
            columns = again
            better = _matched(whole[:, columns], left)
            rows = rows if better is None else better
    expected = whole[np.ix_(rows, columns)]
    if not _is_one_layer(expected, left):
        return None
    return float(np.square(expected - left, dtype=np.float64).sum()), Kept(rows, columns)


def _is_one_layer(expected: NDArray[Any], left: NDArray[Any]) -> bool:
    """Tell whether a match holds throughout, among the weights that are not zero.

    Where a part of them is equal to the bit, fine-tuning is not what changed the rest, and where
    rows or columns have nothing in common, channels are mixed up.
    """
    used = left != 0
    if not used.any():
        return True
    if _SOME < (expected == left)[used].mean() < _NEARLY_ALL:
        return False
    expected = expected * used
    for axis in (0, 1):
        others = tuple(each for each in range(3) if each != axis)
        apart = np.sum((expected - left) ** 2, axis=others, dtype=np.float64)
        both = np.sum(expected**2 + left**2, axis=others, dtype=np.float64)
        if (apart > _UNLIKE * both).mean() > _FEW:
            return False
    return True


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


def _matched(whole: NDArray[Any], left: NDArray[Any]) -> Indices | None:
    """Match the entries of the first axis by their values: which they are.

    None if they are not clearly nearer to one entry than to the next.
    """
    if len(left) == len(whole) == 1:
        return np.arange(1)
    equal = _equal(whole, left)
    if equal is not None:
        return equal
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
    return nearest.astype(np.int64)


def _equal(whole: NDArray[Any], left: NDArray[Any]) -> Indices | None:
    """Match entries that are equal to the bit, however many there are, as those of a vocabulary."""
    places = {entry.tobytes(): place for place, entry in enumerate(whole)}
    found = [places.get(entry.tobytes(), -1) for entry in left]
    return np.array(found, np.int64) if -1 not in found and len({*found}) == len(found) else None


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
