"""What encloses the KL of predictions, at its limits and against quadrature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_pairs import losses, pair
from scipy.integrate import quad

from ap3.measuring.exponential_remainder import psi
from ap3.measuring.kl_enclosures import ENCLOSURES
from ap3.measuring.logit_change import LogitChange, means
from ap3.measuring.slopes import slope_before
from ap3.measuring.two_ends import early_share


def test_the_factor_is_the_integral_that_it_is_derived_from():
    for rate in (-30.0, -1.0, 0.0, 0.3, 5.0):
        assert psi(rate) == pytest.approx(quad(lambda t, r=rate: (1 - t) * np.exp(r * t), 0, 1)[0])


@given(
    seed=st.integers(0, 100_000),
    scale=st.floats(0.01, 30),
    size=st.floats(1e-6, 30),
    classes=st.integers(2, 12),
    examples=st.integers(1, 6),
)
def test_the_performance_difference_is_enclosed(**shape):
    made = pair(**shape)
    before, after = made.logits
    pd_loss = losses(after, made.labels) - losses(before, made.labels)
    found = means(*made.parts, {"slope": slope_before, **ENCLOSURES}, made.labels)
    slope, slack = found["slope"], 1e-12 * (1 + np.abs(pd_loss))
    for kind in ("self_concordant", "bennett", "two_ends"):
        assert (slope + found[f"{kind}_lower"] <= pd_loss + slack).all()
        assert (pd_loss <= slope + found[f"{kind}_upper"] + slack).all()
    assert (found["bennett_upper"] <= found["self_concordant_upper"] * (1 + 1e-12)).all()


def test_by_hand():
    """Two even classes, u = (0, r): q = r²/4, R = r, a = b = r/2, KL = log cosh(r/2).

    The far prediction is ½ (1 ± t), t = tanh(r/2), and so J = ½ r t and the fall is ½ r (1 + t).
    """
    rates = np.array([1e-6, 0.1, 1.0, 20.0])
    made = LogitChange(np.zeros((4, 1, 2)), np.stack([0 * rates, rates], axis=1)[:, np.newaxis])
    found = {name: bound(made)[:, 0] for name, bound in ENCLOSURES.items()}
    q, tanh = rates**2 / 4, np.tanh(rates / 2)
    true = {
        "self_concordant_lower": psi(-rates) * q,
        "self_concordant_upper": psi(rates) * q,
        "bennett_lower": np.log1p(psi(-rates / 2) * q),
        "bennett_upper": np.log1p(psi(rates / 2) * q),
        "two_ends_lower": 0.5 * rates * tanh * early_share(-rates / 2),
        "two_ends_upper": 0.5 * rates * tanh * early_share(0.5 * rates * (1 + tanh)),
    }
    assert set(true) == set(ENCLOSURES)
    for name in true:
        np.testing.assert_allclose(found[name], true[name], rtol=1e-12)


def test_all_meet_at_small_changes():
    made = pair(2, size=1e-7)
    found = list(means(*made.parts, ENCLOSURES).values())
    for values in found:
        np.testing.assert_allclose(values, found[0], rtol=1e-5)


def test_extremes_stay_numbers():
    """A change of 10⁴ nats: self-concordance overflows to infinity, Bennett stays near it."""
    made = LogitChange(np.array([[[0.0, -1000.0]]]), np.array([[[0.0, 10_000.0]]]))
    found = {name: bound(made)[0, 0] for name, bound in ENCLOSURES.items()}
    assert found["self_concordant_upper"] == np.inf
    assert found["bennett_upper"] == pytest.approx(9000, rel=1e-12)
    assert found["bennett_lower"] == pytest.approx(0, abs=1e-300)
    assert found["two_ends_lower"] == pytest.approx(1, rel=1e-12)  # J = 10⁴, b = 10⁴
    assert found["two_ends_upper"] == pytest.approx(9999, rel=1e-12)
    still = LogitChange(np.zeros((1, 1, 3)), np.full((1, 1, 3), 7.0))
    assert [bound(still)[0, 0] for bound in ENCLOSURES.values()] == [0] * 6
