"""The remainder of the exponential against fifty digits."""

import mpmath
import numpy as np
import pytest

from ap3.measuring.exponential_remainder import log_psi, log_remainder, psi, remainder

SIZES = np.concatenate([np.logspace(-300, 3, 400), [0.5, 1.0, np.nextafter(1, 2), 708.0, 1e8]])


def exact(v):
    with mpmath.workdps(700):
        v = mpmath.mpf(float(v))
        return mpmath.log(mpmath.expm1(v) - v)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_every_size_to_the_last_digits(sign):
    for v in sign * SIZES[SIZES > 1e-150]:
        assert log_remainder(v) == pytest.approx(float(exact(v)), rel=3e-15, abs=3e-15)
    near = sign * SIZES[np.abs(SIZES) < 300]
    assert psi(near[np.abs(near) < 1e-20]) == pytest.approx(0.5, rel=1e-15)
    for v in near[np.abs(near) > 1e-100]:
        with mpmath.workdps(700):
            true = float(mpmath.exp(exact(v)) / mpmath.mpf(float(v)) ** 2)
        assert psi(v) == pytest.approx(true, rel=2e-15 * max(1, abs(v)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_remainder_itself(sign):
    sizes = sign * SIZES[(SIZES > 1e-150) & (SIZES < 700)]
    with mpmath.workdps(700):
        true = [float(mpmath.exp(exact(v))) for v in sizes]
    for some in (slice(None), np.abs(sizes) <= 1):  # of both kinds, and small ones alone
        np.testing.assert_allclose(remainder(sizes[some]), np.array(true)[some], rtol=3e-15)


def test_ends():
    assert psi(0.0) == 0.5
    assert remainder(np.array([0.0, 1e4])).tolist() == [0.0, np.inf]
    assert log_remainder(0.0) == -np.inf
    assert psi(1e4) == np.inf
    assert np.isfinite(log_psi([1e300, -1e300])).all()


def test_it_increases():
    v = np.concatenate([-SIZES[::-1], SIZES])
    assert (np.diff(log_psi(np.sort(v))) >= -1e-15 * np.abs(log_psi(np.sort(v)))[1:]).all()
