"""The bounds: what is proved holds on problems with known numbers, what is printed may not."""

import numpy as np
import pytest
from head_problems import problem
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from ap3.latent import (
    DiagonalGaussian,
    FastRotation,
    IsotropicGaussian,
    SpectralGaussian,
    StudentT,
    default_spectrum,
)
from ap3.measuring import bound_formulas
from ap3.measuring.head_loss import HeadLoss

positive = st.floats(1e-3, 1e3)


def laws_at(weights, seed):
    """Laws that see every weight, with scales of all sizes."""
    rng, n = np.random.default_rng(seed), weights.size
    scale = 10 ** rng.uniform(-3, 2)
    spectrum = default_spectrum(n)
    return [
        IsotropicGaussian(weights, scale),
        DiagonalGaussian(weights, scale * rng.uniform(0.1, 10, n)),
        SpectralGaussian(weights, FastRotation(n, seed), spectrum, scale),
        StudentT(weights, df=4, scale=scale, groups=None),
    ]


@given(seed=st.integers(0, 100_000), size=st.floats(1e-3, 30.0), bias=st.booleans())
def test_what_is_rederived_holds(seed, size, bias):
    made = problem(seed, examples=15, inputs=3)
    rng = np.random.default_rng(seed + 1)
    other = (made.weight + size * rng.normal(size=made.weight.shape)) * (rng.random((3, 3)) > 0.3)
    other_bias = made.bias + bias * rng.normal(size=3)
    value, gradient = made.loss.value_and_gradient(made.weight, made.bias)
    pd_loss = abs(made.loss.value_and_gradient(other, other_bias)[0] - value)
    slack = bound_formulas.bias_bound(other_bias - made.bias)
    slope, curvature = np.linalg.norm(gradient), made.loss.curvature_bound
    for law in laws_at(made.weight, seed):
        kl, spread = law.kl(law.at(other)), law.spread
        distance2, trace = np.square(other - made.weight).sum(), 2 * spread.trace
        tiny = 1 + 1e-9
        assert kl * tiny >= bound_formulas.corollary_2_6(distance2, trace)
        assert distance2 <= bound_formulas.equation_16(kl, trace) * tiny
        assert pd_loss <= bound_formulas.lemma_3_1(kl, trace, slope, curvature) * tiny + slack
        if spread.gaussian:
            assert distance2 <= bound_formulas.equation_20(kl, spread.precision_min) * tiny
            assert kl <= bound_formulas.equation_4(distance2, spread.precision_max) * tiny
            bound = bound_formulas.corollary_3_2(kl, spread.precision_min, slope, curvature)
            assert pd_loss <= bound * tiny + slack
            tested = bound_formulas.equation_5(
                distance2, kl, spread.precision_min, spread.precision_max
            )
            assert tested["conclusion"] or not tested["condition"]


SATURATED = HeadLoss(np.ones((1, 1)), np.array([1]))
"""One example, one weight that counts. Where class 0 is all but certain the loss is steep and flat:
its slope is −1 and its curvature next to nothing."""
PRUNED, UNPRUNED = np.array([[20.0], [0.0]]), np.array([[0.0], [0.0]])


def test_what_is_printed_can_fail():
    """λ_max at one point and no slope: the loss differs by 19, the bounds say 10⁻⁶."""
    bias = np.zeros(2)
    values = [SATURATED.value_and_gradient(w, bias)[0] for w in (UNPRUNED, PRUNED)]
    pd_loss = abs(values[1] - values[0])
    assert pd_loss == pytest.approx(20 - np.log(2), rel=1e-6)
    eigenvalue, _ = SATURATED.top_eigenvalue(PRUNED, bias)
    law = IsotropicGaussian(UNPRUNED, variance=200.0)  # ε = 1 < 2
    kl, spread = law.kl(law.at(PRUNED)), law.spread
    assert kl == 1
    assert bound_formulas.lemma_3_1_printed(kl, 2 * spread.trace, eigenvalue) < 1e-5 < pd_loss
    assert (
        bound_formulas.corollary_3_2_printed(kl, spread.precision_min, eigenvalue) < 1e-6 < pd_loss
    )
    slope = np.linalg.norm(SATURATED.value_and_gradient(UNPRUNED, bias)[1])
    held = bound_formulas.corollary_3_2(kl, spread.precision_min, slope, SATURATED.curvature_bound)
    assert pd_loss < held < 10 * pd_loss


def test_the_root_in_corollary_3_2_can_fail_even_for_a_quadratic_loss():
    """With L(w) = ½ w² the loss difference from the optimum is ½Δ², and ½ |Δ| is printed."""
    law = IsotropicGaussian([0.0], variance=1.0)
    kl = law.kl(law.at([4.0]))
    assert bound_formulas.corollary_3_2_printed(kl, 1.0, eigenvalue=1.0) == 2.0 < 8.0
    assert bound_formulas.corollary_3_2(kl, 1.0, slope=0.0, curvature=1.0) == 8.0


@given(distance=st.floats(1e-3, 20), variance=positive)
def test_lemma_2_5_on_gaussians(distance, variance):
    """The total variation of two normal laws is 2Φ(δ/2) − 1."""
    total_variation = 2 * norm.cdf(distance / 2) - 1
    lower = np.sqrt(bound_formulas.corollary_2_6(distance**2 * variance, 2 * variance) / 2)
    assert lower <= total_variation * (1 + 1e-12)


@given(a=positive, trace=positive)
def test_equation_16_inverts_corollary_2_6_and_the_printed_one_is_half(a, trace):
    kl = bound_formulas.corollary_2_6(a, trace)
    assert bound_formulas.equation_16(kl, trace) == pytest.approx(a, rel=1e-6)
    assert bound_formulas.equation_16_printed(kl, trace) == pytest.approx(a / 2, rel=1e-6)


def test_equation_16_as_printed_is_not_refuted_by_laws_on_two_points():
    """Of all laws with given means and variances these have the least KL."""
    grid = np.concatenate([np.logspace(-6, -0.31, 200), 1 - np.logspace(-6, -0.31, 200)])
    p, q = np.meshgrid(grid, grid)
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    printed = bound_formulas.equation_16_printed(np.maximum(kl, 0), p * (1 - p) + q * (1 - q))
    apart = np.abs(p - q) > 1e-6
    ratio = (p - q)[apart] ** 2 / printed[apart]
    assert 0.7 < ratio.max() < 0.75


def test_nothing_is_said_from_a_kl_of_2_on():
    assert np.isinf(bound_formulas.equation_16([2.0, 3.0], 1.0)).all()
    assert np.isinf(bound_formulas.lemma_3_1(2.0, 1.0, 0.5, 1.0))


def test_equation_5_as_printed_is_refuted_by_any_large_covariance():
    law = IsotropicGaussian([0.0, 0.0], variance=3.0)
    tested = bound_formulas.equation_5(2.0, law.kl(law.at([1.0, 1.0])), 1 / 3, 1 / 3)
    assert tested["condition_printed"]
    assert not tested["condition"]
    assert not tested["conclusion"]


@given(
    logits=st.lists(st.floats(-30, 30), min_size=3, max_size=3),
    change=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
    label=st.integers(0, 2),
)
def test_bias_bound(logits, change, label):
    z, c = np.array(logits), np.array(change)

    def cross_entropy(z):
        return np.log(np.exp(z - z.max()).sum()) + z.max() - z[label]

    assert abs(cross_entropy(z + c) - cross_entropy(z)) <= bound_formulas.bias_bound(c) + 1e-12


def test_the_bias_bound_is_reached_by_a_certain_and_wrong_answer():
    z, c = np.array([40.0, 0.0]), np.array([1.0, -1.0])
    gap = np.logaddexp(*(z + c)) - (z + c)[1] - (np.logaddexp(*z) - z[1])
    assert gap == pytest.approx(bound_formulas.bias_bound(c), abs=1e-12)


def test_along_fine_tuning():
    law = IsotropicGaussian([0.0, 0.0], variance=0.5)
    path = np.array([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    kl, from_last = law.kl_many(path), law.at(path[-1]).kl_many(path)
    np.testing.assert_allclose(bound_formulas.definition_2_7(kl), [8, 3, 0])
    np.testing.assert_allclose(bound_formulas.theorem_3_6(kl, from_last), [3, 0, 1])


def test_where_the_divergence_is_too_large_a_bound_is_infinite_even_without_curvature():
    assert bound_formulas.lemma_3_1_printed(2.0, 1.0, 0.0) == np.inf
    assert bound_formulas.lemma_3_1(3.0, 1.0, slope=0.0, curvature=0.0) == np.inf
    np.testing.assert_array_equal(
        bound_formulas.lemma_3_1_printed(np.array([0.5, 5.0]), 1.0, np.zeros(2)), [0, np.inf]
    )
