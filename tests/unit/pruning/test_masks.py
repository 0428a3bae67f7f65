import pytest
import torch

from ap3.errors import UserError
from ap3.pruning.masks import HighestMagnitude, pruning_mask


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("mode", ["lowest", "highest", "random"])
def test_exactly_the_rounded_share_is_pruned(mode, ratio):
    weights = torch.randn(7, 33, generator=torch.Generator().manual_seed(0))
    mask = pruning_mask(weights, mode, ratio, seed=3)
    assert int((mask == 0).sum()) == round(ratio * weights.numel())
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_lowest_and_highest_part_the_magnitudes():
    weights = torch.randn(10, 20, generator=torch.Generator().manual_seed(1))
    for mode, worse in (("lowest", torch.lt), ("highest", torch.gt)):
        mask = pruning_mask(weights, mode, 0.3).bool()
        pruned, kept = weights.abs()[~mask], weights.abs()[mask]
        edge = kept.min() if mode == "lowest" else kept.max()
        assert bool(worse(pruned, edge).all())


def test_ties_are_broken_by_position():
    ones = torch.ones(2, 5)
    for mode in ("lowest", "highest"):
        assert pruning_mask(ones, mode, 0.3).flatten().tolist() == [0, 0, 0] + [1] * 7


def test_random_masks_follow_their_seed():
    weights = torch.ones(50, 50)
    first, again, other = (pruning_mask(weights, "random", 0.5, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_highest_is_a_pruning_method_of_torch():
    layer = torch.nn.Linear(4, 1)
    layer.weight.data = torch.tensor([[0.1, -0.9, 0.5, -0.2]])
    HighestMagnitude.apply(layer, "weight", amount=0.5)
    assert torch.equal(layer.weight != 0, torch.tensor([[True, False, False, True]]))


@pytest.mark.parametrize(("mode", "ratio"), [("smallest", 0.5), ("lowest", 1.5)])
def test_a_mistake_is_named(mode, ratio):
    with pytest.raises(UserError, match=r"must (be one of|lie between)"):
        pruning_mask(torch.ones(3), mode, ratio)
