"""The exact Student-t KL against its definition in high precision, closed forms and limits."""

from functools import cache

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ap3.errors import UserError
from ap3.latent import StudentT, shared_scale, student_t_kl, student_t_kl_with_error

DFS, DIMS, DISTANCES = (1, 4, 30.5, 200), (1, 100, 1_000_000), (1e-4, 0.03, 1, 7, 40)


@cache
def kl_from_one_dimension(distance: float, df: float, dim: float) -> float:
    """The module's integral, in v = u/(1 + u) and 40 digits, by Gauss-Legendre on dyadic pieces."""
    with mp.workdps(40):
        delta, nu, a = mp.mpf(distance), mp.mpf(df), (mp.mpf(df) + dim) / 2

        def integrand(v):
            return (
                -mp.expm1(-nu / 2 * mp.log1p(delta**2 / nu * v * (1 - v))) / v * (1 - v) ** (a - 1)
            )

        smallest = int(mp.log(a * (1 + delta**2 / nu), 2)) + 6
        pieces = [mp.mpf(0), *(mp.mpf(2) ** -k for k in range(smallest, 0, -1))]
        pieces += [1 - mp.mpf(2) ** -k for k in range(2, smallest + 1)] + [mp.mpf(1)]
        # Beyond, (1 − v)^(a − 1) is below exp(−59).
        pieces = [v for v in pieces if a * v < 120]
        return float(a * mp.quad(integrand, pieces, maxdegree=7))


@cache
def kl_from_definition(distance: float, df: float, dim: int) -> float:
    """E_P[log P/Q] over the norm of x and the cosine of its angle to the difference of locations.

    With U = ν/(ν + |x|²) ~ Beta(ν/2, d/2) and c the cosine, |x − δ|² + ν is (ν/U) times
    1 + δ²U/ν − 2δc √(U(1 − U)/ν); the logarithm is averaged over c and −c. Trapezoid sums in
    logit U and artanh c.
    """
    with mp.workdps(30):
        delta, nu, d = mp.mpf(distance), mp.mpf(df), mp.mpf(dim)
        step = min(mp.mpf(1) / 4, 1 / (3 * mp.sqrt(d)))
        cosines = _weighted(mp.tanh, lambda y: mp.cosh(y) ** (1 - d), step, start=mp.mpf(0))
        radii = _weighted(
            lambda p: 1 / (1 + mp.exp(-p)),
            lambda p: mp.exp(-nu / 2 * mp.log1p(mp.exp(-p)) - d / 2 * mp.log1p(mp.exp(p))),
            min(mp.mpf(1) / 5, 1 / mp.sqrt(2 * nu)),
            start=mp.log(nu / d),
        )
        total = mp.mpf(0)
        for U, mass in radii:
            near, far = delta**2 * U / nu, 4 * delta**2 * U * (1 - U) / nu
            total += mass * mp.fsum(
                w * mp.log1p(near * (2 + near) - far * c * c) for c, w in cosines
            )
        norm = mp.fsum(w for _, w in cosines) * mp.fsum(w for _, w in radii)
        return float((nu + d) / 2 * total / 2 / norm)


def _weighted(value, weight, step, start):
    """Nodes and weights of a trapezoid sum, from the mode outwards until they are negligible."""
    nodes, largest = [], weight(start)
    for direction in (1, -1):
        k = 0 if direction == 1 else 1
        while weight(start + direction * k * step) > largest / 10**20:
            node = start + direction * k * step
            nodes.append((value(node), weight(node)))
            k += 1
    return nodes


@pytest.mark.parametrize("df", DFS)
@pytest.mark.parametrize("dim", DIMS)
def test_twelve_digits_everywhere(df, dim):
    exact = [kl_from_one_dimension(distance, df, dim) for distance in DISTANCES]
    np.testing.assert_allclose(student_t_kl(DISTANCES, df, dim), exact, rtol=1e-12)


@pytest.mark.parametrize(
    ("distance", "df", "dim"),
    [
        (1.0, 4, 2),
        (0.1, 4, 100),
        (3.0, 4, 100),
        (1e-4, 1, 100),
        (40.0, 1, 100),
        (40.0, 200, 1_000_000),
        (1e-4, 200, 1_000_000),
        (40.0, 1, 1_000_000),
    ],
)
def test_definition_as_an_expectation(distance, df, dim):
    exact = kl_from_definition(distance, df, dim)
    assert student_t_kl(distance, df, dim) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("df", [1, 4, 200])
@pytest.mark.parametrize("distance", [1e-2, 1, 40])
def test_definition_in_one_dimension(df, distance):
    with mp.workdps(30):
        a, nu, delta = (mp.mpf(df) + 1) / 2, mp.mpf(df), mp.mpf(distance)
        norm = mp.gamma(a) / (mp.sqrt(nu * mp.pi) * mp.gamma(nu / 2))

        def integrand(x):
            density = norm * (1 + x * x / nu) ** -a
            return density * a * (mp.log1p((x - delta) ** 2 / nu) - mp.log1p(x * x / nu))

        points = sorted(
            {-mp.inf, *(s * 4.0**k for s in (-1, 1) for k in range(7)), 0, delta, mp.inf}
        )
        exact = mp.quad(integrand, points)
    assert student_t_kl(distance, df, 1) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(
    ("distance", "value"),
    [(0.1, 0.00490533213154901), (1.0, 0.487319685981082), (3.0, 4.17302497321277)],
)
def test_published_values(distance, value):
    assert student_t_kl(distance, 4, 100) == pytest.approx(value, rel=5e-15)


def test_cauchy_closed_form():
    distances = np.logspace(-4, 2, 50)
    np.testing.assert_allclose(
        student_t_kl(distances, 1, 1), np.log1p(distances**2 / 4), rtol=2e-15
    )


@pytest.mark.parametrize("dim", [1, 100, 10_000])
def test_gaussian_limit(dim):
    # Student-t tends to a Gaussian like 1/ν.
    gaps = [abs(student_t_kl(2.0, df, dim) / 2.0 - 1) for df in (1e6, 1e8, 1e10)]
    assert gaps[0] < 1e-5
    assert gaps[1] < gaps[0] / 50
    assert gaps[2] < gaps[1] / 50


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.floats(1e-4, 40), st.floats(1, 200), st.integers(1, 1_000_000))
def test_error_estimate_covers_a_finer_rule(distance, df, dim):
    value, error = student_t_kl_with_error(distance, df, dim)
    assert error < 1e-12 * value
    assert abs(value - fine_rule(distance, df, dim)) <= error


def fine_rule(distance, df, dim):
    """The same integral by a trapezoid rule four times finer, wider, and in long double."""
    a = np.longdouble(df + dim) / 2
    x = np.arange(-90 * 32, 60 * 32, dtype=np.longdouble) / 32
    u = np.exp(x)
    power = -np.longdouble(df) / 2 * np.log1p(np.longdouble(distance) ** 2 / df * u / (1 + u) ** 2)
    return float(np.sum(-a * np.exp(-a * np.log1p(u)) * np.expm1(power)) / 32)


def test_zero_at_zero_distance():
    assert student_t_kl_with_error(0.0, 4, 100) == (0.0, 0.0)
    assert student_t_kl([0.0, 1.0], 4, 100)[0] == 0


def test_arrays_equal_single_values():
    distance, df, dim = np.meshgrid([0.0, 1e-4, 1, 40], [1, 4, 200], [1, 100, 10**6])
    single = [
        student_t_kl(*point) for point in zip(*map(np.ravel, (distance, df, dim)), strict=True)
    ]
    np.testing.assert_allclose(student_t_kl(distance, df, dim).ravel(), single, rtol=1e-14)


def test_more_distances_than_one_chunk_holds():
    distances = np.linspace(0, 40, 3000)
    picked = student_t_kl(distances[::500], 4, 100)
    np.testing.assert_allclose(student_t_kl(distances, 4, 100)[::500], picked, rtol=1e-14)


def test_shapes():
    assert isinstance(student_t_kl(1, 4, 100), float)
    assert student_t_kl(np.ones((2, 3)), 4, 100).shape == (2, 3)
    assert student_t_kl(np.ones((2, 1)), [1, 2, 3], 100).shape == (2, 3)
    assert student_t_kl([], 4, 100).shape == (0,)


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0.1, 1e6), st.integers(1, 10**7))
def test_monotone_in_the_distance(one, two, df, dim):
    small, large = student_t_kl(sorted([one, two]), df, dim)
    assert 0 <= small <= large * (1 + 1e-14)


@pytest.mark.parametrize(
    ("distance", "df", "dim"),
    [
        (-1, 4, 100),
        (1, 0, 100),
        (1, 4, 0),
        (np.nan, 4, 1),
        (1, np.inf, 1),
        (1j, 4, 1),
        (1e160, 4, 1),
        (1, 1e300, 1),
    ],
)
def test_impossible_arguments_are_refused(distance, df, dim):
    with pytest.raises(UserError):
        student_t_kl(distance, df, dim)


@pytest.mark.parametrize("df", [1e17, 1e80, 1e150])
def test_a_huge_df_is_the_gaussian_to_the_last_digits(df):
    assert student_t_kl([1e-4, 1.0, 40.0], df, 100) == pytest.approx([5e-9, 0.5, 800], rel=1e-13)


def test_shared_scale():
    assert shared_scale(3.0, df=4, share="scale") ** 2 == pytest.approx(3.0)
    assert shared_scale(3.0, df=4, share="covariance") ** 2 * 4 / (4 - 2) == pytest.approx(3.0)
    with pytest.raises(UserError, match="df is 2"):
        shared_scale(3.0, df=2, share="covariance")
    with pytest.raises(UserError, match="share"):
        shared_scale(3.0, df=4, share="both")


def test_law_is_the_function_of_its_distance():
    weights = np.arange(250.0)
    law = StudentT(weights, df=3, scale=2.0)
    moved = weights + 1
    # All 100 group means move by 1.
    assert law.dim == 100
    assert law.kl(law.at(moved)) == pytest.approx(student_t_kl(10 / 2.0, 3, 100), rel=1e-14)
    ungrouped = StudentT(weights, df=3, scale=2.0, groups=None)
    expected = student_t_kl(np.sqrt(250) / 2.0, 3, 250)
    assert ungrouped.kl(ungrouped.at(moved)) == pytest.approx(expected, rel=1e-14)


def test_grouped_law_sees_group_means_only():
    law = StudentT([1.0, 3.0, 5.0, 7.0], groups=2)
    assert law.kl(law.at([3.0, 1.0, 6.0, 6.0])) == 0
    assert law.kl(law.at([5.0, 3.0, 1.0, 7.0])) > 0
