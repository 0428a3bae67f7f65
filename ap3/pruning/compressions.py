"""What may be done to the weights of one layer beyond masks of single weights.

Of each, `ratio` says how much goes. All take weights of shape (C, …), whose rows are the C output
channels, and return new ones of the same shape: the layer computes with them as it did before, and
AP2, AP3 and PD see the difference Δ of the two, whatever format would store it.

- `rows`: the round(ratio · C) rows of smallest norm become zeros, so that their outputs are only
  their bias.
- `columns`: the same of the input channels, the second dimension.
- `n:M`: of every M neighbours within a row, those of an output channel in storage order, the
  round(ratio · M) smallest become zeros (n = M − round(ratio · M) are kept).
- `low_rank`: the nearest matrix (C, n/C) of rank k, by its singular values (Eckart and Young 1936).
  k is the largest whose factors hold no more than (1 − ratio) n numbers, but at least 1.
- `quantised`: round(8 (1 − ratio)) bits, but at least 1; see `quantise`. Eight bits, which change little,
  are what a small ratio leaves.
"""

import torch
from torch import Tensor

from ap3.config import compressions
from ap3.errors import InvalidValueError
from ap3.pruning.masks import check_ratio, pruning_mask

BITS = 8
"""Of the widest integers that weights are rounded to."""


def compress(weights: Tensor, mode: str, ratio: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Compress one layer's weights.

    Parameters
    ----------
    weights
        Of shape (C, …).
    mode
        A mode of `pruning_mask`, or one that this module describes.
    ratio
        How much goes, from 0 to 1; of 0 nothing.
    seed
        Decides a `random` mask, and nothing else.

    Returns
    -------
    tuple of Tensors
        The new weights, and a bool mask of their shape: False where a weight is held at zero when
        the network is fine-tuned.

    Raises
    ------
    UserError
        If the mode is unknown or does not fit the layer, or the ratio is not one.

    Examples
    --------
    >>> weights = torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.1, 0.2, 0.3, 0.4]])
    >>> compress(weights, "rows", 0.5)[0]
    tensor([[ 3.0000, -1.0000,  2.0000,  0.5000],
            [ 0.0000,  0.0000,  0.0000,  0.0000]])
    >>> compress(weights, "n:2", 0.5)[1].int()
    tensor([[1, 0, 1, 0],
            [0, 1, 0, 1]], dtype=torch.int32)
    """
    check_ratio(ratio)
    size = compressions.group_size(mode)
    if size is not None:
        mask = _in_groups(weights, size, ratio)
    elif mode in compressions.STRUCTURED:
        mask = _whole(weights, compressions.STRUCTURED.index(mode), ratio)
    elif mode in (compressions.LOW_RANK, compressions.QUANTISED):
        everything = torch.ones(weights.shape, dtype=torch.bool)
        if ratio == 0:
            return weights.clone(), everything
        if mode == compressions.QUANTISED:
            return quantise(weights, bits_at(ratio)), everything
        return truncate(weights, rank_at(weights, ratio)), everything
    else:
        mask = pruning_mask(weights, mode, ratio, seed).bool()
    return torch.where(mask, weights, 0.0), mask


def _whole(weights: Tensor, dimension: int, ratio: float) -> Tensor:
    """Keep whole slices along a dimension: those of largest norm, of equal ones the later."""
    others = [place for place in range(weights.ndim) if place != dimension]
    norms = weights.double().square().sum(others)
    kept = pruning_mask(norms, "lowest", ratio).bool()
    shape = [-1 if place == dimension else 1 for place in range(weights.ndim)]
    return kept.view(shape).expand(weights.shape).clone()


def _in_groups(weights: Tensor, size: int, ratio: float) -> Tensor:
    inputs = weights[0].numel()
    if inputs % size:
        raise InvalidValueError(
            f"n:{size} prunes among {size} neighbours, but a row of this layer has {inputs} weights, "
            f"which {size} does not divide; choose another M, or name layers that it divides."
        )
    groups = weights.abs().reshape(-1, size)
    order = groups.argsort(dim=1, stable=True)
    mask = torch.ones(groups.shape, dtype=torch.bool)
    mask.scatter_(1, order[:, : round(ratio * size)], value=False)
    return mask.view(weights.shape)


def rank_at(weights: Tensor, ratio: float) -> int:
    """Return the largest rank k with k (C + n/C) ≤ (1 − ratio) n, at least 1.

    Examples
    --------
    >>> rank_at(torch.zeros(8, 8), 0.5), rank_at(torch.zeros(8, 8), 0.99)
    (2, 1)
    """
    rows, columns = len(weights), weights[0].numel()
    return max(1, int((1 - ratio) * rows * columns / (rows + columns) + 1e-9))


def truncate(weights: Tensor, rank: int) -> Tensor:
    """Return the nearest weights whose matrix (C, n/C) has this rank.

    Parameters
    ----------
    weights
        Of shape (C, …).
    rank
        From 1 to the smaller of C and n/C.

    Raises
    ------
    UserError
        If the rank is above the matrix's, or below 1.

    Examples
    --------
    >>> truncate(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), 1)
    tensor([[2., 0.],
            [0., 0.]])
    """
    matrix = weights.reshape(len(weights), -1).double()
    most = min(matrix.shape)
    if not 1 <= rank <= most:
        raise InvalidValueError(
            f"the rank is {rank}, but a matrix of shape {tuple(matrix.shape)} has ranks from 1 to "
            f"{most}; give one of those."
        )
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = (left[:, :rank] * values[:rank]) @ right[:rank]
    return nearest.view(weights.shape).to(weights.dtype)


def bits_at(ratio: float) -> int:
    """Return how many of eight bits are left, at least 1.

    Examples
    --------
    >>> bits_at(0.25), bits_at(0.5), bits_at(1.0)
    (6, 4, 1)
    """
    return max(1, round(BITS * (1 - ratio)))


def quantise(weights: Tensor, bits: int) -> Tensor:
    """Round to 2ᵇ equally spaced numbers from −m to m, m the largest magnitude of the layer.

    The levels are −m + (k + ½) · 2m/2ᵇ for k = 0, …, 2ᵇ − 1, the middles of as many equal cells, so
    that no weight moves by more than m/2ᵇ. With one bit they are ±m/2.

    Parameters
    ----------
    weights
        Of any shape.
    bits
        1 to 32, the last of which change single-precision weights by no more than rounding does.

    Raises
    ------
    UserError
        If the number of bits is another.

    Examples
    --------
    >>> quantise(torch.tensor([1.0, 0.1, -0.6, -1.0]), 2)
    tensor([ 0.7500,  0.2500, -0.7500, -0.7500])
    """
    if not 1 <= bits <= 32:
        raise InvalidValueError(f"the number of bits is {bits}, but must lie between 1 and 32.")
    largest = weights.abs().max().double()
    if largest == 0:
        return weights.clone()
    cell = 2 * largest / 2**bits
    number = ((weights.double() + largest) / cell).floor().clamp(0, 2**bits - 1)
    return ((number + 0.5) * cell - largest).to(weights.dtype)
