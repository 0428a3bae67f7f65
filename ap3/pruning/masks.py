"""Masks that remove a share of a layer's weights: by lowest or highest magnitude, or at random.

Built on `torch.nn.utils.prune`. A mask is computed once, from the trained weights. Pruned weights
are exactly zero from then on, kept weights are untouched, and a layer's bias is not pruned.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import prune

from ap3.config import user_code
from ap3.config.seeds import derive
from ap3.config.variants import CONTROL, MODES, Variant
from ap3.errors import InvalidValueError
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork


class LowestMagnitude(prune.L1Unstructured):
    """torch's `L1Unstructured`, with ties decided by position: the earlier weight is pruned first."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask` with the `amount` smallest entries of |t| set to zero."""
        return super().compute_mask(_ranks(t.abs()), default_mask)


class HighestMagnitude(prune.L1Unstructured):
    """Removes the weights of largest magnitude; of equal ones the earlier is pruned first."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask` with the `amount` largest entries of |t| set to zero."""
        return super().compute_mask(_ranks(-t.abs()), default_mask)


def _ranks(scores: Tensor) -> Tensor:
    """Rank the entries of `scores` from 1, in ascending and, where equal, in storage order."""
    order = scores.flatten().argsort(stable=True)
    ranks = torch.empty(scores.numel(), dtype=torch.float64, device=scores.device)
    ranks[order] = torch.arange(1, scores.numel() + 1, dtype=torch.float64, device=scores.device)
    return ranks.view(scores.shape)


def pruning_mask(weights: Tensor, mode: str, ratio: float, seed: int = 0) -> Tensor:
    """Choose which `weights` to keep.

    Parameters
    ----------
    weights
        Of any shape.
    mode
        lowest, highest or random (Sec. 5.1), or `package.module:function` of a criterion of your
        own: it takes the weights and returns a score for each, and the lowest scores are pruned.
    ratio
        Share of the weights to prune, from 0 to 1; round(ratio × n) of n weights are pruned.
    seed
        Decides a `random` mask, and nothing else.

    Returns
    -------
    Tensor
        Of the shape and type of `weights`: 1 where a weight is kept, 0 where it is pruned.

    Raises
    ------
    UserError
        If the mode is unknown, the ratio outside [0, 1], or a criterion gives no score a weight.

    Examples
    --------
    >>> pruning_mask(torch.tensor([0.3, -0.1, 0.2, -0.5]), "lowest", 0.5)
    tensor([1., 0., 0., 1.])
    """
    if not 0 <= ratio <= 1:
        raise InvalidValueError(f"the pruning ratio is {ratio}, but must lie between 0 and 1.")
    amount = round(ratio * weights.numel())
    everything = torch.ones_like(weights)
    if mode == "lowest":
        return LowestMagnitude(amount).compute_mask(weights, everything)
    if mode == "highest":
        return HighestMagnitude(amount).compute_mask(weights, everything)
    if mode == "random":
        lottery = torch.randperm(weights.numel(), generator=torch.Generator().manual_seed(seed))
        return LowestMagnitude(amount).compute_mask(lottery.view(weights.shape), everything)
    if user_code.is_own(mode):
        ranks = _ranks(_scores(mode, weights))
        return prune.L1Unstructured(amount).compute_mask(ranks, everything)
    raise InvalidValueError(
        f"the pruning mode is {mode!r}, but must be one of {', '.join(MODES)}, or "
        "package.module:function."
    )


def _scores(criterion: str, weights: Tensor) -> Tensor:
    """Let a criterion of the user's score a copy of the weights."""
    scores = user_code.load(criterion, "pruning criterion", ("weights",))(weights.detach().clone())
    if not isinstance(scores, Tensor) or scores.shape != weights.shape or scores.isnan().any():
        found = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores)
        raise InvalidValueError(
            f"the pruning criterion {criterion!r} must return a tensor of numbers of the weights' "
            f"shape {tuple(weights.shape)}, but returned {found} or NaN; correct it."
        )
    return scores


def prune_network(baseline: PrunedNetwork, variant: Variant) -> PrunedNetwork:
    """Prune every layer of `baseline` by its ratio, as `variant` says; the control keeps all.

    A random mask follows from the seed and the names of data set, network, trial and variant, so
    it differs between trials and depends on no other variant. Where several layers are pruned, the
    name of each tells its draws apart.

    Parameters
    ----------
    baseline
        The layers to prune, nothing pruned yet.
    variant
        The mode and the ratio.
    """
    origin = baseline.origin
    names = (origin.dataset, origin.model, origin.trial, variant)
    layers = {}
    for name, layer in baseline.layers.items():
        weight = torch.from_numpy(layer.weight)
        mask = torch.ones_like(weight)
        if variant.mode != CONTROL:
            own = names if len(baseline.layers) == 1 else (*names, name)
            mask = pruning_mask(weight, variant.mode, variant.ratio, derive(origin.seed, *own))
        pruned = torch.where(mask.bool(), weight, 0.0)
        layers[name] = PrunedLayer(mask.bool().numpy(), pruned.numpy(), layer.bias)
    return replace(baseline, variant=variant, layers=layers)
