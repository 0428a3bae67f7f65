"""Weights that say less than they could: on few levels, or of low rank."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.latent.vectors import to_numpy

_SAMPLED, _ROWS = 2**16, 8
_MOST_LEVELS = 257
_TIMES_AS_MANY = 4  # weights as levels, at least
_SHORTEST_ROW = 16
_OFF_GRID = 0.02
_STEPS_APART = (1, 2, 3)  # of the two nearest values of a row
_CODE_BLOCK, _NEARER = 32, 0.55
_SURE = 4.0  # standard errors
_MOST_RANK = 256
_LOW = 0.9  # of the baseline's rank, in half precision


@dataclass(frozen=True)
class Levels:
    """The levels that a layer's weights are on.

    Attributes
    ----------
    text
        How many, as a sentence says it.
    rounded_to_zero
        Share of the weights that rounding alone made zero.
    """

    text: str
    rounded_to_zero: float


def levels_of(baseline: Any, pruned: Any) -> Levels | None:
    """Find that a layer was quantised: few values in the whole layer, or an even grid in each row.

    Parameters
    ----------
    baseline, pruned
        Weights before and after, of one shape.

    Returns
    -------
    Levels or None
        None if it was not, or if the baseline is as coarse.
    """
    before, after = _rows(baseline), _rows(pruned)
    together = np.concatenate(after)
    values = np.unique(together)
    if len(values) <= min(_MOST_LEVELS, int(np.count_nonzero(together)) // _TIMES_AS_MANY):
        if len(np.unique(np.concatenate(before))) <= 2 * len(values):
            return None
        count = len(_all_values(pruned, values))
        if count <= _MOST_LEVELS:
            return Levels(f"{count} levels", _near_zero(before, after, values))
    if len(after[0]) < _SHORTEST_ROW or len(after) < 2:
        return None
    counts = [_on_grid(row) for row in after]
    if not all(counts) or all(_on_grid(row) for row in before):
        return None
    return Levels(f"at most {max(counts)} levels a row", _near_zero(before, after, None))


def levels_of_codes(baseline: Any, pruned: Any, codes: str) -> Levels:
    """Describe a layer that its file holds as codes, with scales for blocks of weights.

    A weight was rounded to zero if it was nearer to 0 than to the smallest level in use around it,
    in a block of 32, the smallest that tools have.

    Parameters
    ----------
    baseline, pruned
        Weights before and after, of one shape.
    codes
        What the file calls them.
    """
    count = size = 0
    for x, y in zip(_rows(baseline), _rows(pruned), strict=True):
        whole = len(y) // _CODE_BLOCK * _CODE_BLOCK or len(y)
        x, y = (v[:whole].reshape(-1, min(_CODE_BLOCK, whole)) for v in (x, y))
        smallest = np.where(y == 0, np.inf, np.abs(y)).min(axis=1, keepdims=True)
        smallest[np.isinf(smallest)] = 0
        count += int(np.count_nonzero((y == 0) & (np.abs(x) <= smallest * _NEARER)))
        size += y.size
    return Levels(codes, _at_most(count, size))


def _rows(weights: Any) -> list[NDArray[np.float64]]:
    """Take a few rows, spread over the layer, and no more than so much of each."""
    rows = weights.reshape(weights.shape[0], -1)
    chosen = np.unique(np.linspace(0, len(rows) - 1, _ROWS).astype(int))
    taken = (rows[int(index)][: _SAMPLED // _ROWS] for index in chosen)
    return [
        to_numpy(each.double() if hasattr(each, "double") else each).astype(np.float64)
        for each in taken
    ]


def _all_values(weights: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Collect the values of the whole layer, unless they turn out to be many."""
    flat = weights.reshape(-1)
    for start in range(0, len(flat), _SAMPLED):
        block = flat[start : start + _SAMPLED]
        found = np.unique(to_numpy(block.double() if hasattr(block, "double") else block))
        values = np.union1d(values, found)
        if len(values) > _MOST_LEVELS:
            break
    return values


def _on_grid(row: NDArray[np.float64]) -> int:
    """Count the levels of an even grid around 0 that a row is on; 0 if it is on none."""
    values = np.unique(row)
    if len(values) < 2:
        return 0
    for part in _STEPS_APART:
        places = values * (part / np.diff(values).min())
        reach = places[-1] - places[0]
        if reach < _MOST_LEVELS and np.abs(places - np.round(places)).max() < _OFF_GRID:
            return round(reach) + 1
    return 0


def _near_zero(
    before: list[NDArray[np.float64]],
    after: list[NDArray[np.float64]],
    values: NDArray[np.float64] | None,
) -> float:
    """Share of the weights that are nearer to 0 than to the next level, as far as a sample tells."""
    count, size = 0, sum(map(len, before))
    for x, y in zip(before, after, strict=True):
        levels = np.unique(y) if values is None else values
        lower = -levels[levels < 0].max(initial=-np.inf)
        upper = levels[levels > 0].min(initial=np.inf)
        count += int(np.count_nonzero((x > -lower / 2 * 1.05) & (x < upper / 2 * 1.05)))
    return _at_most(count, size)


def _at_most(count: int, size: int) -> float:
    """Bound the share of a whole of which a sample has `count` of `size`."""
    share = count / size
    return float(share + _SURE * np.sqrt(share * (1 - share) / size) + 2 * _SURE / size)


def rank_of(weights: Any, shape: tuple[int, ...], than: Any) -> int | None:
    """Find that a layer is of low rank: below the full one, and below the baseline's.

    Parameters
    ----------
    weights
        The layer; its first axis against all others is the matrix.
    shape
        Of the layer.
    than
        The baseline.

    Returns
    -------
    int or None
        None if it is not, or if its rank is above 256.
    """
    rows, columns = shape[0], prod(shape[1:])
    full = min(rows, columns)
    if full < 2:
        return None
    rank = _rank(weights, rows, columns)
    if rank is None or rank >= full:
        return None
    before = _rank(than, rows, columns) or full
    # Rounding to half precision hides the smallest singular values of any layer.
    most = _LOW * before if _type(weights).endswith("float16") else before
    return rank if rank < most else None


def _type(weights: Any) -> str:
    return str(getattr(weights, "dtype", "float64")).removeprefix("torch.")


def _rank(weights: Any, rows: int, columns: int) -> int | None:
    """Numerical rank, where rounding to the weights' type counts as nothing; None if it is large."""
    kind = _type(weights)
    epsilon = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "float64": 2.0**-45}.get(kind, 2.0**-22)
    is_half = kind.endswith("float16") and hasattr(weights, "float")
    values = to_numpy(weights.float() if is_half else weights)
    matrix = values.reshape(rows, columns)
    if rows > columns:
        matrix = matrix.T
    spread = float(np.sqrt(np.mean(np.square(matrix, dtype=np.float64))))
    short, long = matrix.shape
    if short > 2 * _MOST_RANK:
        mixed = np.random.default_rng(0).standard_normal((_MOST_RANK + 1, short))
        matrix = (mixed.astype(np.float32) @ matrix) / np.sqrt(short)
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    rank = int((singular > epsilon * spread * (np.sqrt(short) + np.sqrt(long))).sum())
    return None if matrix.shape[0] < short and rank > _MOST_RANK else rank
