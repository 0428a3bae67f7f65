"""Spectral norms from below and above, against decompositions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ap3.errors import UserError
from ap3.measuring.operator_norm import matrix_norm, operator_norm, relative_error


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    rank=st.integers(0, 12),
)
def test_all_the_steps_give_the_norm(seed, rows, columns, rank):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
    found = operator_norm(lambda x: matrix.T @ (matrix @ x), columns)
    true = np.linalg.norm(matrix, 2) if matrix.any() else 0.0
    assert found.lower == found.upper == pytest.approx(true, rel=1e-9, abs=1e-12)
    assert matrix_norm(matrix).upper == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.05, 1.0])
def test_few_steps_enclose_it(spread):
    """Spectra with and without a gap at the top, and two thousand starts."""
    spectrum = np.square(1 - spread * np.linspace(0, 1, 400))
    for seed in range(500):
        found = operator_norm(lambda x: spectrum * x, 400, steps=12, chance=0.05, seed=seed)
        assert found.lower <= 1 + 1e-12
        assert found.upper >= 1 - 1e-12


def test_the_chance_is_one_that_can_be_met():
    """With few steps the estimate itself is too low nearly always: the margin is needed."""
    spectrum = np.linspace(0, 1, 400) ** 2
    found = [operator_norm(lambda x: spectrum * x, 400, steps=20, seed=s) for s in range(50)]
    assert all(norm.lower < 1 - 1e-6 < norm.upper for norm in found)


def test_large_matrices_by_their_small_side(monkeypatch):
    monkeypatch.setattr("ap3.measuring.operator_norm._DENSE", 10)
    rng = np.random.default_rng(0)
    for shape in ((4, 40), (150, 200)):
        matrix = rng.normal(size=shape)
        true = np.linalg.norm(matrix, 2)
        for each in (matrix, matrix.T):
            found = matrix_norm(each)
            assert found.lower <= true * (1 + 1e-12)
            assert true * (1 - 1e-12) <= found.upper <= 1.02 * true


def test_more_steps_and_a_larger_chance_say_more():
    assert relative_error(1000, 200, 1e-9) < relative_error(1000, 100, 1e-9)
    assert relative_error(1000, 100, 1e-3) < relative_error(1000, 100, 1e-9)
    with pytest.raises(UserError, match="take 13 or more"):
        relative_error(1000, 10, 1e-9)
    assert relative_error(1000, 13, 1e-9) < 1
