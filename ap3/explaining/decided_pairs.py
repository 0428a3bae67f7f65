"""Which of two performance differences is the larger one, where the examples can tell.

Two PDs are decided by a test at one level, for losses and accuracies alike. A pair of losses is
decided if its gap is above 1.96 standard errors of the gap, paired over the examples; a pair of
accuracies by the exact test of its discordant examples (McNemar; for sizes of a damage and of an
improvement, the flips of signs of −2 to 2). Every test is turned into a limit on the gap first, so
that resampled PDs are decided by comparing numbers.

Nothing here hangs on the last bits: the limit on a gap of accuracies lies half way between two
counts, and a gap of losses counts as zero up to a millionth of the usual standard error.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import norm

from ap3.explaining.paired_accuracies import LEVEL
from ap3.explaining.rank_counts import order
from ap3.explaining.trial_grids import Runs
from ap3.latent.vectors import Vector

_TINY = 1e-6  # of the median standard error of a gap
_DEVIATIONS = 10.0  # of a binomial law that are looked at; beyond them lies less than 1e-22


@dataclass(frozen=True, eq=False)
class Limits:
    """Up to which gap two PDs are a tie, for every pair: arrays of shape (…, pairs).

    Attributes
    ----------
    same
        For signed PDs, and for sizes of PDs of one sign.
    opposite
        For sizes of PDs of opposite signs, whose gap is that of their sum.
    zero
        Below which a gap is nothing but rounding, (…, 1).
    """

    same: Vector
    opposite: Vector
    zero: Vector

    def at(self, epoch: int) -> "Limits":
        """Return the limits at one epoch, (T, pairs), with a last axis for resamples."""
        found = (each[:, epoch, :, np.newaxis] for each in (self.same, self.opposite, self.zero))
        return Limits(*found)


def limits(
    runs: Runs, name: str, reference: str, compared: NDArray[np.int64], level: float = LEVEL
) -> Limits:
    """Turn the tests of all pairs into limits on their gaps, (T, E, pairs).

    Parameters
    ----------
    runs
        All trials of a network.
    name
        Of the PD, such as `test_pd_loss`.
    reference
        `baseline` or `control`.
    compared : array of shape (pairs, 2)
        The pairs of variants.
    level
        Of the tests.

    Where the outcomes of single examples are not known, accuracies are decided as losses are.
    """
    covariance = runs.covariance_from(name, reference)
    first, second = compared.T
    both = covariance[..., first, first] + covariance[..., second, second]
    shared = 2 * covariance[..., first, second]
    errors = [np.sqrt(np.maximum(both + sign * shared, 0.0)) for sign in (-1, 1)]
    usual = _median(errors[0])
    factor = float(norm.isf(level / 2))
    same, opposite = (factor * np.maximum(error, _TINY * usual) for error in errors)
    zero = _TINY * usual
    if name.endswith("accuracy"):
        examples = runs.examples(name)
        exact = _exact(covariance, runs.difference(name, reference), examples, compared, level)
        paired = runs.paired[name][..., np.newaxis]
        same, opposite = (
            np.where(paired, one, other) for one, other in zip(exact, (same, opposite), strict=True)
        )
        zero = np.where(paired, 0.5 / examples, zero)
    return Limits(same, opposite, zero)


def order_differences(
    signed: Vector, compared: NDArray[np.int64], limit: Limits, absolute: bool, axis: int = -1
) -> tuple[Vector, Vector]:
    """Say of each pair which PD is larger: −1, 0 or 1, first by the test, then but for rounding.

    Parameters
    ----------
    signed : array of shape (…, V), or (…, V, B) with `axis` −2
        Signed PDs.
    compared : array of shape (pairs, 2)
    limit
        For these pairs, of shapes that broadcast to the gaps.
    absolute
        Whether the sizes of the PDs are compared, or the PDs with their signs.
    axis
        That of the variants.

    Examples
    --------
    >>> compared, limit = np.array([[0, 1], [0, 2]]), Limits(*np.array([[3.0], [5.0], [0.0]]))
    >>> order_differences(np.array([4.0, 0.0, -1.0]), compared, limit, absolute=False)[0]
    array([1., 1.])
    >>> order_differences(np.array([4.0, 0.0, -1.0]), compared, limit, absolute=True)[0]
    array([1., 0.])
    """
    first, second = (signed.take(side, axis=axis) for side in compared.T)
    told = limit.same
    if absolute:
        told = np.where(first * second < 0, limit.opposite, limit.same)
        first, second = np.abs(first), np.abs(second)
    gap = first - second
    size, sign = np.abs(gap), np.sign(gap)
    return sign * (size > told), sign * (size > limit.zero)


def order_measures(values: Vector, compared: NDArray[np.int64]) -> Vector:
    """Say of each pair which value of a measure is larger; what differs by rounding is a tie.

    Infinity is larger than all numbers, and as large as infinity.

    Examples
    --------
    >>> order_measures(np.array([1.0 + 1e-12, 1.0, 0.5]), np.array([[0, 1], [0, 2]]))
    array([0., 1.])
    >>> order_measures(np.array([np.inf, 1.0, np.inf]), np.array([[0, 1], [0, 2]]))
    array([1., 0.])
    """
    is_infinite = np.isinf(values)
    sizes = np.abs(np.where(is_infinite, 0.0, values))
    largest = np.fmax.reduce(sizes, axis=-1, initial=0.0, keepdims=True)
    beyond = np.copysign(2 * largest + 1, values)
    return order(np.where(is_infinite, beyond, values), compared, 1e-9 * largest)


def _median(errors: Vector) -> Vector:
    """Median over the pairs of what is not zero, (…, 1); 0 if there is none."""
    if not errors.shape[-1]:
        return np.zeros((*errors.shape[:-1], 1))
    there = np.where(errors > 0, errors, np.nan)
    none = np.isnan(there).all(axis=-1, keepdims=True)
    return np.where(none, 0.0, np.nanmedian(np.where(none, 0.0, there), axis=-1, keepdims=True))


def _exact(
    covariance: Vector,
    signed: Vector,
    examples: Vector,
    compared: NDArray[np.int64],
    level: float,
) -> tuple[Vector, Vector]:
    """Limits from the counts of discordant examples, which the covariance of N outcomes holds.

    An example's difference x is −1, 0 or 1, and Σ x_i x_j = N (N − 1) cov + N PD_i PD_j. Two variants are
    discordant in Σ (x_i − x_j)² examples; a sum x_i + x_j is ±2 in Σ x_i x_j of them.
    """
    count = examples[..., np.newaxis]
    products = signed[..., :, np.newaxis] * signed[..., np.newaxis, :]
    sums = np.rint(count * (count - 1) * covariance + count * products)
    first, second = compared.T
    together = np.maximum(sums[..., first, second], 0)
    either = sums[..., first, first] + sums[..., second, second]
    ones = np.maximum(either - 2 * together, 0)
    same = _critical(ones, np.zeros_like(ones), level)
    opposite = _critical(ones, together, level)
    return (same - 0.5) / examples, (opposite - 0.5) / examples


def _critical(ones: Vector, twos: Vector, level: float) -> Vector:
    pairs = np.stack([np.nan_to_num(ones).ravel(), np.nan_to_num(twos).ravel()], axis=1)
    kinds, where = np.unique(pairs.astype(np.int64), axis=0, return_inverse=True)
    found = np.array([critical_sum(int(one), int(two), level) for one, two in kinds])
    return found[where.ravel()].reshape(ones.shape)


@lru_cache(maxsize=100_000)
def critical_sum(ones: int, twos: int, level: float = LEVEL) -> float:
    """Smallest sum of as many ±1 and ±2 that the two-sided exact test of signs rejects; ∞ if none.

    With no twos it is McNemar's test: of n discordant examples, the smallest net that is too many.

    Examples
    --------
    >>> critical_sum(5, 0), critical_sum(6, 0), critical_sum(20, 0), critical_sum(4, 3)
    (inf, 6.0, 10.0, 10.0)
    """
    low, of_ones = _binomial(ones)
    start, of_twos = _binomial(twos)
    spread = np.zeros(2 * len(of_twos) - 1)
    spread[::2] = of_twos
    chance = np.convolve(of_ones, spread)
    sums = 2.0 * (low + 2 * start + np.arange(len(chance))) - ones - 2 * twos
    # The law is symmetric, so both tails are twice the upper one.
    upper = 2 * np.cumsum(chance[::-1])[::-1]
    rejected = sums[(sums > 0) & (upper <= level * (1 + 1e-9))]
    return float(rejected[0]) if len(rejected) else np.inf


def _binomial(count: int) -> tuple[int, Vector]:
    """Law of the heads among fair coins, from the first number that is looked at."""
    reach = int(0.5 * _DEVIATIONS * np.sqrt(count)) + 1
    low, high = max(0, count // 2 - reach), min(count, (count + 1) // 2 + reach)
    heads: Any = np.arange(low, high + 1)
    logs = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1)
    return low, np.exp(logs - count * np.log(2))
