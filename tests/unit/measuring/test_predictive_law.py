"""Divergences of predictions against fifty digits, of changes of any size."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from layer_pairs import pair
from scipy.spatial.distance import jensenshannon

from ap3.measuring import predictive_law
from ap3.measuring.logit_change import LogitChange, means
from ap3.measuring.predictive_law import DIVERGENCES


def exact(before, change):
    """Divergences of one example by the sums as they are written, in 400 digits."""
    with mpmath.workdps(400):
        z = [mpmath.mpf(float(value)) for value in before]
        w = [one + mpmath.mpf(float(u)) for one, u in zip(z, change, strict=True)]
        p, q = ([mpmath.exp(x) for x in logits] for logits in (z, w))
        p, q = ([x / sum(law) for x in law] for law in (p, q))
        m = [(one + two) / 2 for one, two in zip(p, q, strict=True)]

        def kl(one, two):
            return sum(a * mpmath.log(a / b) for a, b in zip(one, two, strict=True))

        middle = (kl(p, m) + kl(q, m)) / 2
        return {
            "forward": float(kl(p, q)),
            "reverse": float(kl(q, p)),
            "jensen_shannon": float(middle),
        }


sizes = st.floats(-3, 3)


@given(seed=st.integers(0, 10_000), scale=sizes, size=st.floats(-7, 3), classes=st.integers(2, 6))
def test_every_digit_that_counts(seed, scale, size, classes):
    rng = np.random.default_rng(seed)
    before = (10**scale * rng.normal(size=classes)).reshape(1, 1, -1)
    change = (10**size * rng.normal(size=classes)).reshape(1, 1, -1)
    # z + u is rounded in the functions as well, which no formula can mend.
    change = (before + change) - before
    true = exact(before[0, 0], change[0, 0])
    made = LogitChange(before, change)
    for name, divergence in DIVERGENCES.items():
        slack = 1e-16 * max(1.0, 10**scale, 10**size)
        assert divergence(made)[0, 0] == pytest.approx(true[name], rel=1e-11, abs=1e-8 * slack), (
            name
        )


def test_tiny_changes_have_the_digits_that_a_plain_sum_loses():
    rng = np.random.default_rng(1)
    before = rng.normal(size=(1, 1, 5))
    change = (before + 1e-9 * rng.normal(size=(1, 1, 5))) - before
    true, made = exact(before[0, 0], change[0, 0]), LogitChange(before, change)
    assert true["forward"] < 1e-17
    for name, divergence in DIVERGENCES.items():
        assert divergence(made)[0, 0] == pytest.approx(true[name], rel=1e-12)


def test_other_libraries():
    made = pair(7)
    found = means(*made.parts, DIVERGENCES)
    before, after = (torch.log_softmax(torch.tensor(z), dim=2) for z in made.logits)
    before = before.expand_as(after)

    def kl(one, two):
        return (
            torch.nn.functional.kl_div(two, one, log_target=True, reduction="none").sum(2).mean(0)
        )

    np.testing.assert_allclose(found["forward"], kl(before, after), rtol=1e-12)
    np.testing.assert_allclose(found["reverse"], kl(after, before), rtol=1e-12)
    p, q = before.exp().numpy(), after.exp().numpy()
    middle = np.square(jensenshannon(p, q, axis=2)).mean(axis=0)
    np.testing.assert_allclose(found["jensen_shannon"], middle, rtol=1e-10)


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 30.0])
def test_by_logarithms_and_without(size, monkeypatch):
    rng = np.random.default_rng(2)
    before, change = rng.normal(size=(50, 1, 10)), size * rng.normal(size=(50, 4, 10))
    found = [each(LogitChange(before, change)) for each in DIVERGENCES.values()]
    monkeypatch.setattr(predictive_law, "_is_moderate", lambda *given: False)
    by_logarithms = [each(LogitChange(before, change)) for each in DIVERGENCES.values()]
    np.testing.assert_allclose(found, by_logarithms, rtol=1e-13)


def test_nothing_changes():
    made = pair()
    found = means(made.features, made.reference, made.reference[np.newaxis], DIVERGENCES)
    assert [values.tolist() for values in found.values()] == [[0.0]] * 3


def test_certain_answers_that_turn_round():
    made = LogitChange(np.array([[[0.0, 2000.0]]]), np.array([[[0.0, -4000.0]]]))
    assert DIVERGENCES["forward"](made)[0, 0] == pytest.approx(2000, rel=1e-12)
    assert DIVERGENCES["reverse"](made)[0, 0] == pytest.approx(2000, rel=1e-12)
    assert DIVERGENCES["jensen_shannon"](made)[0, 0] == pytest.approx(np.log(2), rel=1e-12)
