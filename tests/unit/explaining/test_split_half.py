"""The ceiling of ρ: what a perfect measure has, on draws whose truth is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from ap3.explaining.partial_correlation import partial_correlation
from ap3.explaining.split_half import ceiling


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_it_is_the_rho_of_the_truth(noise):
    draw = np.random.default_rng(1)
    found, real = [], []
    for _ in range(20):
        truth = draw.normal(size=300)
        damage = truth[:, np.newaxis] + noise * 10 * draw.normal(size=(300, 100))
        found.append(ceiling(damage))
        real.append(spearmanr(truth, damage.mean(axis=1)).statistic)
    assert np.mean(found) == pytest.approx(np.mean(real), abs=0.04)
    assert noise > 0.5 or np.mean(found) > 0.9


def test_within_groups_it_is_the_partial_rho():
    draw = np.random.default_rng(2)
    groups = np.repeat(["low", "high"], 40)
    found, real = [], []
    for _ in range(40):
        truth = draw.normal(size=80) + 10 * (groups == "high")
        damage = truth[:, np.newaxis] + 10 * draw.normal(size=(80, 100))
        found.append(ceiling(damage, groups=groups))
        real.append(partial_correlation(truth, damage.mean(axis=1), groups))
        assert ceiling(damage) > found[-1]
    assert np.mean(found) == pytest.approx(np.mean(real), abs=0.04)


def test_without_the_sign_harm_and_help_are_one():
    draw = np.random.default_rng(3)
    truth = np.linspace(-1, 1, 21)
    damage = truth[:, np.newaxis] + 0.01 * draw.normal(size=(21, 50))
    assert ceiling(damage) > 0.99
    assert 0.9 < ceiling(damage, absolute=True) < 1


def test_halves_that_contradict_each_other_leave_room_for_nothing():
    assert ceiling(np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])) == 0


def test_what_cannot_be_told_is_missing():
    assert np.isnan(ceiling(np.ones((5, 1))))
    assert np.isnan(ceiling(np.ones((5, 20))))
