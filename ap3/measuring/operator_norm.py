"""Spectral norms of linear maps that are known by what they do, such as convolutions.

The largest singular value of A is the root of the largest eigenvalue of AᵀA. Lanczos' method builds
on products with A and Aᵀ alone, and comes from below: a norm that it gives is reached by some
vector. What a bound needs is a number from above. For a start drawn at random, k steps on vectors
of n numbers, and any relative error e in (0, 1) of the eigenvalue, Kuczyński and Woźniakowski
(1992, Theorem 4.2) show

    P(λ_max is above the estimate/(1 − e)) ≤ 1.648 √n exp(−√e (2k − 1)),

whatever the spectrum is. So e is chosen to make the chance of a wrong bound as small as is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from ap3.errors import InvalidValueError
from ap3.latent.vectors import Vector

_DENSE = 5_000_000  # numbers of a matrix that is decomposed outright


@dataclass(frozen=True)
class Norm:
    """A spectral norm from below and from above; the same number where it is known exactly."""

    lower: float
    upper: float


def matrix_norm(matrix: Any, steps: int = 100) -> Norm:
    """Spectral norm of a matrix: by its singular values, or by Lanczos' method if it is large.

    Parameters
    ----------
    matrix : array of shape (m, n)
    steps
        Of Lanczos' method, from five million numbers on.

    Examples
    --------
    >>> matrix_norm([[0.0, 2.0], [1.0, 0.0]])
    Norm(lower=2.0, upper=2.0)
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.size > _DENSE:
        tall = matrix if matrix.shape[0] > matrix.shape[1] else matrix.T
        return operator_norm(lambda x: tall.T @ (tall @ x), tall.shape[1], steps)
    value = float(np.linalg.norm(matrix, 2))
    return Norm(value, value)


def operator_norm(
    gram: Callable[[Vector], Vector],
    size: int,
    steps: int = 100,
    chance: float = 1e-9,
    seed: int = 0,
) -> Norm:
    """Spectral norm of a linear map A, by Lanczos' method.

    `steps` products with AᵀA, and three vectors of memory.

    Parameters
    ----------
    gram
        x → AᵀA x, for vectors (n,).
    size
        n, numbers that A takes.
    steps
        k. Where it is n or more, n steps give the norm itself, but for rounding.
    chance
        Probability, over the start, that the norm is above `upper`.
    seed
        Of the start.

    Returns
    -------
    Norm
        `lower` is reached by some vector; `upper` holds but for the `chance`.

    Raises
    ------
    UserError
        If `steps` are too few to say anything from above at this chance.

    Examples
    --------
    >>> weights = np.array([3.0, 1.0, 2.0])
    >>> found = operator_norm(lambda x: weights**2 * x, size=3)
    >>> round(found.lower, 12), round(found.upper, 12)
    (3.0, 3.0)
    """
    error = 0.0 if steps >= size else relative_error(size, steps, chance)
    rng = np.random.default_rng(seed)
    vector, before = rng.standard_normal(size), np.zeros(size)
    vector /= np.linalg.norm(vector)
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(steps, size)):
        product = gram(vector)
        diagonal.append(float(vector @ product))
        product = product - diagonal[-1] * vector - (beside[-1] * before if beside else 0.0)
        length = float(np.linalg.norm(product))
        if length <= 1e-14 * max(diagonal):
            # The vectors so far span a space that A does not leave, and a start at random has a
            # part of every eigenvector in it.
            error = 0.0
            break
        beside.append(length)
        before, vector = vector, product / length
    values = eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[: len(diagonal) - 1]))
    top = max(float(values[-1]), 0.0)
    return Norm(float(np.sqrt(top)), float(np.sqrt(top / (1 - error))))


def relative_error(size: int, steps: int, chance: float) -> float:
    """Relative error e of the eigenvalue that k steps exceed with at most this `chance`.

    Parameters
    ----------
    size
        n.
    steps
        k.
    chance
        Between 0 and 1.

    Raises
    ------
    UserError
        If it would not be below 1.

    Examples
    --------
    >>> round(relative_error(150_528, 100, 1e-9), 4)
    0.0187
    """
    error = (np.log(1.648 * np.sqrt(size) / chance) / (2 * steps - 1)) ** 2
    if not error < 1:
        raise InvalidValueError(
            f"{steps} Lanczos steps on {size} numbers bound no norm at a chance of {chance:g}; take "
            f"{int((np.log(1.648 * np.sqrt(size) / chance) + 1) / 2) + 1} or more."
        )
    return float(error)
