"""Masks that remove a share of a layer's weights: by magnitude, at random, or by other criteria.

Built on `torch.nn.utils.prune`. A mask is computed once, from the trained weights. Pruned weights
are exactly zero from then on, kept weights are untouched, and a layer's bias is not pruned.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import prune

from ap3.config import user_code
from ap3.config.schema import nearest
from ap3.config.variants import CONTROL, CRITERIA, DATA_AWARE, Variant
from ap3.errors import InvalidValueError
from ap3.pruning.criteria import TrainedLayer, within_rows
from ap3.pruning.pruned import PrunedLayer, PrunedNetwork
from ap3.training.splits import Split


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


def check_ratio(ratio: float) -> None:
    """Refuse a ratio that is no share of the weights."""
    if not 0 <= ratio <= 1:
        raise InvalidValueError(f"the pruning ratio is {ratio}, but must lie between 0 and 1.")


def pruning_mask(weights: Tensor, mode: str, ratio: float, seed: int = 0) -> Tensor:
    """Choose which `weights` to keep.

    Parameters
    ----------
    weights
        Of any shape.
    mode
        lowest, highest or random (Sec. 5.1); per_class, the lowest magnitudes of each row; or
        `package.module:function` of a criterion of your own: it takes the weights and returns a
        score for each, and the lowest scores are pruned.
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
    check_ratio(ratio)
    amount = round(ratio * weights.numel())
    everything = torch.ones_like(weights)
    if Variant(mode, ratio).kind == "random":
        lottery = torch.randperm(weights.numel(), generator=torch.Generator().manual_seed(seed))
        return LowestMagnitude(amount).compute_mask(lottery.view(weights.shape), everything)
    if mode == "lowest":
        return LowestMagnitude(amount).compute_mask(weights, everything)
    if mode == "highest":
        return HighestMagnitude(amount).compute_mask(weights, everything)
    if mode == "per_class":
        rows = within_rows(weights.abs().flatten(1).numpy(force=True))
        return _of_lowest(torch.from_numpy(rows).view(weights.shape), amount, everything)
    if user_code.is_own(mode):
        return _of_lowest(_scores(mode, weights), amount, everything)
    if mode in DATA_AWARE:
        raise InvalidValueError(
            f"the pruning mode {mode} looks at features of training images; give them, by "
            "ap3 prune --features."
        )
    raise InvalidValueError(
        f"the pruning mode is {mode!r}, but must be one of {', '.join(CRITERIA)}, or "
        f"package.module:function{nearest(mode, CRITERIA)}"
    )


def _of_lowest(scores: Tensor, amount: int, everything: Tensor) -> Tensor:
    """Prune the weights of the lowest scores; of equal ones the earlier first."""
    ranks = _ranks(scores).to(everything.device)
    return prune.L1Unstructured(amount).compute_mask(ranks, everything)


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


def prune_network(
    baseline: PrunedNetwork, variant: Variant, trained: TrainedLayer | None = None
) -> PrunedNetwork:
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
    trained
        The only layer of `baseline` with what it sees, for the criteria that look at data.

    Raises
    ------
    UserError
        If such a criterion has no data to look at.
    """
    origin = baseline.origin
    layers = {}
    for name, layer in baseline.layers.items():
        weight = torch.from_numpy(layer.weight)
        mask = torch.ones_like(weight)
        if variant.mode in DATA_AWARE and trained is not None and name == baseline.only_layer:
            scores = torch.from_numpy(trained.scores(variant.mode))
            mask = _of_lowest(scores, round(variant.ratio * weight.numel()), mask)
        elif variant.mode != CONTROL:
            own = [variant] if len(baseline.layers) == 1 else [variant, name]
            mask = pruning_mask(weight, variant.mode, variant.ratio, origin.seed_of(*own))
        pruned = torch.where(mask.bool(), weight, 0.0)
        layers[name] = PrunedLayer(mask.bool().numpy(), pruned.numpy(), layer.bias)
    return replace(baseline, variant=variant, layers=layers)


def trained_layer(baseline: PrunedNetwork, train: Split, examples: int | None) -> TrainedLayer:
    """Put the only layer of `baseline` beside what it sees of some training examples.

    Parameters
    ----------
    baseline
        The last layer, nothing pruned.
    train
        What it sees of the training split.
    examples
        How many of them to look at, the same ones as `ap3 measure` draws; all if None.
    """
    layer = baseline.layers[baseline.only_layer]
    train.check_layer(layer.weight)
    seen = train.sample(examples, baseline.origin.seed_of("examples"))
    return TrainedLayer(layer.weight, layer.shift, seen)
