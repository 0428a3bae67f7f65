"""How well a perfect measure would score: what noise in the PD leaves room for.

A measure that knew the true PDs, over the law that the examples are drawn from, would still order some
variants otherwise than the PDs of this sample of examples do. Its expected score, given the sample, is
the mean score of true PDs drawn from what the sample says of them. So no statistic needs a
derivation of its own: agreement, τ and ρ, of |PD| or of the signed PD, are taken of the draws.

The PDs D of a trial's variants are normal about the true ones θ, with their covariance S over the
paired examples. θ comes from a mixture of normals: one about zero, narrower than the noise, and others
on a geometric grid of centres μ to either side, as wide as the grid is fine. The shares are learned
from all variants and trials, so that it takes nearly any form (empirical Bayes, as in Stephens 2017),
each PD taken alone, with ten variants' worth of doubt in favour of the centre. Variants that do more
damage have larger errors too, |PD| ∝ errorᵅ, so the mixture is one of θ/errorᵅ, with the α of the largest
likelihood. Given each variant's component, θ is normal:

    θ | D ~ N(M (S⁻¹ D + μ/σ²), M),   M = (S⁻¹ + diag 1/σ²)⁻¹.

Gibbs' sampler draws in turn θ and the components, with S in full, as the variants' PDs rise and fall
together. (To draw the shares as well makes a chain that stays for long where it happens to begin: of
two trials of a network the ceiling then came out as 0.82 or as 0.99, as the seed would have it; now it
keeps within 0.04.)

To take the PDs of the sample for the true ones and ask how resampled ones agree with them would come
out too high: what is seen is spread wider than what is true.

Checked on studies with known truth (`tests/unit/explaining/test_noise_ceiling.py`), pairs decided by
1.96 standard errors: within 0.02 where the PDs vary at least twice as much as their noise. Where they
vary as little as it, the mixture cannot tell one spread from some heaps: with three trials and noise that
variants do not share it is 0.1 too low, with more trials or shared noise less, and for |PD| it can be too
high. Where nearly all is noise it is too high, by 0.1 and more, as the truth is then next to a coin. Few
pairs are decided in both, so read their number too.

What scores above the ceiling is lucky, or sees the noise (a measure of the very examples that the PD
is taken on can follow their accidents), or the ceiling is too low.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ap3.errors import InvalidValueError
from ap3.explaining.rank_counts import concordance, order
from ap3.latent.vectors import Vector, as_float64

_WARM_UP = 100
_FLOOR = 1e-4  # of the median error: no variance is below its square
_RANGE = 1e-7  # of the largest error: nor below this square, whatever is left of rounding
_FINEST = 0.1  # width of the mixture's centre, in units of a small standard error
_FACTOR = 1.6  # from each centre to the next
_EXPONENTS = (0.0, 0.5, 1.0, 1.5, 2.0)
_ROUNDS = 100
_DOUBT = 10.0  # variants that count for the centre beforehand, as in Stephens' ashr
_WIDTH = 0.35  # of each, in units of its distance from zero


def true_differences(signed: Any, covariance: Any, draws: int = 400, seed: int = 0) -> Vector:
    """Draw the true PDs of all trials from what the PDs of the sample say of them.

    A fraction of a second for ten trials of twelve variants; many sets at once take little more.

    Parameters
    ----------
    signed : array of shape (…, T, V)
        Signed PDs of T trials and V variants, all of one kind, at one epoch; leading axes are of
        sets that know nothing of one another.
    covariance : array of shape (…, T, V, V)
        Of the PDs over the examples, paired; in the square of their unit.
    draws
        B, after a hundred that are not kept.
    seed
        Of the draws.

    Returns
    -------
    array of shape (B, …, T, V)

    Raises
    ------
    UserError
        If the shapes do not fit, a number is not finite, or all errors of a set are zero.

    Examples
    --------
    >>> drawn = true_differences([[5.0, 0.1, -0.1]], [np.eye(3)])
    >>> drawn.shape, bool((drawn[:, 0, 0] > drawn[:, 0, 1]).mean() > 0.9)
    ((400, 1, 3), True)
    """
    signed, covariance = np.asarray(signed, dtype=float), np.asarray(covariance, dtype=float)
    if signed.ndim < 2 or covariance.shape != (*signed.shape, signed.shape[-1]):
        raise InvalidValueError(
            "PDs (…, T, V) and their covariance (…, T, V, V) must fit, but have shapes "
            f"{signed.shape} and {covariance.shape}."
        )
    shape = signed.shape
    signed = signed.reshape(-1, *shape[-2:])
    covariance = covariance.reshape(-1, *shape[-2:], shape[-1])
    # Where a PD hardly varies, rounding leaves variances a little below zero.
    variances = np.diagonal(covariance, axis1=-2, axis2=-1).clip(min=0)
    errors = np.asarray(np.sqrt(variances), dtype=float)
    known = np.isfinite(signed).all() and np.isfinite(covariance).all()
    if not (known and errors.any(axis=(1, 2)).all()):
        raise InvalidValueError(
            "PDs and their covariance must be finite, and some error larger than zero; leave out "
            "what is not known of single examples."
        )
    sets = [_Set.of(*each) for each in zip(signed, covariance, errors, strict=True)]
    return _gibbs(sets, draws, np.random.default_rng(seed)).reshape(draws, *shape)


@dataclass(frozen=True, eq=False)
class _Set:
    """PDs (T, V) in units that vary as the PDs do, their precision, and the mixture of the truth."""

    signed: Vector
    unit: Vector
    precision: Vector
    centres: Vector
    widths: Vector
    shares: Vector

    @classmethod
    def of(cls, signed: Vector, covariance: Vector, errors: Vector) -> Self:
        # What has no noise of its own (twins, untouched layers) must not make S singular.
        floor = max(_FLOOR * np.median(errors[errors > 0]), _RANGE * errors.max())
        errors = np.hypot(errors, floor)
        unit = (errors / np.median(errors)) ** _exponent(signed, errors)
        signed, errors = signed / unit, errors / unit
        covariance = covariance / (unit[:, np.newaxis] * unit[..., np.newaxis])
        precision = _inverse(covariance, floor)
        most = max(np.abs(signed).max(), errors.max())
        centres, widths = _mixture(np.quantile(errors, 0.1), most)
        doubt = np.where(centres == 0, _DOUBT, 1 / len(centres))
        off, variance = signed.ravel()[:, np.newaxis] - centres, np.square(errors).ravel()
        density = _density(off, variance[:, np.newaxis] + np.square(widths))
        return cls(signed, unit, precision, centres, widths, _learned(density, doubt))


def _inverse(covariance: Vector, floor: float) -> Vector:
    """Invert S + floor² I, (T, V, V), where rounding may have taken S below zero."""
    values, vectors = np.linalg.eigh(covariance)
    lengths = np.maximum(values, 0.0) + floor**2
    return as_float64((vectors / lengths[..., np.newaxis, :]) @ vectors.swapaxes(-1, -2))


def _gibbs(sets: list[_Set], draws: int, rng: np.random.Generator) -> Vector:
    """Draw the true PDs of C sets, (B, C, T, V)."""
    number = max(len(each.centres) for each in sets)
    centres, widths, shares = np.zeros((3, len(sets), number))
    widths[:] = 1.0
    for row, each in enumerate(sets):
        known = slice(len(each.centres))
        centres[row, known], widths[row, known] = each.centres, each.widths
        shares[row, known] = each.shares
    precision = np.stack([each.precision for each in sets])
    theta, unit = (np.stack([getattr(each, name) for each in sets]) for name in ("signed", "unit"))
    pull = (precision @ theta[..., np.newaxis])[..., 0]
    rows = np.arange(len(sets))[:, np.newaxis, np.newaxis]
    kept = np.empty((draws, *theta.shape))
    for turn in range(-_WARM_UP, draws):
        component = _components(theta, centres, widths, shares, rng)
        own = 1 / np.square(widths[rows, component])
        theta = _given_components(precision, pull + own * centres[rows, component], own, rng)
        if turn >= 0:
            kept[turn] = theta * unit
    return kept


def noise_ceiling(
    drawn: Vector, ordered: Vector, compared: NDArray[np.int64], absolute: bool
) -> dict[str, Vector]:
    """Agreement and τ_b that a perfect measure would be expected to score, in every trial.

    Parameters
    ----------
    drawn : array of shape (B, T, V)
        True PDs as `true_differences` draws them.
    ordered : array of shape (T, pairs)
        How the PDs of the sample order the pairs: −1, 0 or 1, 0 where they do not decide, by
        whatever rule.
    compared : array of shape (pairs, 2)
        The pairs of variants.
    absolute
        Whether |PD| is compared, or the signed PD.

    Returns
    -------
    dict of arrays of shape (T,)
        `agreement` and `tau_b`, as `rank_counts.concordance` counts them, averaged over the draws;
        NaN where nothing is decided.

    Examples
    --------
    >>> drawn = np.array([[[1.0, 2.0]], [[3.0, 2.0]], [[0.0, 9.0]], [[4.0, 5.0]]])
    >>> found = noise_ceiling(drawn, np.array([[-1.0]]), np.array([[0, 1]]), absolute=True)
    >>> found["agreement"]
    array([0.75])
    """
    measure = order(np.abs(drawn) if absolute else drawn, compared)
    counted = concordance(measure, np.broadcast_to(ordered, measure.shape))
    return {name: counted[name].mean(axis=0) for name in ("agreement", "tau_b")}


def _exponent(signed: Vector, errors: Vector) -> float:
    """Choose α of |θ| ∝ errorᵅ, from 0 to 2, by the likelihood of all PDs.

    Each PD is taken alone, with θ/errorᵅ from a mixture of normals about zero, shares by
    expectation and maximisation.
    """
    return max(_EXPONENTS, key=lambda exponent: _likelihood(signed, errors, exponent))


def _likelihood(signed: Vector, errors: Vector, exponent: float) -> float:
    """Log-likelihood of all PDs, each alone, at its best mixture, up to a constant."""
    noise = np.square(errors).ravel()[:, np.newaxis]
    relative = np.square((errors / np.median(errors)) ** exponent).ravel()[:, np.newaxis]
    _, widths = _mixture(np.quantile(errors, 0.1), max(np.abs(signed).max(), errors.max()))
    variance = noise + relative * np.square(np.unique(widths))
    density = _density(signed.ravel()[:, np.newaxis], variance)
    return float(np.log(density @ _learned(density, np.zeros(density.shape[1]))).sum())


def _density(off: Vector, variance: Vector) -> Vector:
    """Density of normals at so far from their means, up to a constant, and never zero."""
    return np.exp(-0.5 * np.square(off) / variance) / np.sqrt(variance) + np.finfo(float).tiny


def _learned(density: Vector, doubt: Vector) -> Vector:
    """Learn a mixture's shares, (K,), from its densities at the PDs, (n, K), and PDs thought of before."""
    shares = np.full(density.shape[1], 1 / density.shape[1])
    for _ in range(_ROUNDS):
        counts = (shares * density / (density @ shares)[:, np.newaxis]).sum(axis=0) + doubt
        shares = counts / counts.sum()
    return shares


def _mixture(error: float, largest: float) -> tuple[Vector, Vector]:
    """Centres and widths of the mixture's normals, from far below the noise to twice all PDs."""
    low, high = _FINEST * error, 2 * largest
    away = np.geomspace(low, high, 2 + int(np.log(high / low) / np.log(_FACTOR)))
    centres = np.concatenate([-away[::-1], [0.0], away])
    return centres, np.where(centres == 0, low, _WIDTH * np.abs(centres))


def _components(
    theta: Vector, centres: Vector, widths: Vector, shares: Vector, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the component of every variant, (C, T, V), each with the chance that it has."""
    centres, widths, shares = (
        each[:, np.newaxis, np.newaxis] for each in (centres, widths, shares)
    )
    off = (theta[..., np.newaxis] - centres) / widths
    with np.errstate(divide="ignore"):
        logs = np.log(shares / widths) - 0.5 * np.square(off)
    chance = np.exp(logs - logs.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    drawn = rng.random(theta.shape)[..., np.newaxis] * chance[..., -1:]
    return np.asarray((chance < drawn).sum(axis=-1))


def _given_components(
    precision: Vector, pull: Vector, own: Vector, rng: np.random.Generator
) -> Vector:
    """Draw θ, (…, V), from its normal law, from S⁻¹, S⁻¹ D + μ/σ² and 1/σ²."""
    root = np.linalg.cholesky(precision + np.eye(own.shape[-1]) * own[..., np.newaxis, :])
    # With M⁻¹ = R Rᵀ the mean is R⁻ᵀ R⁻¹ of the pull, and R⁻ᵀ times white noise has the covariance M.
    inverse = np.linalg.inv(root)
    half = inverse @ pull[..., np.newaxis] + rng.standard_normal(pull.shape)[..., np.newaxis]
    return np.asarray((inverse.swapaxes(-1, -2) @ half)[..., 0])
