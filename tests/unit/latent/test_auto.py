"""Scales from the baseline alone, and group means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ap3.errors import UserError
from ap3.latent import (
    FULL_PRUNING_KL,
    DiagonalFisherGaussian,
    FastRotation,
    FisherGaussian,
    IsotropicGaussian,
    SoftmaxCurvature,
    SpectralGaussian,
    StudentT,
    auto_fisher_scale,
    auto_scale,
    auto_student_t_scale,
    auto_variance,
    default_spectrum,
    group_means,
)

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(3, 70))
CURVATURE = SoftmaxCurvature(RNG.normal(size=(9, 70)), RNG.normal(size=(9, 3)))
ROTATION, SPECTRUM = FastRotation(210, 0), default_spectrum(210)


@pytest.mark.parametrize(
    "law",
    [
        IsotropicGaussian(WEIGHTS, auto_variance(WEIGHTS)),
        SpectralGaussian(WEIGHTS, ROTATION, SPECTRUM, auto_scale(WEIGHTS, ROTATION, SPECTRUM)),
        FisherGaussian(WEIGHTS, CURVATURE, auto_fisher_scale(WEIGHTS, CURVATURE)),
        DiagonalFisherGaussian(
            WEIGHTS, CURVATURE, auto_fisher_scale(WEIGHTS, CURVATURE, DiagonalFisherGaussian)
        ),
    ],
    ids=lambda law: type(law).__name__,
)
def test_pruning_everything_gives_1_9(law):
    assert FULL_PRUNING_KL == 1.9
    assert law.kl(law.at(0 * WEIGHTS)) == pytest.approx(1.9, rel=1e-13)


def test_variance_is_the_squared_norm_over_3_8():
    assert auto_variance(WEIGHTS) == pytest.approx(np.sum(WEIGHTS**2) / 3.8, rel=1e-14)


@pytest.mark.parametrize("groups", [None, 100, 7])
def test_student_t_shares_what_it_says(groups):
    location = StudentT(WEIGHTS, groups=groups).location
    variance = location @ location / 3.8
    covariance = auto_student_t_scale(WEIGHTS, 6, groups, "covariance")
    scale = auto_student_t_scale(WEIGHTS, 6, groups, "scale")
    assert 6 / 4 * covariance**2 == pytest.approx(variance, rel=1e-13)
    assert scale**2 == pytest.approx(variance, rel=1e-13)


def test_no_scale_from_zeros():
    zeros = np.zeros((3, 70))
    for attempt in (
        lambda: auto_variance(zeros),
        lambda: auto_scale(zeros, ROTATION, SPECTRUM),
        lambda: auto_student_t_scale(zeros),
        lambda: auto_student_t_scale([1.0, -1.0], groups=1),
        lambda: auto_fisher_scale(zeros, CURVATURE),
    ):
        with pytest.raises(UserError, match="all zero"):
            attempt()


def test_student_t_without_covariance_is_refused():
    with pytest.raises(UserError, match="above 2"):
        auto_student_t_scale(WEIGHTS, df=2.0)


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(st.integers(1, 300), st.integers(1, 120))
def test_groups_are_those_of_array_split(n, groups):
    weights = np.random.default_rng(n).normal(size=(2, n))
    parts = np.array_split(weights, min(groups, n), axis=1)
    expected = np.stack([part.mean(axis=1) for part in parts], axis=1)
    np.testing.assert_allclose(group_means(weights, groups), expected, rtol=1e-12, atol=1e-15)


def test_as_many_groups_as_weights_change_nothing():
    weights = np.arange(5.0)
    np.testing.assert_array_equal(group_means(weights, 100), weights)
