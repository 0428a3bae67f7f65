"""Compressions of one layer, against plain loops that do what their definitions say."""

import numpy as np
import pytest
import torch

from ap3.errors import UserError
from ap3.pruning.compressions import bits_at, compress, quantise, rank_at, truncate
from ap3.pruning.masks import pruning_mask

WEIGHTS = torch.randn(6, 4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("mode", ["lowest", "highest", "random"])
def test_masks_are_those_of_the_last_layer_study(mode):
    weights, mask = compress(WEIGHTS, mode, 0.3, seed=5)
    expected = pruning_mask(WEIGHTS, mode, 0.3, 5).bool()
    assert mask.equal(expected)
    assert weights.equal(WEIGHTS * expected)


@pytest.mark.parametrize(("mode", "axis"), [("rows", 0), ("columns", 1)])
def test_whole_slices_of_smallest_norm_become_zeros(mode, axis):
    weights, mask = compress(WEIGHTS, mode, 0.5)
    slices = np.moveaxis(WEIGHTS.numpy(), axis, 0)
    norms = [float((part.astype(float) ** 2).sum()) for part in slices]
    gone = sorted(range(len(norms)), key=lambda place: norms[place])[: len(norms) // 2]
    found = np.moveaxis(weights.numpy(), axis, 0)
    for place, part in enumerate(found):
        assert np.array_equal(part, 0 * part if place in gone else slices[place])
    assert (weights == 0).equal(~mask)


def test_of_every_m_neighbours_the_smallest_go():
    weights, mask = compress(WEIGHTS, "n:4", 0.5)
    for group, kept in zip(WEIGHTS.reshape(-1, 4), mask.reshape(-1, 4), strict=True):
        order = sorted(range(4), key=lambda place: abs(group[place]))
        assert [place for place in range(4) if not kept[place]] == sorted(order[:2])
    assert weights.equal(WEIGHTS * mask)


def test_of_equal_neighbours_the_earlier_go():
    _, mask = compress(torch.ones(2, 8), "n:8", 0.25)
    assert mask.int().tolist() == [[0, 0, 1, 1, 1, 1, 1, 1]] * 2


def test_the_truncated_matrix_is_the_nearest_of_its_rank():
    matrix = WEIGHTS.reshape(6, -1).double().numpy()
    values = np.linalg.svd(matrix, compute_uv=False)
    for rank in range(1, 7):
        found = truncate(WEIGHTS, rank).reshape(6, -1).double().numpy()
        assert np.linalg.matrix_rank(found, tol=1e-9) == rank
        # Eckart and Young: what is left out is the rest of the spectrum.
        gap = np.square(matrix - found).sum()
        assert gap == pytest.approx(np.square(values[rank:]).sum(), abs=1e-11)


def test_ranks_follow_from_what_their_factors_hold():
    for ratio in (0.1, 0.3, 0.5, 0.7):
        rank = rank_at(WEIGHTS, ratio)
        assert rank * (6 + 24) <= (1 - ratio) * 6 * 24 < (rank + 1) * (6 + 24)
    weights, mask = compress(WEIGHTS, "low_rank", 0.5)
    assert weights.equal(truncate(WEIGHTS, 2))
    assert mask.all()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_quantised_weights_are_the_nearest_level(bits):
    found = quantise(WEIGHTS, bits).double().numpy().ravel()
    largest = float(WEIGHTS.abs().max())
    levels = -largest + (np.arange(2**bits) + 0.5) * 2 * largest / 2**bits
    for value, weight in zip(found, WEIGHTS.double().numpy().ravel(), strict=True):
        nearest = levels[np.abs(levels - weight).argmin()]
        assert value == pytest.approx(nearest, abs=1e-6)
        assert abs(value - weight) <= largest / 2**bits * (1 + 1e-9)
    assert len(np.unique(found)) <= 2**bits


def test_many_bits_change_all_but_nothing_and_zeros_stay():
    assert torch.allclose(quantise(WEIGHTS, 32), WEIGHTS, atol=1e-7)
    assert quantise(torch.zeros(2, 2), 3).equal(torch.zeros(2, 2))
    assert (bits_at(0.01), bits_at(0.75)) == (8, 2)


@pytest.mark.parametrize("mode", ["lowest", "rows", "columns", "n:4", "low_rank", "quantised"])
def test_nothing_goes_at_ratio_zero(mode):
    weights, mask = compress(WEIGHTS, mode, 0.0)
    assert weights.equal(WEIGHTS)
    assert mask.all()


@pytest.mark.parametrize(
    ("mode", "ratio", "sentence"),
    [
        ("n:5", 0.5, "a row of this layer has 24 weights, which 5 does not divide"),
        ("rows", 1.5, "the pruning ratio is 1.5, but must lie between 0 and 1"),
        ("channels", 0.5, "the pruning mode is 'channels'"),
    ],
)
def test_what_does_not_fit_is_refused(mode, ratio, sentence):
    with pytest.raises(UserError, match=sentence):
        compress(WEIGHTS, mode, ratio)


def test_a_rank_above_the_matrix_is_refused():
    with pytest.raises(UserError, match="has ranks from 1 to 6; give one of those"):
        truncate(WEIGHTS, 7)
    with pytest.raises(UserError, match="must lie between 1 and 32"):
        quantise(WEIGHTS, 33)
