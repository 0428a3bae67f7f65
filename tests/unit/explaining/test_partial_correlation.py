"""Correlation within groups against a regression on the groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata

from ap3.explaining.partial_correlation import partial_correlation


@given(seed=st.integers(0, 10_000), ranks=st.booleans())
def test_residuals_of_a_regression_on_the_groups(seed, ranks):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(["x", "y", "z"], 5))
    one, two = rng.normal(size=(2, 15)) + 3 * (groups == "y")
    design = (groups[:, np.newaxis] == np.unique(groups)).astype(float)

    def residual(values):
        values = rankdata(values) if ranks else values
        return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

    exact = pearsonr(residual(one), residual(two))[0]
    assert partial_correlation(one, two, groups, ranks) == pytest.approx(exact, abs=1e-10)


def test_one_group_is_plain_correlation():
    one, two = np.random.default_rng(0).normal(size=(2, 3, 9))
    found = partial_correlation(one, two, np.zeros(9), ranks=False)
    np.testing.assert_allclose(found, [pearsonr(a, b)[0] for a, b in zip(one, two, strict=True)])


def test_what_only_knows_the_group_says_nothing():
    groups = np.repeat([0.1, 0.3, 0.7], 4)
    noise = np.random.default_rng(0).normal(size=12)
    assert np.isnan(partial_correlation(groups, groups + 0.01 * noise, groups))
    assert np.isnan(partial_correlation(groups, groups + 0.01 * noise, groups, ranks=False))
    assert np.isnan(partial_correlation(noise, noise, np.arange(12)))
