"""The granulated coefficient against scipy's τ, group by group."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from ap3.explaining.granulated_kendall import granulated_kendall
from ap3.explaining.rank_counts import order, pairs

MODES, RATIOS = np.repeat(["a", "b", "c"], 4), np.tile([0.1, 0.3, 0.5, 0.8], 3)
SETTINGS = {"mode": MODES, "ratio": RATIOS}
COMPARED = pairs(MODES, RATIOS)["all"]


def granulated(one, two):
    return granulated_kendall(order(one, COMPARED), order(two, COMPARED), COMPARED, SETTINGS)


def test_scipy_group_by_group():
    one, two = np.random.default_rng(0).normal(size=(2, 5, 12))
    found = granulated(one, two)
    for trial in range(5):
        by_mode = [
            kendalltau(one[trial, g], two[trial, g])[0] for g in (r == RATIOS for r in set(RATIOS))
        ]
        by_ratio = [
            kendalltau(one[trial, g], two[trial, g])[0] for g in (m == MODES for m in set(MODES))
        ]
        assert found["mode"][trial] == pytest.approx(np.mean(by_mode))
        assert found["ratio"][trial] == pytest.approx(np.mean(by_ratio))
        assert found["mean"][trial] == pytest.approx((np.mean(by_mode) + np.mean(by_ratio)) / 2)


def test_what_knows_the_ratio_alone_explains_one_setting():
    pd_of = RATIOS + 0.01 * np.arange(12)
    found = granulated(RATIOS, pd_of)
    assert found["ratio"] == 1
    assert found["mode"] == 0
    assert found["mean"] == 0.5


def test_undecided_pairs_count_as_neither():
    found = granulated(np.zeros(12), np.arange(12.0))
    assert [float(found[name]) for name in found] == [0, 0, 0]


def test_a_setting_that_never_differs_alone_has_no_coefficient():
    compared = pairs(np.array(["a", "b"]), np.array([0.1, 0.1]))["all"]
    settings = {"mode": np.array(["a", "b"]), "ratio": np.array([0.1, 0.1])}
    found = granulated_kendall(np.array([1.0]), np.array([1.0]), compared, settings)
    assert np.isnan(found["ratio"])
    assert found["mean"] == found["mode"] == 1


def test_three_settings():
    rng = np.random.default_rng(1)
    settings = {
        "a": np.repeat([0, 1], 4),
        "b": np.tile(np.repeat([0, 1], 2), 2),
        "c": np.tile([0, 1], 4),
    }
    one, two = rng.normal(size=(2, 8))
    compared = pairs(settings["a"], settings["b"])["all"]
    found = granulated_kendall(order(one, compared), order(two, compared), compared, settings)
    apart = [(i, i + 4) for i in range(4)]
    signs = [np.sign((one[i] - one[j]) * (two[i] - two[j])) for i, j in apart]
    assert found["a"] == pytest.approx(np.mean(signs))
