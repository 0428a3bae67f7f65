"""Gaussian laws against Eq. 3 with dense matrices, and what their rotations promise."""

import tracemalloc

import mpmath as mp
import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from ap3.errors import UserError
from ap3.latent import (
    DenseRotation,
    DiagonalGaussian,
    FastRotation,
    IsotropicGaussian,
    SpectralGaussian,
    auto_scale,
    default_spectrum,
)
from ap3.latent.vectors import BLOCK
from ap3.metrics import ap2

RNG = np.random.default_rng(0)
OMEGA, PRUNED = RNG.normal(size=(2, 7))


def dense_kl(mean, covariance, other_mean, other_covariance):
    laws = [
        MultivariateNormal(torch.tensor(m), torch.tensor(c))
        for m, c in ((mean, covariance), (other_mean, other_covariance))
    ]
    return float(kl_divergence(*laws))


def test_isotropic_is_ap2_to_the_last_digit():
    law = IsotropicGaussian(OMEGA, 0.25)
    assert law.kl(law.at(PRUNED)) == 2 * ap2(OMEGA, PRUNED)


def test_different_diagonal_covariances():
    one, two = RNG.uniform(0.2, 3, size=(2, 7))
    kl = DiagonalGaussian(OMEGA, one).kl(DiagonalGaussian(PRUNED, two))
    assert kl == pytest.approx(dense_kl(OMEGA, np.diag(one), PRUNED, np.diag(two)), rel=1e-13)
    kl = IsotropicGaussian(OMEGA, 0.5).kl(DiagonalGaussian(PRUNED, two))
    assert kl == pytest.approx(dense_kl(OMEGA, 0.5 * np.eye(7), PRUNED, np.diag(two)), rel=1e-13)


@pytest.mark.parametrize("ratio", [1e-6, 0.3, 0.7, 1 - 1e-7, 1 + 1e-9, 1.4, 3.0, 1e6])
def test_variances_that_nearly_agree(ratio):
    one, two = IsotropicGaussian(OMEGA, ratio), IsotropicGaussian(OMEGA, 1.0)
    with mp.workdps(40):
        exact = 3.5 * (mp.mpf(ratio) - 1 - mp.log(mp.mpf(ratio)))
    assert one.kl(two) == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_spectral_law_with_a_dense_rotation(n):
    rng = np.random.default_rng(n)
    R = np.random.default_rng(5).standard_normal((n, n))
    rotation, spectrum = DenseRotation.draw(n, 5), default_spectrum(n)
    V = rotation.matrix
    # V diagonalises R + Rᵀ of the same seed.
    diagonal = V.T @ (R + R.T) @ V
    np.testing.assert_allclose(diagonal, np.diag(np.diag(diagonal)), atol=1e-12)
    sigma = 0.3 * V @ np.diag(spectrum) @ V.T
    one, two = rng.normal(size=(2, n))
    law = SpectralGaussian(one, rotation, spectrum, scale=0.3)
    exact = 0.5 * (one - two) @ np.linalg.solve(sigma, one - two)
    assert law.kl(law.at(two)) == pytest.approx(exact, rel=1e-11)
    if n > 1:
        assert np.abs(sigma - np.diag(np.diag(sigma))).max() > 0.01


@pytest.mark.parametrize("rotation", [DenseRotation.draw(13, 1), FastRotation(13, 1)])
def test_spectral_law_is_the_same_for_one_matrix(rotation):
    V = rotation.inverse(np.eye(13)).T
    stored = DenseRotation.from_matrix(V)
    one, two = np.random.default_rng(1).normal(size=(2, 13))
    laws = [SpectralGaussian(one, r, default_spectrum(13), 1.0) for r in (rotation, stored)]
    values = [law.kl(law.at(two)) for law in laws]
    assert values[0] == pytest.approx(values[1], rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 64, 97, 512])
@pytest.mark.parametrize("make", [DenseRotation.draw, FastRotation])
def test_rotations_are_orthogonal(make, n):
    rotation = make(n, 3)
    V = rotation.inverse(np.eye(n)).T
    np.testing.assert_allclose(V.T @ V, np.eye(n), atol=1e-13)
    x = np.random.default_rng(0).normal(size=(2, 3, n))
    np.testing.assert_allclose(rotation.apply(x), x @ V, atol=1e-12)
    np.testing.assert_allclose(rotation.inverse(rotation.apply(x)), x, atol=1e-12)


@pytest.mark.parametrize("n", [819_200, 999_983])
def test_fast_rotation_of_a_large_layer(n):
    rotation, x = FastRotation(n, 0), np.random.default_rng(1).normal(size=n)
    y = rotation.apply(x)
    assert y @ y == pytest.approx(x @ x, rel=1e-12)
    np.testing.assert_allclose(rotation.inverse(y), x, atol=1e-11)


def test_rotations_leave_their_input_alone():
    x = np.arange(6.0)
    for rotation in (DenseRotation.draw(6, 0), FastRotation(6, 0)):
        rotation.apply(x)
        rotation.inverse(x)
        np.testing.assert_array_equal(x, np.arange(6.0))


def test_an_input_may_be_used_up():
    x = np.random.default_rng(0).normal(size=(3, 6))
    for rotation in (DenseRotation.draw(6, 0), FastRotation(6, 0)):
        np.testing.assert_array_equal(rotation.apply(x.copy(), overwrite_x=True), rotation.apply(x))


def test_a_large_layer_is_held_few_times():
    """Two layers, signs, permutation and spectrum are 4 copies; the transform takes 2 more."""
    n = 2**19
    weights = np.random.default_rng(0).standard_normal(n, dtype=np.float32)
    pruned = weights * (np.abs(weights) > 1)
    tracemalloc.start()
    rotation, spectrum = FastRotation(n, 0), default_spectrum(n)
    law = SpectralGaussian(weights, rotation, spectrum, auto_scale(weights, rotation, spectrum))
    one = law.kl(law.at(pruned))
    of_one = tracemalloc.get_traced_memory()[1] / (8 * n)
    many = law.kl_many(np.broadcast_to(pruned, (9, n)))
    of_many = tracemalloc.get_traced_memory()[1] / (8 * n)
    tracemalloc.stop()
    assert of_one < 7
    assert 8 * n * (of_many - of_one) < 8 * BLOCK
    np.testing.assert_allclose(many, one, rtol=1e-12)


def test_rotations_follow_their_seed():
    one, two, three = (
        FastRotation(40, 1),
        FastRotation(40, np.random.default_rng(1)),
        FastRotation(40, 2),
    )
    assert one == two
    assert one != three
    assert DenseRotation.draw(4, 1) == DenseRotation.draw(4, np.random.default_rng(1))
    assert DenseRotation.draw(4, 1) != DenseRotation.draw(4, 2)


@pytest.mark.parametrize(
    "difference", ["first weight", "middle weight", "constant", "half pruned", "dense"]
)
def test_fast_rotation_spreads_like_a_random_one(difference):
    """AP3/AP2 concentrates at 1/(2β) for a V that knows nothing, whatever the difference.

    For uniformly random V its variance is 2/(n + 2) times the variance of 1/Λ, whose mean is 1.
    """
    n, spectrum = 2000, default_spectrum(2000)
    delta = {
        "first weight": np.eye(1, n)[0],
        "middle weight": np.eye(1, n, 987)[0],
        "constant": np.ones(n),
        "half pruned": np.random.default_rng(0).normal(size=n) * (np.arange(n) % 2),
        "dense": np.random.default_rng(1).normal(size=n),
    }[difference]
    laws = [SpectralGaussian(delta, FastRotation(n, seed), spectrum, 0.5) for seed in range(200)]
    ratios = [law.kl(law.at(0 * delta)) / (delta @ delta) for law in laws]
    spread = np.std(1 / spectrum) * np.sqrt(2 / (n + 2))
    assert np.mean(ratios) == pytest.approx(1, abs=4 * spread / np.sqrt(200))
    assert np.std(ratios) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_default_spectrum(n):
    spectrum = default_spectrum(n)
    assert spectrum.shape == (n,)
    assert (spectrum > 0).all()
    assert np.mean(1 / spectrum) == pytest.approx(1, rel=1e-14)
    if n > 1:
        assert spectrum.max() / spectrum.min() == pytest.approx(100)


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.ones((2, 2)), [[np.nan]], np.empty((0, 0))])
def test_no_rotation(matrix):
    with pytest.raises(UserError):
        DenseRotation.from_matrix(matrix)
