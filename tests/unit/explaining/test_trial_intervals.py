"""Student's intervals and Holm's correction against scipy, by hand, and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ttest_1samp

from ap3.explaining.trial_intervals import holm, t_interval

numbers = arrays(np.float64, (6, 3), elements=st.floats(-100, 100, width=16))


@given(numbers, st.floats(-2, 2))
def test_scipy(values, null):
    values = values + np.linspace(0, 1, 6)[:, np.newaxis]  # never all the same
    values[0, 0] = np.nan
    found = t_interval(values, null=null)
    for column in range(3):
        known = values[np.isfinite(values[:, column]), column]
        scipy = ttest_1samp(known, null)
        interval = scipy.confidence_interval(0.95)
        assert found.n[column] == len(known)
        assert found.mean[column] == pytest.approx(known.mean(), abs=1e-12)
        assert found.low[column] == pytest.approx(interval.low, rel=1e-9, abs=1e-9)
        assert found.high[column] == pytest.approx(interval.high, rel=1e-9, abs=1e-9)
        assert found.p_value[column] == pytest.approx(scipy.pvalue, rel=1e-7, abs=1e-12)


def test_few_and_equal_trials():
    one = t_interval(np.array([[3.0, np.nan], [np.nan, np.nan]]))
    assert one.mean[0] == 3
    assert np.isnan([one.mean[1], one.low[0], one.p_value[0], one.p_value[1]]).all()
    same = t_interval(np.full((4, 1), 0.1), axis=0)
    assert same.low == same.high == same.mean
    assert np.isnan(same.p_value)  # four that agree say nothing of how far a fifth would be


def test_the_interval_covers_as_often_as_it_says():
    values = np.random.default_rng(0).normal(size=(10, 100_000))
    found = t_interval(values)
    assert np.mean((found.low <= 0) & (found.high >= 0)) == pytest.approx(0.95, abs=0.003)


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_holm_step_by_step(p_values):
    """Reject the smallest while it is at most level/(tests left); the first that stays ends it."""
    adjusted = holm(p_values)
    for level in np.unique(adjusted[adjusted < 1]):
        rejected, left = set(), len(p_values)
        for index in np.argsort(p_values, kind="stable"):
            if p_values[index] * left > level * (1 + 1e-12):
                break
            rejected.add(int(index))
            left -= 1
        assert rejected == set(np.flatnonzero(adjusted <= level * (1 + 1e-12)).tolist())
    assert (adjusted >= p_values).all()


def test_holm_leaves_out_what_is_no_test_and_keeps_its_promise():
    np.testing.assert_array_equal(holm([np.nan, 0.5]), [np.nan, 0.5])
    assert holm([]).size == 0
    drawn = np.random.default_rng(0).random((4000, 7))
    assert np.mean([holm(row).min() <= 0.05 for row in drawn]) == pytest.approx(0.05, abs=0.012)
