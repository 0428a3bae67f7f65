"""AP2 and its relatives against hand-made numbers."""

import mpmath as mp
import numpy as np
import pytest
import torch

from ap3.errors import UserError
from ap3.metrics import ap2, cosine_distance, relative_frobenius

BASELINE = np.array([[3.0, 0.0], [0.0, 4.0]])
STACK = np.stack([BASELINE, 0 * BASELINE, -BASELINE, BASELINE[::-1]])


def test_hand_made_numbers():
    np.testing.assert_array_equal(ap2(BASELINE, STACK), [0, 25, 100, 50])
    np.testing.assert_allclose(relative_frobenius(BASELINE, STACK), [0, 1, 2, np.sqrt(2)])
    np.testing.assert_allclose(cosine_distance(BASELINE, STACK), [0, np.nan, 2, 1])


@pytest.mark.parametrize("measure", [ap2, relative_frobenius, cosine_distance])
def test_one_is_the_first_of_many(measure):
    rng = np.random.default_rng(0)
    baseline, stack = rng.normal(size=(3, 4)), rng.normal(size=(5, 3, 4))
    single = [measure(baseline, weights) for weights in stack]
    assert all(isinstance(value, float) for value in single)
    np.testing.assert_allclose(measure(baseline, stack), single, rtol=1e-14)
    np.testing.assert_allclose(
        measure(torch.tensor(baseline), torch.tensor(stack)), single, rtol=1e-14
    )


def test_half_types_are_summed_in_double():
    baseline = torch.full((10_000,), 1.0, dtype=torch.bfloat16)
    assert ap2(baseline, 0 * baseline) == 10_000
    assert ap2(baseline.half(), 0 * baseline.half()) == 10_000


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_tensors_are_read():
    pruned = torch.tensor([[0.0, 2.0], [0.0, 0.0]])
    for sparse in (pruned.to_sparse(), pruned.to_sparse_csr()):
        assert ap2(torch.ones(2, 2), sparse) == 4.0


def test_cosine_distance_keeps_its_digits():
    one, two = [1.0, 0.0], [1.0, 1e-9]
    with mp.workdps(40):
        exact = 1 - 1 / mp.sqrt(1 + mp.mpf(1e-9) ** 2)
    assert cosine_distance(one, two) == pytest.approx(float(exact), rel=1e-12)


def test_blocks(monkeypatch):
    baseline, stack = np.ones(7), np.random.default_rng(1).normal(size=(9, 7))
    whole = ap2(baseline, stack)
    monkeypatch.setattr("ap3.latent.vectors.BLOCK", 15)
    np.testing.assert_array_equal(ap2(baseline, stack), whole)


@pytest.mark.parametrize("weights", [np.ones(4), np.ones((4, 4)), np.full((2, 2), np.nan), 1.0])
def test_misfits_are_refused(weights):
    with pytest.raises(UserError):
        ap2(BASELINE, weights)


def test_no_relative_distance_from_zero():
    with pytest.raises(UserError, match="all-zero"):
        relative_frobenius([0.0, 0.0], [1.0, 0.0])
