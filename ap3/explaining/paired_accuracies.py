"""Exact tests of two accuracies on the same examples.

Two networks tell apart only the examples that one of them gets right and the other wrong. If
neither is better each of the n discordant examples falls to either side with probability ½, and the
count of one side is binomial (McNemar 1947, in its exact form). A rule by standard errors
breaks down here: with k discordant examples and net √k the gap is the standard error to the last
bit, and rounding decides.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ap3.latent.vectors import Vector

LEVEL = 0.05


def discordant(correct: Any) -> NDArray[np.int64]:
    """Count the examples that network i gets right and network j wrong, for every i and j.

    Parameters
    ----------
    correct : array of shape (…, V, N)
        Truths, or 0 and 1: whether each of V networks is right on each of N examples.

    Returns
    -------
    array of shape (…, V, V)
        The accuracies of i and j differ by [i, j] less [j, i], over N.

    Examples
    --------
    >>> discordant([[1, 1, 0], [1, 0, 0]]).tolist()
    [[0, 1], [0, 0]]
    """
    right = np.asarray(correct, dtype=float)
    both = right @ right.swapaxes(-1, -2)  # whole numbers, and exact below 2⁵³
    own = np.diagonal(both, axis1=-2, axis2=-1)[..., np.newaxis]
    return np.asarray(own - both).astype(np.int64)


def mcnemar(first_only: Any, second_only: Any, mid: bool = False) -> Vector:
    """Two-sided p-value that two accuracies are equal.

    2 P(X ≤ k), X binomial with n = a + b and ½, k = min(a, b), at most 1. The mid-p value counts
    half of P(X = k); it is less cautious, and its level is met nearly exactly on average.

    Parameters
    ----------
    first_only, second_only : array
        Discordant counts a and b: examples that the one network alone gets right, and the other.
        They broadcast together.
    mid
        Whether to return the mid-p value.

    Returns
    -------
    array
        1 where no example is discordant.

    Examples
    --------
    >>> mcnemar([0, 1, 0, 3], [0, 1, 6, 3])
    array([1.     , 1.     , 0.03125, 1.     ])
    >>> mcnemar(0, 5, mid=True).round(12)
    np.float64(0.03125)
    """
    a, b = np.asarray(first_only), np.asarray(second_only)
    fewer, count = np.minimum(a, b), a + b
    tail = binom.cdf(fewer, count, 0.5)
    if mid:
        tail = tail - 0.5 * binom.pmf(fewer, count, 0.5)
    return np.minimum(2 * tail, 1.0)[()]


def sign_flips(
    plus_one: int, minus_one: int, plus_two: int, minus_two: int, mid: bool = False
) -> float:
    """Two-sided p-value that differences of −2 to 2 are symmetric about zero.

    |PD| of two variants is compared by the examples' PD₁ − PD₂, and where one PD is a loss and the
    other a gain by PD₁ + PD₂, which takes five values. Given the sizes, each sign is a fair coin if the
    differences are symmetric; the sum has then the law of (2X − n₁) + 2(2Y − n₂), X and Y binomial.
    With no twos it is `mcnemar`.

    Parameters
    ----------
    plus_one, minus_one, plus_two, minus_two
        How many examples have each difference; zeros do not count.
    mid
        Whether to count a sum as extreme as this one half.

    Examples
    --------
    >>> sign_flips(0, 6, 0, 0)
    0.03125
    >>> sign_flips(2, 0, 1, 0)  # 4 or −4, of the sums of ±1 ±1 ±2
    0.25
    """
    ones, twos = plus_one + minus_one, plus_two + minus_two
    seen = abs(plus_one - minus_one + 2 * (plus_two - minus_two))
    if seen == 0:
        return 1.0
    of_twos = binom.pmf(np.arange(twos + 1), twos, 0.5)
    # The ones' sum must be at least `rest`, that is X ≥ (n₁ + rest)/2, whose parity is that of seen.
    rest = seen - 2 * (2 * np.arange(twos + 1) - twos)
    needed = (ones + rest) // 2
    tail = binom.sf(needed - 1, ones, 0.5)
    if mid:
        tail = tail - 0.5 * binom.pmf(needed, ones, 0.5)
    return min(float(2 * of_twos @ tail), 1.0)
