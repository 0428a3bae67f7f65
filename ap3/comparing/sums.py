"""One pass over a layer and its pruned version: all that the table and the verdict are made of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidTypeError
from ap3.latent.grouping import group_starts
from ap3.latent.vectors import Vector, to_numpy

# Small enough to stay in the processor's cache, and for torch and BLAS to stay on one core: their
# threads cost more than they bring on vectors of this size.
BLOCK = 2**15
_DOT = 2**13
GROUP_SIZES = (4, 8, 16)
"""Widths of the groups in which an N:M pattern is looked for."""

Flags = NDArray[np.bool_]


@dataclass
class Sums:
    """Sums over the weights ω of a layer and the differences Δ to its pruned version.

    Attributes
    ----------
    shape
        Of the layer.
    zeros, zeros_before, new_zeros
        Zeros in the pruned layer, in the baseline, and in the first alone.
    changed
        Weights that are not what they were, new zeros included.
    unexplained
        Of those, the ones that rounding to the pruned layer's type does not explain.
    distance2, norm2
        ‖Δ‖² and ‖ω‖².
    sums, difference_sums
        Of ω and Δ in each group of the Student-t law, with the counts `group_sizes`.
    rows_used, columns_used
        Which entries of the first and second axis of the pruned layer hold a number but 0.
    rows_used_before, columns_used_before
        The same of the baseline.
    most_kept
        For each width M: the largest count of numbers but 0 in an aligned group of M weights.
    """

    shape: tuple[int, ...]
    zeros: int = 0
    zeros_before: int = 0
    new_zeros: int = 0
    changed: int = 0
    unexplained: int = 0
    distance2: float = 0.0
    norm2: float = 0.0
    sums: Vector = field(default_factory=lambda: np.zeros(0))
    difference_sums: Vector = field(default_factory=lambda: np.zeros(0))
    group_sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rows_used: Flags = field(default_factory=lambda: np.zeros(0, bool))
    columns_used: Flags = field(default_factory=lambda: np.zeros(0, bool))
    rows_used_before: Flags = field(default_factory=lambda: np.zeros(0, bool))
    columns_used_before: Flags = field(default_factory=lambda: np.zeros(0, bool))
    most_kept: dict[int, int] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """How many weights there are."""
        return prod(self.shape)


def sums_of(
    baseline: Any, pruned: Any, shape: tuple[int, ...], groups: int | None, block: int = BLOCK
) -> Sums:
    """Add up in float64, a block at a time, so that a layer is never held in float64 as a whole.

    Parameters
    ----------
    baseline, pruned
        Tensors or arrays of shape (n,).
    shape
        What the layer was before it was flattened row by row; its product is n.
    groups
        Of the Student-t law; None takes every weight, and no sums are kept.
    block
        About how many weights are held at once.

    Raises
    ------
    UserError
        If a weight is complex.

    Examples
    --------
    >>> sums = sums_of(np.array([3.0, 0.5, 0, 4]), np.array([3.0, 0, 0, 4]), (2, 2), None)
    >>> sums.distance2, sums.zeros, sums.new_zeros
    (0.25, 2, 1)
    """
    size = prod(shape)
    starts = np.zeros(0, np.int64) if groups is None else group_starts(size, groups)
    sums = Sums(shape)
    sums.sums, sums.difference_sums = np.zeros(len(starts)), np.zeros(len(starts))
    sums.group_sizes = np.diff(starts, append=size) if len(starts) else starts
    after, before = _Used(shape), _Used(shape)
    patterns = _Patterns(shape)
    is_rounded = getattr(pruned, "dtype", None) != getattr(baseline, "dtype", None)
    for part in _parts(size, shape, block):
        x, y = _float64(baseline[part]), _float64(pruned[part])
        difference = y - x
        sums.distance2 += _square(difference)
        sums.norm2 += _square(x)
        is_kept, was_there, is_changed = y != 0, x != 0, difference != 0
        zeros = len(y) - int(np.count_nonzero(is_kept))
        zeros_before = len(x) - int(np.count_nonzero(was_there))
        changed = int(np.count_nonzero(is_changed))
        sums.zeros += zeros
        sums.zeros_before += zeros_before
        sums.changed += changed
        if zeros:
            sums.new_zeros += int(np.count_nonzero(was_there > is_kept))
        if is_rounded and changed:
            changed = int(np.count_nonzero((y != _rounded(baseline[part], pruned)) & is_kept))
            changed += int(np.count_nonzero(was_there > is_kept))
        sums.unexplained += changed
        after.add(is_kept, zeros, part.start)
        before.add(was_there, zeros_before, part.start)
        patterns.add(is_kept)
        if len(starts):
            _add_to_groups(sums.sums, x, starts, part.start)
            if changed or is_rounded:
                _add_to_groups(sums.difference_sums, difference, starts, part.start)
    sums.rows_used, sums.columns_used = after.rows, after.columns
    sums.rows_used_before, sums.columns_used_before = before.rows, before.columns
    sums.most_kept = patterns.most_kept
    return sums


def _parts(size: int, shape: tuple[int, ...], block: int) -> Iterator[slice]:
    """Slices of whole rows, or, where a row is longer than a block, of pieces of one row."""
    row = prod(shape[1:])
    if row <= block:
        step = block // row * row
        yield from (slice(first, min(first + step, size)) for first in range(0, size, step))
        return
    step = block // max(GROUP_SIZES) * max(GROUP_SIZES) or block
    for start in range(0, size, row):
        for first in range(start, start + row, step):
            yield slice(first, min(first + step, start + row))


def _float64(values: Any) -> Vector:
    """Convert a block, without a look at whether it is finite: the sums tell."""
    array = to_numpy(values.double() if hasattr(values, "double") else values)
    if array.dtype.kind in "cOSUMm":
        raise InvalidTypeError(
            f"weights must be real numbers, but are {array.dtype}; give real ones."
        )
    return array.astype(np.float64, copy=False)


def _square(vector: Vector) -> float:
    """Sum of squares; in pieces that BLAS keeps on one core."""
    if len(vector) <= _DOT:
        return float(vector @ vector)
    whole = len(vector) // _DOT * _DOT
    pieces = vector[:whole].reshape(-1, _DOT)
    rest = vector[whole:]
    return float(np.vecdot(pieces, pieces).sum()) + float(rest @ rest)


def _rounded(values: Any, pruned: Any) -> Vector:
    """Round a block of the baseline to the pruned layer's type."""
    if hasattr(values, "detach") and hasattr(pruned, "detach"):
        return _float64(values.to(pruned.dtype))
    dtype = getattr(pruned, "dtype", np.float64)
    return _float64(to_numpy(values).astype(dtype if isinstance(dtype, np.dtype) else np.float64))


def _add_to_groups(sums: Vector, block: Vector, starts: NDArray[np.int64], first: int) -> None:
    """Add a block, which begins at weight `first`, to the sums of the groups that it touches."""
    low = int(np.searchsorted(starts, first, side="right")) - 1
    high = int(np.searchsorted(starts, first + len(block), side="left"))
    edges = np.maximum(starts[low:high] - first, 0)
    sums[low:high] += np.add.reduceat(block, edges)


class _Used:
    """Which entries of the first two axes hold a number but 0, filled in part by part."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.row, self.inner = prod(shape[1:]), prod(shape[2:])
        self.rows = np.zeros(shape[0], bool)
        self.positions = np.zeros(self.row, bool)

    def add(self, is_there: Flags, zeros: int, first: int) -> None:
        index, offset = divmod(first, self.row)
        if offset or len(is_there) < self.row:  # a piece of one row
            self.positions[offset : offset + len(is_there)] |= is_there
            self.rows[index] |= is_there.any() if zeros else True
            return
        count = len(is_there) // self.row
        if not zeros:
            self.positions[:] = True
            self.rows[index : index + count] = True
            return
        by_row = is_there.reshape(count, self.row)
        self.positions |= by_row.any(axis=0)
        self.rows[index : index + count] = by_row.any(axis=1)

    @property
    def columns(self) -> Flags:
        return np.asarray(self.positions.reshape(-1, self.inner).any(axis=1))


class _Patterns:
    """The largest count of numbers in aligned groups of input weights, for each width."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        columns, self.inner = shape[1], prod(shape[2:])
        self.columns = columns
        self.most_kept = {width: 0 for width in GROUP_SIZES if columns % width == 0}
        self.row = columns * self.inner

    def add(self, is_there: Flags) -> None:
        """Count in a part of the layer; a width in which a group is full is done with."""
        widths = [width for width, most in self.most_kept.items() if most < width]
        if not widths:
            return
        if self.inner > 1:
            if len(is_there) % self.row:
                self.most_kept = {}  # of rows longer than a block
                return
            # The pattern lies along the input channels, in every place of the kernel.
            by_place = is_there.reshape(-1, self.columns, self.inner).swapaxes(1, 2)
            is_there = np.ascontiguousarray(by_place).reshape(-1)
        if len(is_there) % max(widths):
            widths = [width for width in widths if len(is_there) % width == 0]
        fours = np.bitwise_count(is_there.view(np.uint32))
        for width in widths:
            counts = fours if width == 4 else fours.reshape(-1, width // 4).sum(axis=1)
            self.most_kept[width] = max(self.most_kept[width], int(counts.max()))
