"""The ceiling against what the truth scores, in studies whose truth is known."""

import numpy as np
import pytest

from ap3.errors import UserError
from ap3.explaining.noise_ceiling import _given_components, noise_ceiling, true_differences
from ap3.explaining.rank_counts import concordance, order, pairs

TRIALS, VARIANTS, SHARED = 8, 12, 0.6
COMPARED = pairs(np.arange(VARIANTS), np.arange(VARIANTS))["all"]
FIRST, SECOND = COMPARED.T


def by_size(rng):
    """Damage of many sizes, each trial its own, larger with larger errors."""
    truth = np.exp(2 * rng.normal(size=(TRIALS, VARIANTS)))
    return truth, np.sqrt(0.05 + truth)


def both_signs(rng):
    """Gains and losses of ten times the noise."""
    return 10 * rng.normal(size=(TRIALS, VARIANTS)), np.ones((TRIALS, VARIANTS))


def same_in_every_trial(rng):
    return np.tile(np.exp(1.5 * rng.normal(size=VARIANTS)), (TRIALS, 1)), np.ones(
        (TRIALS, VARIANTS)
    )


def small(rng):
    """No larger than the noise."""
    return rng.normal(size=(TRIALS, VARIANTS)), np.ones((TRIALS, VARIANTS))


def study(draw, seed):
    """Truth, PDs as they are seen, and their covariance: noise that all variants share in part."""
    rng = np.random.default_rng(seed)
    truth, error = draw(rng)
    error = error * np.exp(0.4 * rng.normal(size=error.shape))
    tied = SHARED + (1 - SHARED) * np.eye(VARIANTS)
    covariance = error[:, :, np.newaxis] * error[:, np.newaxis] * tied
    noise = np.linalg.cholesky(covariance) @ rng.normal(size=(TRIALS, VARIANTS, 1))
    return truth, truth + noise[..., 0], covariance


def decided(seen, covariance, absolute, errors):
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    between = covariance[:, FIRST, SECOND]
    sign = np.sign(seen[:, FIRST] * seen[:, SECOND]) if absolute else 1.0
    error = np.sqrt(variance[:, FIRST] + variance[:, SECOND] - 2 * sign * between)
    return order(np.abs(seen) if absolute else seen, COMPARED, errors * error)


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize(
    ("draw", "off"),
    [(by_size, 0.02), (both_signs, 0.01), (same_in_every_trial, 0.02), (small, 0.07)],
)
def test_what_the_truth_scores(draw, off, absolute):
    scores = []
    for seed in range(10):
        truth, seen, covariance = study(draw, seed)
        ordered = decided(seen, covariance, absolute, 1.96)
        drawn = true_differences(seen, covariance, draws=100)
        found = noise_ceiling(drawn, ordered, COMPARED, absolute)
        true = concordance(order(np.abs(truth) if absolute else truth, COMPARED), ordered)
        scores.append([np.nanmean(of["agreement"]) for of in (found, true)])
    estimate, true = np.mean(scores, axis=0)
    assert estimate == pytest.approx(true, abs=off)
    assert true < 1


def test_it_is_too_low_where_the_pds_vary_as_little_as_their_noise():
    """With three trials, and noise that variants do not share: 0.1, as its docstring says."""
    off = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(3, VARIANTS))
        seen = truth + rng.normal(size=truth.shape)
        covariance = np.broadcast_to(np.eye(VARIANTS), (3, VARIANTS, VARIANTS))
        ordered = decided(seen, covariance, False, 1.96)
        drawn = true_differences(seen, covariance, draws=100)
        found = noise_ceiling(drawn, ordered, COMPARED, False)
        true = concordance(order(truth, COMPARED), ordered)
        off.append(np.nanmean(found["agreement"]) - np.nanmean(true["agreement"]))
    assert np.mean(off) == pytest.approx(-0.1, abs=0.03)


def test_to_believe_the_sample_is_too_high():
    """What resampled PDs score against the sample's own order, beside what the truth scores."""
    scores = []
    for seed in range(10):
        truth, seen, covariance = study(same_in_every_trial, seed)
        noise = np.random.default_rng(seed).normal(size=(TRIALS, VARIANTS, 1))
        again = seen + (np.linalg.cholesky(covariance) @ noise)[..., 0]
        believed = decided(again, covariance, False, 1.0)
        ordered = decided(seen, covariance, False, 1.0)
        scores.append(
            [
                concordance(order(seen, COMPARED), believed)["agreement"].mean(),
                concordance(order(truth, COMPARED), ordered)["agreement"].mean(),
            ]
        )
    believed, true = np.mean(scores, axis=0)
    assert believed > true + 0.005


def test_without_noise_a_perfect_measure_is_perfect():
    seen = np.arange(1.0, 25.0).reshape(2, 12)
    drawn = true_differences(seen, np.tile(1e-8 * np.eye(12), (2, 1, 1)), draws=50)
    np.testing.assert_allclose(drawn, np.broadcast_to(seen, drawn.shape), atol=1e-3)
    ordered = order(seen, COMPARED)
    found = noise_ceiling(drawn, ordered, COMPARED, absolute=True)
    assert found["agreement"].tolist() == found["tau_b"].tolist() == [1, 1]
    nothing = noise_ceiling(drawn, 0 * ordered, COMPARED, absolute=True)
    assert np.isnan(nothing["agreement"]).all()


def test_given_components_the_law_is_normal():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    precision, own, pull = root @ root.T + np.eye(3), rng.uniform(0.5, 2, 3), rng.normal(size=3)
    many = 200_000
    parts = (np.broadcast_to(values, (many, *values.shape)) for values in (precision, pull, own))
    drawn = _given_components(*parts, rng)
    covariance = np.linalg.inv(precision + np.diag(own))
    np.testing.assert_allclose(drawn.mean(axis=0), covariance @ pull, atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.01)


def test_twins_and_the_unit_change_nothing():
    """Two variants that are one, and PDs in points of a hundred."""
    _, seen, covariance = study(by_size, 0)
    seen[:, 1], covariance[:, 1], covariance[:, :, 1] = (
        seen[:, 0],
        covariance[:, 0],
        covariance[:, :, 0],
    )
    covariance[:, 1, 1] = covariance[:, 0, 0]
    drawn, scaled = (
        true_differences(unit * seen, unit**2 * covariance, draws=50) for unit in (1.0, 100.0)
    )
    np.testing.assert_allclose(drawn[..., 0], drawn[..., 1], atol=1e-3 * np.abs(seen).max())
    np.testing.assert_allclose(scaled, 100 * drawn, rtol=1e-3, atol=1e-2 * np.abs(seen).max())


def test_refusals():
    with pytest.raises(UserError, match="must fit"):
        true_differences(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(UserError, match="finite"):
        true_differences(np.ones((1, 1)), np.full((1, 1, 1), np.nan))
    with pytest.raises(UserError, match="larger than zero"):
        true_differences(np.ones((1, 1)), np.zeros((1, 1, 1)))


def test_rounding_that_takes_the_covariance_below_zero_is_survived():
    """Twins with large errors, in single precision, as a table may have been kept."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((30, 1)) @ np.array([[1.0, 1.0, 1.0, 1e-4, 1e-4]])
    covariance = np.cov((common + 1e-6 * rng.standard_normal((30, 5))).T).astype(np.float32)
    covariance[0, 1] = covariance[1, 0] = covariance[0, 1] * np.float32(1 + 1e-6)
    assert np.linalg.eigvalsh(covariance.astype(float))[0] < -1e-8
    drawn = true_differences([[0.5, 0.5, 0.5, 1e-4, 0.0]], [covariance], draws=20)
    assert np.isfinite(drawn).all()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_seed_decides_little_even_of_two_trials(number):
    """Where the shares were drawn as well it decided a tenth to a third."""
    _, seen, covariance = study(same_in_every_trial, number)
    seen, covariance = seen[:2], 4 * covariance[:2]
    ordered = decided(seen, covariance, True, 1.96)
    found = [
        noise_ceiling(true_differences(seen, covariance, seed=seed), ordered, COMPARED, True)
        for seed in range(4)
    ]
    assert np.ptp([each["agreement"] for each in found], axis=0).max() < 0.05


def test_a_variance_that_rounding_left_below_zero_is_none():
    covariance = np.diag([1.0, 1.0, -1e-18])
    drawn = true_differences([[5.0, 0.1, 0.0]], [covariance])
    assert np.isfinite(drawn).all()
