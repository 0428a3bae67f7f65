"""Exact tests against scipy, and against every way that signs can fall."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ap3.explaining.paired_accuracies import discordant, mcnemar, sign_flips

few = st.integers(0, 5)


@given(a=st.integers(0, 400), b=st.integers(0, 400))
def test_scipy_has_the_same_binomial_test(a, b):
    exact = binomtest(a, a + b).pvalue if a + b else 1.0
    assert mcnemar(a, b) == pytest.approx(exact, rel=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)
    assert mcnemar(a, b, mid=True) <= mcnemar(a, b)


def test_a_table_at_once():
    a, b = np.arange(6), np.arange(6)[:, np.newaxis]
    each = [[float(mcnemar(i, j, mid=True)) for i in range(6)] for j in range(6)]
    np.testing.assert_array_equal(mcnemar(a, b, mid=True), each)
    assert (np.diag(each) > 1 - 1e-12).all()


def test_ties_on_the_threshold_of_one_standard_error():
    """k discordant examples and net √k: one answer, with no rounding on its edge."""
    for root in range(2, 20):
        count, more = root**2, (root**2 + root) // 2
        p_value = mcnemar(more, count - more)
        assert 0.2 < p_value < 0.7
        assert not np.isclose(p_value, 0.05, atol=0.1)


def test_the_level_is_kept():
    rng = np.random.default_rng(0)
    count = rng.integers(5, 60, size=200_000)
    a = rng.binomial(count, 0.5)
    exact, mid = (np.mean(mcnemar(a, count - a, mid=mid) <= 0.05) for mid in (False, True))
    assert exact <= 0.05
    assert 0.04 < mid < 0.06


@given(st.tuples(few, few, few, few))
def test_every_way_that_the_signs_can_fall(counts):
    sizes = [1] * (counts[0] + counts[1]) + [2] * (counts[2] + counts[3])
    seen = abs(counts[0] - counts[1] + 2 * (counts[2] - counts[3]))
    if len(sizes) > 12:
        return
    sums = [abs(np.dot(sizes, signs)) for signs in product((-1, 1), repeat=len(sizes))]
    exact = np.mean([total >= seen for total in sums])
    beyond = np.mean([total > seen for total in sums])
    assert sign_flips(*counts) == pytest.approx(exact, rel=1e-12)
    mid = 1.0 if seen == 0 else (exact + beyond) / 2
    assert sign_flips(*counts, mid=True) == pytest.approx(mid, rel=1e-12)


@given(a=st.integers(0, 300), b=st.integers(0, 300), mid=st.booleans())
def test_without_twos_it_is_mcnemars(a, b, mid):
    assert sign_flips(a, b, 0, 0, mid) == pytest.approx(mcnemar(a, b, mid), rel=1e-9)


def test_discordant_examples_by_loops():
    correct = np.random.default_rng(1).random((3, 4, 50)) > 0.3
    found = discordant(correct)
    for t, i, j in product(range(3), range(4), range(4)):
        assert found[t, i, j] == np.sum(correct[t, i] & ~correct[t, j])
