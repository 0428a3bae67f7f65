"""The bound that knows both slopes: its factor, its second term, and where it is sharp."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_pairs import pair
from scipy.integrate import quad

from ap3.measuring.logit_change import LogitChange, means
from ap3.measuring.predictive_law import forward_kl, reverse_kl
from ap3.measuring.two_ends import early_share, jeffreys, two_ends_lower, two_ends_upper


def test_the_share_is_the_mean_that_it_is_derived_from():
    for rate in (-30.0, -1.0, -1e-3, 0.0, 0.3, 1.0, 5.0):
        whole = quad(lambda t, r=rate: np.exp(-r * t), 0, 1)[0]
        early = quad(lambda t, r=rate: (1 - t) * np.exp(-r * t), 0, 1)[0]
        assert early_share(rate) == pytest.approx(early / whole, rel=1e-12)


@given(rate=st.floats(-1e6, 1e6))
def test_every_digit_of_the_share(rate):
    with mpmath.workdps(60):
        x = mpmath.mpf(rate)
        true = 0.5 if abs(rate) < 1e-20 else 1 / (1 - mpmath.exp(-x)) - 1 / x
        assert early_share(rate) == pytest.approx(float(true), rel=1e-14)


@given(seed=st.integers(0, 10_000), size=st.floats(-7, 2), classes=st.integers(2, 8))
def test_the_change_of_the_slope_is_both_kls(seed, size, classes):
    made = pair(seed, examples=3, size=10**size, classes=classes)
    found = means(*made.parts, {"j": jeffreys, "there": forward_kl, "back": reverse_kl})
    np.testing.assert_allclose(found["j"], found["there"] + found["back"], rtol=1e-9)


@given(seed=st.integers(0, 10_000), size=st.floats(-3, 2), classes=st.integers(2, 8))
def test_it_is_within_what_convexity_says(seed, size, classes):
    made = pair(seed, examples=3, size=10**size, classes=classes)
    quantities = {"low": two_ends_lower, "kl": forward_kl, "high": two_ends_upper, "j": jeffreys}
    low, kl, high, change = means(*made.parts, quantities).values()
    assert (low >= 0).all()
    assert (low <= kl * (1 + 1e-12)).all()
    assert (kl <= high * (1 + 1e-12)).all()
    assert (high <= change * (1 + 1e-12)).all()


def test_the_gap_is_of_third_order():
    gaps = []
    for size in (1e-2, 1e-3):
        found = means(
            *pair(5, others=1, size=size).parts, {"a": two_ends_lower, "b": two_ends_upper}
        )
        gaps.append((found["b"] - found["a"])[0])
    assert 500 < gaps[0] / gaps[1] < 2000


def test_a_rare_class_that_rises_reaches_the_lower_end():
    """A class of probability e⁻⁵⁰⁰ that rises by 400 nats is still rare: f″ grows like eᵇᵗ."""
    made = LogitChange(np.array([[[0.0, -500.0]]]), np.array([[[0.0, 400.0]]]))
    assert two_ends_lower(made)[0, 0] == pytest.approx(forward_kl(made)[0, 0], rel=1e-12)
    back = made.reverse
    assert two_ends_upper(back)[0, 0] == pytest.approx(forward_kl(back)[0, 0], rel=1e-12)
