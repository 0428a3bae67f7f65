"""The least KL of laws with given means and variances: reached, inverted, at all sizes."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ap3.latent import FastRotation, IsotropicGaussian, SpectralGaussian, default_spectrum
from ap3.measuring.bound_formulas import corollary_2_6, equation_16_printed
from ap3.measuring.two_point import two_point_distance2, two_point_kl

positive = st.floats(1e-150, 1e150)


@given(x=st.floats(1e-8, 1 - 1e-8))
def test_two_laws_on_two_points_reach_it(x):
    """P = ((1 + x)/2, (1 − x)/2) and Q mirrored, on 0 and 1: means x apart, variance (1 − x²)/4."""
    with mpmath.workdps(40):
        x = mpmath.mpf(x)
        kl = float(2 * x * mpmath.atanh(x))
        variance = float((1 - x * x) / 4)
    distance2 = float(x * x)
    assert two_point_kl(distance2, variance) == pytest.approx(kl, rel=1e-14)
    assert two_point_distance2(kl, variance) == pytest.approx(distance2, rel=1e-12)


@given(ratio=st.floats(-290, 290), variance=st.floats(-8, 8))
def test_there_and_back(ratio, variance):
    variance = 10.0**variance
    distance2 = 10.0**ratio * variance
    kl = two_point_kl(distance2, variance)
    # An error of the last digit of ε is one of ε of ‖Δ‖² where ‖Δ‖² grows like eᵋ.
    assert two_point_distance2(kl, variance) == pytest.approx(distance2, rel=1e-14 * (1 + kl))


@given(kl=st.floats(1e-300, 600))
def test_the_root_to_the_last_digits(kl):
    found = two_point_distance2(kl, 1.0)
    with mpmath.workdps(350):
        theta = mpmath.asinh(mpmath.sqrt(mpmath.mpf(float(found))) / 2)
        assert float(2 * theta * mpmath.tanh(theta)) == pytest.approx(kl, rel=2e-15)


def test_limits():
    assert two_point_kl(0.0, 1.0) == two_point_distance2(0.0, 1.0) == 0
    assert two_point_kl(1e-20, 2.0) == pytest.approx(1e-20 / 4, rel=1e-12)  # a Gaussian's
    assert np.isinf(two_point_distance2(1e300, 1.0))


@given(seed=st.integers(0, 10_000), size=st.floats(1e-3, 1e2), scale=st.floats(1e-3, 1e2))
def test_latent_laws_are_not_nearer(seed, size, scale):
    rng = np.random.default_rng(seed)
    weights, step = rng.normal(size=(2, 6))
    other = weights + size * step
    spectrum = default_spectrum(6)
    laws = {
        IsotropicGaussian(weights, scale): scale,
        SpectralGaussian(weights, FastRotation(6, seed), spectrum, scale): scale * spectrum.max(),
    }
    for law, largest in laws.items():
        kl, distance2 = law.kl(law.at(other)), np.square(size * step).sum()
        assert two_point_kl(distance2, largest) <= kl * (1 + 1e-12)
        assert distance2 <= two_point_distance2(kl, largest) * (1 + 1e-10)
        # Sharper than the paper's, whatever n.
        assert (
            corollary_2_6(distance2, 2 * 6 * largest) <= two_point_kl(distance2, largest) + 1e-300
        )


def test_equation_16_as_printed_follows_for_one_variance():
    """T ≥ 2 λ_max; the ratio of ‖Δ‖² to what is printed never exceeds 0.63."""
    kl = np.concatenate([np.logspace(-12, 0, 2000), np.linspace(1, 2, 5000)[:-1]])
    ratio = two_point_distance2(kl, 1.0) / equation_16_printed(kl, 2.0)
    assert 0.6 < ratio.max() < 0.63
