"""The bound on the performance difference along fine-tuning, on random paths."""

import numpy as np
from head_problems import problem
from hypothesis import given
from hypothesis import strategies as st

from ap3.measuring.along_fine_tuning import along_fine_tuning
from ap3.measuring.lipschitz import lipschitz_bound, mean_norm


@given(seed=st.integers(0, 10_000), size=st.floats(1e-3, 10))
def test_it_holds_and_ends_at_the_last_difference(seed, size):
    made, rng = problem(seed, examples=12), np.random.default_rng(seed)
    path = made.weight + size * rng.normal(size=(4, *made.weight.shape)).cumsum(axis=0)
    shifts = made.bias + size * rng.normal(size=(4, 3))
    value = made.loss.value_and_gradient(made.weight, made.bias)[0]
    states = [made.loss.value_and_gradient(*state) for state in zip(path, shifts, strict=True)]
    pds = np.array([abs(each - value) for each, _ in states])
    slopes = [np.linalg.norm(gradient) for _, gradient in states]
    found = along_fine_tuning(path, shifts, slopes, pds[-1])
    assert found[-1] == pds[-1]
    assert (pds <= found * (1 + 1e-12)).all()
    distance2 = np.square(path - path[-1]).sum(axis=(1, 2))
    lipschitz = lipschitz_bound(mean_norm(made.features), distance2, shifts - shifts[-1])
    assert (found <= (pds[-1] + lipschitz) * (1 + 1e-12)).all()
