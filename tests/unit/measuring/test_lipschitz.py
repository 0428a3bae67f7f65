"""Bounds linear in the distance: reached, and true along a path."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_pairs import losses, pair

from ap3.latent import IsotropicGaussian
from ap3.measuring.bound_formulas import equation_20
from ap3.measuring.lipschitz import lipschitz_bound, mean_norm


@given(
    seed=st.integers(0, 100_000),
    scale=st.floats(0.01, 30),
    size=st.floats(1e-6, 30),
    classes=st.integers(2, 12),
    examples=st.integers(1, 6),
)
def test_no_loss_moves_farther(**shape):
    made = pair(**shape)
    before, after = made.logits
    pd_loss = np.abs(losses(after, made.labels) - losses(before, made.labels))
    change = made.others - made.reference
    weights, bias = change[..., :-1], change[..., -1]
    frobenius = np.square(weights).sum(axis=(1, 2))
    spectral = np.linalg.norm(weights, 2, axis=(1, 2)) ** 2
    norm = mean_norm(made.features)
    tighter = lipschitz_bound(norm, spectral, bias)
    assert (pd_loss <= tighter * (1 + 1e-12)).all()
    assert (tighter <= lipschitz_bound(norm, frobenius, bias) * (1 + 1e-12)).all()
    law = IsotropicGaussian(np.zeros(weights[0].size), 0.3)
    of_kl = equation_20(law.kl_many(weights), 1 / 0.3)
    np.testing.assert_allclose(of_kl, frobenius, rtol=1e-12)


def test_a_certain_and_wrong_answer_reaches_it():
    """u = (r, −r) against (1, 0): the loss falls by 2r, and √2 ‖u‖ = 2r."""
    made = pair(0, examples=1, inputs=1, classes=2, others=1)
    made.reference[:] = [[-100.0, 0.0], [100.0, 0.0]]
    made.others = made.reference + np.array([[[1.0, 0.0], [-1.0, 0.0]]])
    made.labels[:] = 0
    made.features[:] = 1.0
    before, after = made.logits
    fall = losses(before, made.labels) - losses(after, made.labels)
    np.testing.assert_allclose(fall, lipschitz_bound(1.0, [2.0]), rtol=1e-12)


@pytest.mark.parametrize("block", [1, 2**22])
def test_mean_norm(block, monkeypatch):
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", block)
    made = pair()
    expected = np.sqrt((made.features**2).sum(axis=1)).mean()
    assert mean_norm(made.features) == pytest.approx(expected, rel=1e-13)
