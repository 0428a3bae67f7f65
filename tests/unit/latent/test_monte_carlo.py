"""Exact values against Monte Carlo, and the honesty of its standard error."""

import tracemalloc

import numpy as np
import pytest
import torch

from ap3.errors import UserError
from ap3.latent import (
    DenseRotation,
    DiagonalFisherGaussian,
    DiagonalGaussian,
    Estimate,
    FastRotation,
    FisherGaussian,
    IsotropicGaussian,
    SoftmaxCurvature,
    SpectralGaussian,
    StudentT,
    default_spectrum,
    student_t_kl,
    student_t_kl_reduced,
)

POINTS = 20_000


def agrees(estimate: Estimate, exact: float) -> bool:
    return abs(estimate.value - exact) < 4 * estimate.standard_error


@pytest.mark.parametrize("df", [1, 4, 30])
@pytest.mark.parametrize("dim", [1, 5, 20, 100])
@pytest.mark.parametrize("distance", [0.3, 1, 3])
def test_pyro_agrees_with_the_exact_student_t(df, dim, distance):
    law = StudentT(np.zeros(dim), df=df, scale=0.5, groups=None)
    other = law.at(0.5 * distance * np.full(dim, dim**-0.5))
    points = POINTS if dim < 100 else 2_000
    estimate = law.kl_monte_carlo(other, points, np.random.default_rng(dim))
    assert estimate.n == points
    assert agrees(estimate, law.kl(other))
    assert estimate.standard_error < 0.1 * max(distance, distance**2)


@pytest.mark.parametrize("df", [1, 4, 30])
@pytest.mark.parametrize("dim", [1, 2, 100, 1_000_000])
@pytest.mark.parametrize("distance", [0.1, 1, 10])
def test_three_scalars_agree_with_the_exact_student_t(df, dim, distance):
    estimate = student_t_kl_reduced(distance, df, dim, 100_000, np.random.default_rng(0))
    assert agrees(estimate, student_t_kl(distance, df, dim))


def test_grouped_law_through_both_estimators():
    rng = np.random.default_rng(4)
    law = StudentT(rng.normal(size=(10, 30)), df=4, scale=0.1, groups=20)
    other = law.at(rng.normal(size=(10, 30)))
    for estimator in ("pyro", "reduced"):
        estimate = law.kl_monte_carlo(other, POINTS, np.random.default_rng(5), estimator)
        assert agrees(estimate, law.kl(other))


def gaussian_pairs():
    rng = np.random.default_rng(6)
    one, two = rng.normal(size=(2, 12))
    curvature = SoftmaxCurvature(rng.normal(size=(9, 4)), rng.normal(size=(9, 3)))
    laws = [
        IsotropicGaussian(one, 2.0),
        DiagonalGaussian(one, np.linspace(1, 4, 12)),
        SpectralGaussian(one, DenseRotation.draw(12, 0), default_spectrum(12), 5.0),
        SpectralGaussian(one, FastRotation(12, 0), default_spectrum(12), 5.0),
        FisherGaussian(one, curvature, 2.0),
        DiagonalFisherGaussian(one, curvature, 2.0),
    ]
    yield from ((law, law.at(two)) for law in laws)
    yield laws[1], DiagonalGaussian(two, np.linspace(3, 2, 12))
    yield laws[0], IsotropicGaussian(two, 3.0)


@pytest.mark.parametrize("pair", list(gaussian_pairs()), ids=lambda pair: type(pair[0]).__name__)
def test_gaussian_laws_agree(pair):
    one, two = pair
    estimate = one.kl_monte_carlo(two, POINTS, np.random.default_rng(7))
    assert agrees(estimate, one.kl(two))
    assert estimate.standard_error < 0.1 * max(1, one.kl(two))


def test_standard_error_is_the_spread_of_estimates():
    exact = student_t_kl(1.0, 4, 100)
    generator = np.random.default_rng(8)
    estimates = [student_t_kl_reduced(1.0, 4, 100, 500, generator) for _ in range(400)]
    scores = [(e.value - exact) / e.standard_error for e in estimates]
    assert abs(np.mean(scores)) < 4 / 20
    assert np.std(scores) == pytest.approx(1, abs=4 / np.sqrt(800))


@pytest.mark.parametrize("estimator", ["pyro", "reduced"])
def test_reproducible_from_the_generator(estimator):
    law = StudentT(np.zeros(3))
    other = law.at(np.ones(3))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    generator = np.random.default_rng(9)
    first, second = (law.kl_monte_carlo(other, 50, generator, estimator) for _ in range(2))
    again = law.kl_monte_carlo(other, 50, np.random.default_rng(9), estimator)
    assert first == again
    assert first != second
    assert torch.equal(torch.random.get_rng_state(), before)


def test_chunks_are_one_sample(monkeypatch):
    monkeypatch.setattr("ap3.latent.monte_carlo.BLOCK", 1000)
    drawn = np.random.default_rng(10).normal(loc=1e6, size=777)
    from ap3.latent.monte_carlo import mean_in_chunks

    left = list(drawn)
    estimate = mean_in_chunks(lambda n: np.array([left.pop(0) for _ in range(n)]), 777, width=100)
    assert estimate.value == pytest.approx(drawn.mean(), rel=1e-15)
    assert estimate.standard_error == pytest.approx(drawn.std(ddof=1) / np.sqrt(777), rel=1e-9)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("ap3.latent.monte_carlo.BLOCK", 2**15)
    law = IsotropicGaussian(np.zeros(1000), 1.0)
    other = law.at(np.full(1000, 0.03))
    tracemalloc.start()
    law.kl_monte_carlo(other, 3000, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21 < 3000 * 1000 * 8


def test_mistakes():
    law = StudentT(np.zeros(3))
    generator = np.random.default_rng(0)
    with pytest.raises(UserError, match="at least 2"):
        law.kl_monte_carlo(law, 1, generator)
    with pytest.raises(UserError, match="estimator"):
        law.kl_monte_carlo(law, 10, generator, "exact")
    with pytest.raises(UserError, match="scale"):
        law.kl_monte_carlo(StudentT(np.zeros(3), scale=2.0), 10, generator)
    large = StudentT(np.zeros(5000), groups=None)
    with pytest.raises(UserError, match="reduced"):
        large.kl_monte_carlo(large, 10, generator)
    with pytest.raises(UserError, match="diagonal"):
        IsotropicGaussian(np.zeros(3), 1.0).kl_monte_carlo(law, 10, generator)
