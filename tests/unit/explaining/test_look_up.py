"""The look-up sees the other trials alone."""

import numpy as np
import pytest

from ap3.errors import UserError
from ap3.explaining.look_up import look_up


def test_the_other_trials_alone():
    pds = np.random.default_rng(0).normal(size=(4, 3, 5))
    found = look_up(pds)
    for trial in range(4):
        others = [t for t in range(4) if t != trial]
        np.testing.assert_allclose(found[trial], pds[others].mean(axis=0), rtol=1e-13)
    changed = pds.copy()
    changed[2] = 1e9
    np.testing.assert_array_equal(look_up(changed)[2], found[2])


def test_what_is_not_known():
    found = look_up([[1.0, np.nan], [3.0, np.nan], [np.nan, 2.0]])
    np.testing.assert_array_equal(found, [[3.0, 2.0], [1.0, 2.0], [2.0, np.nan]])
    with pytest.raises(UserError, match="at least two"):
        look_up([[1.0, 2.0]])
