"""The Student-t latent law (Sec. 5.3) and its KL, exact by a one-dimensional quadrature.

Derivation. Let P and P̃ be d-variate t laws with ν degrees of freedom, one scale matrix, and
locations at Mahalanobis distance δ, and a = (ν + d)/2. In coordinates where the scale matrix is the
identity, KL = a E[log(ν + |x − δ|²) − log(ν + |x|²)], x ~ P. Write x = z √(ν/s) with z standard
normal and s ~ χ²_ν, and the difference of logarithms as ∫ (e^(−tB) − e^(−tA)) dt/t. The mean
over z is the Laplace transform of a noncentral χ²_d; with t = su/2 the mean over s is that of a
χ²_ν, and both are elementary:

    KL = a ∫₀^∞ (1 + u)^(−a) [1 − (1 + (δ²/ν) u/(1 + u)²)^(−ν/2)] du/u.

Every factor is positive, so nothing cancels at small δ. In x = log u the integrand is analytic for
|Im x| < π/2 and stays bounded there, for all ν, d and δ, and it falls off exponentially both ways;
so the trapezoid rule on the line converges like exp(−π²/h).
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ap3.errors import InvalidValueError
from ap3.latent.grouping import group_means, whole_groups
from ap3.latent.law import Law
from ap3.latent.monte_carlo import Estimate, student_t_kl_pyro, student_t_kl_reduced
from ap3.latent.spread import Spread
from ap3.latent.vectors import Vector, as_float64, positive

# exp(−π²/h) is 5e-35 at this step and 7e-18 at twice the step, which gives the error estimate.
_STEP = 1 / 8
# Both tails are cut where they are this many e-folds down.
_REACH = 40.0
_CHUNK = 2**18
# Beyond it squares overflow, and δ²/ν vanishes.
_LARGEST = 1e150
_ROUNDING = 8 * np.finfo(np.float64).eps


def student_t_kl(distance: ArrayLike, df: ArrayLike, dim: ArrayLike) -> Any:
    """KL between two multivariate Student-t laws that differ in location only.

    Takes numbers or arrays that broadcast together; many distances at one (ν, d) share their
    quadrature.

    Parameters
    ----------
    distance
        Mahalanobis distance δ ≥ 0 of the locations under the shared scale matrix.
    df
        Degrees of freedom ν > 0.
    dim
        Dimension d ≥ 1.

    Returns
    -------
    float, or array of the broadcast shape, in nats; exactly 0 at δ = 0

    Raises
    ------
    UserError
        If a distance is negative, df not positive, dim below 1, or any of them not finite.

    Examples
    --------
    >>> round(student_t_kl(1.0, df=4, dim=100), 12)
    0.487319685981
    >>> cauchy = student_t_kl([0.0, 2.0], df=1, dim=1)  # log(1 + δ²/4)
    >>> np.allclose(cauchy, [0, np.log(2)], rtol=1e-14)
    True
    """
    return student_t_kl_with_error(distance, df, dim)[0]


def student_t_kl_with_error(distance: ArrayLike, df: ArrayLike, dim: ArrayLike) -> tuple[Any, Any]:
    """`student_t_kl` with an estimate of its absolute error.

    The error adds up the difference to the rule at twice the step, a bound on both tails, and
    rounding.

    Parameters
    ----------
    distance, df, dim
        As `student_t_kl` takes them.

    Returns
    -------
    two floats, or two arrays of the broadcast shape, in nats

    Examples
    --------
    >>> value, error = student_t_kl_with_error(3.0, df=4, dim=100)
    >>> error < 1e-13 * value
    True
    """
    distance, df, dim = np.broadcast_arrays(*_checked(distance, df, dim))
    value, error = np.empty(distance.shape), np.empty(distance.shape)
    for nu, d in np.unique(np.stack([df.ravel(), dim.ravel()]), axis=1).T:
        chosen = (df == nu) & (dim == d)
        value[chosen], error[chosen] = _integrate(distance[chosen], nu, d)
    return (value, error) if value.ndim else (float(value), float(error))


def shared_scale(
    variance: float, df: float, share: Literal["scale", "covariance"] = "covariance"
) -> float:
    """Scale of a Student-t law that shares its covariance or scale matrix with N(·, σ²I).

    Parameters
    ----------
    variance
        σ² > 0.
    df
        Degrees of freedom ν.
    share
        `"covariance"`: the law's covariance, ν/(ν − 2) times its scale matrix, is σ²I.
        `"scale"`: its scale matrix is σ²I, and its covariance is larger.

    Raises
    ------
    UserError
        If a covariance is asked of a law that has none, ν ≤ 2.

    Examples
    --------
    >>> shared_scale(8.0, df=4), shared_scale(4.0, df=4, share="scale")
    (2.0, 2.0)
    """
    df, variance = positive(df, "df"), positive(variance, "variance")
    if share == "scale":
        return float(np.sqrt(variance))
    if share != "covariance":
        raise InvalidValueError(f'share must be "scale" or "covariance", but is {share!r}.')
    if df <= 2:
        raise InvalidValueError(
            f"a Student-t law has a covariance for df above 2 only, but df is {df:g}; "
            'take a larger df, or share="scale".'
        )
    return float(np.sqrt(variance * (df - 2) / df))


class StudentT(Law):
    """Student-t with ν degrees of freedom and scale matrix scale² I around a layer's group means.

    With groups it sees the group means only: weights that differ inside their groups alone are at
    KL zero. Without, the location is the whole weight vector, in any dimension.

    Parameters
    ----------
    weights
        Numbers of any shape.
    df
        ν > 0; the paper takes 4.
    scale
        Square root of the scale matrix's diagonal, > 0; `shared_scale` and
        `ap3.latent.auto_student_t_scale` give one.
    groups
        Number of group means (Sec. 5.3 takes 100), or None for no grouping.

    Examples
    --------
    >>> law = StudentT([0.0, 1.0, 2.0, 3.0], df=4, scale=1.0, groups=2)
    >>> law.location
    array([0.5, 2.5])
    >>> law.kl(law.at([1.0, 0.0, 3.0, 2.0]))
    0.0
    """

    def __init__(
        self, weights: Any, df: float = 4.0, scale: float = 1.0, groups: int | None = 100
    ) -> None:
        super().__init__(weights)
        self.df = positive(df, "df")
        self.scale = positive(scale, "scale")
        self.groups = groups if groups is None else whole_groups(groups)

    @property
    def location(self) -> Vector:
        """The law's location: the group means of the weights, or the weights themselves."""
        return self._grouped(self.weights)

    @property
    def dim(self) -> int:
        """Dimension of the latent space: min(groups, n), or n."""
        size = self.weights.size
        return size if self.groups is None else min(self.groups, size)

    @property
    def shared(self) -> Mapping[str, Any]:
        """ν, the scale, and the number of groups."""
        return {"df": self.df, "scale": self.scale, "groups": self.groups}

    @property
    def spread(self) -> Spread:
        """Of the covariance scale² ν/(ν − 2) I, which only ν > 2 has."""
        variance = self.scale**2 * self.df / (self.df - 2) if self.df > 2 else np.nan
        whole = self.dim == self.weights.size
        return Spread(variance * self.dim, 1 / variance, 1 / variance, False, whole)

    def distances(self, weights: Vector) -> Vector:
        """Mahalanobis distance from this law's location to that at each row: (m, n) → (m,)."""
        return np.linalg.norm(self._grouped(weights - self.weights), axis=-1) / self.scale

    def kl_monte_carlo(
        self,
        other: Any,
        n: int,
        generator: np.random.Generator,
        estimator: Literal["pyro", "reduced"] = "pyro",
    ) -> Estimate:
        """Estimate KL(self ‖ other) in nats from `n` points drawn from this law.

        Parameters
        ----------
        other
            A law with the same df, scale and groups.
        n
            Points; the paper takes 600,000.
        generator
            Source of randomness; the estimate is a function of its state.
        estimator
            `"pyro"`: the paper's, with every point in full. `"reduced"`: the same estimate in law
            from three scalars a point, for any dimension.
        """
        self._require_same(other)
        if estimator == "pyro":
            return student_t_kl_pyro(
                self.location, other.location, self.df, self.scale, n, generator
            )
        if estimator != "reduced":
            raise InvalidValueError(f'estimator must be "pyro" or "reduced", but is {estimator!r}.')
        distance = self.distances(other.weights[np.newaxis])[0]
        return student_t_kl_reduced(distance, self.df, self.dim, n, generator)

    def _grouped(self, vectors: Vector) -> Vector:
        return vectors if self.groups is None else group_means(vectors, self.groups)

    def _kl_to(self, rows: Vector) -> Vector:
        return np.asarray(student_t_kl(self.distances(rows), self.df, self.dim))


def _checked(distance: ArrayLike, df: ArrayLike, dim: ArrayLike) -> tuple[Vector, Vector, Vector]:
    values = as_float64(distance, "distance"), as_float64(df, "df"), as_float64(dim, "dim")
    distance, df, dim = values
    if (distance < 0).any() or (df <= 0).any() or (dim < 1).any():
        raise InvalidValueError(
            "a Student-t KL needs distance ≥ 0, df > 0 and dim ≥ 1; correct the one that is not."
        )
    if (distance > _LARGEST).any() or (df > _LARGEST).any():
        raise InvalidValueError(
            f"a Student-t KL takes a distance and a df of at most {_LARGEST:g}; for a larger df "
            "take the Gaussian law, which it has long become."
        )
    return values


def _integrate(distance: Vector, df: float, dim: float) -> tuple[Vector, Vector]:
    """KL and its error at distances of shape (m,)."""
    a = 0.5 * (df + dim)
    reach = _REACH + 2 * np.log1p(distance.max())
    # Beyond these, each tail is at most δ²/2 · exp(−reach).
    left, right = -reach - np.log(a), np.log(np.expm1(reach / (a + 1)))
    u = np.exp(_STEP * np.arange(np.floor(left / _STEP), np.ceil(right / _STEP) + 1))
    bump, weight = u / (1 + u) ** 2, a * np.exp(-a * np.log1p(u))
    chunks = np.array_split(distance, -(-distance.size * u.size // _CHUNK))
    sums = np.concatenate([_interleaved_sums(chunk, df, bump, weight) for chunk in chunks])
    value = _STEP * sums.sum(axis=1)
    coarse = _STEP * np.abs(sums[:, 0] - sums[:, 1])
    return value, coarse + distance**2 * np.exp(-reach) + _ROUNDING * value


def _interleaved_sums(distance: Vector, df: float, bump: Vector, weight: Vector) -> Vector:
    """Sum the integrand over every other node, from the first and from the second: (m, 2)."""
    power = -0.5 * df * np.log1p(np.multiply.outer(distance**2 / df, bump))
    integrand = -weight * np.expm1(power)
    return np.stack([integrand[:, ::2].sum(axis=1), integrand[:, 1::2].sum(axis=1)], axis=1)
