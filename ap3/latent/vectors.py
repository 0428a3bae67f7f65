"""Weights of any kind and shape as float64 vectors, and stacks of them in bounded memory."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidTypeError, InvalidValueError

Vector = NDArray[np.float64]
FloatArray = NDArray[np.floating[Any]]

# Numbers held at once: 32 MiB of float64, small beside a layer that needs blocks at all.
BLOCK = 2**22


def as_float64(values: Any, name: str = "weights", copy: bool = False) -> Vector:
    """Real, finite numbers of any precision as a float64 array of the same shape.

    Takes whatever NumPy reads and torch tensors of any device and dtype, half types included,
    without importing torch. Float64 input is not copied, unless a `copy` is asked for.

    Raises
    ------
    UserError
        If a value is complex, no number at all, NaN or infinite.

    Examples
    --------
    >>> as_float64([1, 2])
    array([1., 2.])
    """
    array = to_numpy(values)
    if array.dtype.kind in "cOSUMm":
        raise InvalidTypeError(
            f"{name} must be real numbers, but are {array.dtype}; give a real array."
        )
    with np.errstate(over="ignore"):  # of more than double precision
        array = array.astype(np.float64, copy=copy)
    if not np.isfinite(array).all():
        count = array.size - np.count_nonzero(np.isfinite(array))
        raise InvalidValueError(
            f"{name} must be finite, but {count} of {array.size} are NaN or infinite; "
            "look for a diverged training or a damaged file."
        )
    return array


def as_vector(weights: Any, size: int | None = None) -> Vector:
    """Flatten a layer's weights row by row, as a float64 copy of shape (n,).

    Raises
    ------
    UserError
        As `as_float64`; and if there are none, or not `size` where that is given.
    """
    vector = as_float64(weights, copy=True).reshape(-1)
    if vector.size == 0:
        raise InvalidValueError(
            "weights must hold at least one number, but are empty; give a layer's weights."
        )
    if size is not None and vector.size != size:
        raise InvalidValueError(
            f"the layers must have equally many weights, but one has {size} and the other "
            f"{vector.size}; compare a layer with its own pruned version."
        )
    return vector


def over_rows(function: Callable[[Vector], Vector], stack: Any, size: int) -> Vector:
    """Apply `function`, (m, n) → (m,), to a stack of weights (E, …) in blocks of bounded memory.

    Each of the E entries is flattened row by row to `size` = n numbers.

    Raises
    ------
    UserError
        As `as_float64`; and if the entries don't hold `size` numbers each.
    """
    stack = stack if hasattr(stack, "shape") else np.asarray(stack)
    if len(stack.shape) < 2 or int(np.prod(stack.shape[1:])) != size:
        raise InvalidValueError(
            f"a stack of weights must have shape (E, …) with {size} weights in each of E entries, "
            f"but has shape {tuple(stack.shape)}; put the epochs or variants on the first axis."
        )
    # The functions hold a few copies of a block.
    blocks = (stack[rows] for rows in slices(len(stack), 4 * size))
    results = [function(as_float64(block).reshape(-1, size)) for block in blocks]
    return np.concatenate(results) if results else np.empty(0)


def slices(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows, each of bounded size when a row takes `width` numbers.

    Examples
    --------
    >>> list(slices(3, width=BLOCK // 2))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    step = max(1, BLOCK // width)
    return (slice(first, first + step) for first in range(0, count, step))


def positive(value: float, name: str) -> float:
    """`value` as a float, refused unless it is a positive, finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < np.inf:
        raise InvalidValueError(f"{name} must be a positive, finite number, but is {value!r}.")
    return number


def positive_vector(values: Any, size: int, name: str) -> Vector:
    """`values` as float64 of shape (size,), refused unless all are positive; copied if need be."""
    vector = as_float64(values, name).reshape(-1)
    if vector.size != size:
        raise InvalidValueError(
            f"{name} must be {size} numbers, one per weight, but are {vector.size}."
        )
    if not (vector > 0).all():
        raise InvalidValueError(f"{name} must be positive, but the smallest is {vector.min():g}.")
    return vector


def to_numpy(values: Any) -> NDArray[Any]:
    """Anything that NumPy reads, or a torch tensor of any device, layout and dtype, as an array.

    Raises
    ------
    UserError
        If nested sequences are of unequal lengths.

    Examples
    --------
    >>> import torch
    >>> to_numpy(torch.tensor([0.5, float("inf")], dtype=torch.bfloat16))
    array([0.5, inf])
    """
    if not hasattr(values, "detach"):
        try:
            return np.asarray(values)
        except ValueError as error:
            raise InvalidValueError(
                "weights must be an array, but are sequences of unequal lengths; give one layer at "
                "a time."
            ) from error
    tensor = values.detach().cpu().to_dense().resolve_neg()
    # NumPy knows not every type of less than four bytes, so torch converts those.
    return np.asarray(tensor if tensor.dtype.itemsize >= 4 else tensor.double())
