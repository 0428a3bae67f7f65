"""KL by Monte Carlo in bounded memory: the mean of log P/Q at points drawn from P (Eq. 2).

The exact values are what a study uses. The estimators here are what they are checked against,
and the paper's own way for whoever wants it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ap3.errors import InvalidValueError, MissingPackageError
from ap3.latent.vectors import BLOCK, Vector

LogRatios = Callable[[int], Vector]
"""Draws so many points from P and gives log P/Q at each."""

# Pyro's log density spreads the (d, d) scale over every point, so its memory grows with n · d².
_LARGEST_DENSE = 2048


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo mean.

    Attributes
    ----------
    value
        The mean.
    standard_error
        Of the mean.
    n
        Number of points.
    """

    value: float
    standard_error: float
    n: int


def mean_in_chunks(log_ratios: LogRatios, n: int, width: int) -> Estimate:
    """Mean and standard error of `n` log ratios, drawn in chunks of bounded memory.

    Parameters
    ----------
    log_ratios
        Function of a number of points that returns so many values.
    n
        Points in all, at least 2.
    width
        Numbers that one point needs while it is worked on.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> mean_in_chunks(lambda count: np.full(count, 3.0), n=10, width=1)
    Estimate(value=3.0, standard_error=0.0, n=10)
    """
    if n < 2:
        raise InvalidValueError(
            f"a Monte Carlo estimate needs at least 2 points, but {n} are asked for."
        )
    step = max(1, BLOCK // width)
    done, mean, squares = 0, 0.0, 0.0
    while done < n:
        values = log_ratios(min(step, n - done))
        gap, count = values.mean() - mean, values.size
        # Moments of the union of two samples; adding up squares would cancel.
        squares += values.var() * count + gap**2 * done * count / (done + count)
        mean += gap * count / (done + count)
        done += count
    return Estimate(float(mean), float(np.sqrt(squares / (n - 1) / n)), n)


def gaussian_kl_monte_carlo(
    shift: Vector, stretch: Vector | float, n: int, generator: np.random.Generator
) -> Estimate:
    """KL between N(0, D²) and N(shift, I) from `n` points, D = diag(stretch).

    Every pair of Gaussians with a common covariance comes to this form, with D = I, in
    coordinates that make the covariance the identity.

    Parameters
    ----------
    shift : array of shape (m,)
        Difference of the means in those coordinates.
    stretch
        Standard deviations of the first law in units of the second's: shape (m,), or one number.
    """
    log_determinant = np.log(np.broadcast_to(stretch, shift.shape)).sum()

    def log_ratios(count: int) -> Vector:
        z = generator.standard_normal((count, shift.size))
        return 0.5 * (np.square(stretch * z - shift) - np.square(z)).sum(axis=1) - log_determinant

    return mean_in_chunks(log_ratios, n, shift.size)


def student_t_kl_pyro(
    location: Vector,
    other: Vector,
    df: float,
    scale: float,
    n: int,
    generator: np.random.Generator,
) -> Estimate:
    """KL between two multivariate Student-t laws as the paper estimates it (Sec. 5.3), by Pyro.

    Draws from the first `pyro.distributions.MultivariateStudentT` and averages the difference of
    the two log densities. Reproducible from `generator`, and torch's own random state is left as
    it was.

    Parameters
    ----------
    location, other : array of shape (d,)
    df
        Degrees of freedom.
    scale
        Both laws have the scale matrix scale² I.
    n
        Points; the paper takes 600,000.
    generator
        What the points are drawn with.

    Raises
    ------
    UserError
        If Pyro is not installed, or if d is too large for its dense scale matrix.
    """
    try:
        import torch
        from pyro.distributions import MultivariateStudentT
    except ImportError as error:
        raise MissingPackageError(
            "the Pyro estimate needs pyro-ppl, which is not installed; run pip install pyro-ppl."
        ) from error
    dim = location.size
    if dim > _LARGEST_DENSE:
        raise InvalidValueError(
            f"Pyro's Student-t holds a dense matrix per point and takes at most {_LARGEST_DENSE} "
            f"dimensions here, but the law has {dim}; group the weights, or take "
            'estimator="reduced".'
        )
    scale_tril = scale * torch.eye(dim, dtype=torch.float64)
    p, q = (MultivariateStudentT(df, torch.tensor(mean), scale_tril) for mean in (location, other))

    def log_ratios(count: int) -> Vector:
        points = p.sample((count,))
        return np.asarray(p.log_prob(points) - q.log_prob(points))

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(int(generator.integers(2**63)))
        # Pyro copies the matrix for every point; few at once stay in the cache, at half the time.
        return mean_in_chunks(log_ratios, n, width=16 * dim**2)


def student_t_kl_reduced(
    distance: float, df: float, dim: int, n: int, generator: np.random.Generator
) -> Estimate:
    """Estimate as `student_t_kl_pyro`, from three scalars a point instead of `dim` numbers.

    A point is x = z √(ν/s), z standard normal and s ~ χ²_ν. The log ratio sees of it only the part
    of z along the difference of the locations, |z|² and s; the rest of |z|² is χ² with d − 1
    degrees of freedom.

    Parameters
    ----------
    distance
        Mahalanobis distance δ of the locations.
    df, dim
        Degrees of freedom ν and dimension d.
    n
        Points.
    generator
        What the points are drawn with.
    """

    def log_ratios(count: int) -> Vector:
        along = generator.standard_normal(count)
        squared_norm = along**2 + 2 * generator.standard_gamma((dim - 1) / 2, count)
        stretch = df / (2 * generator.standard_gamma(df / 2, count))
        gain = (distance**2 - 2 * distance * along * np.sqrt(stretch)) / (
            df + squared_norm * stretch
        )
        return 0.5 * (df + dim) * np.log1p(gain)

    return mean_in_chunks(log_ratios, n, width=8)
