"""The ρ that a perfect measure of whole networks would have, since PDs are of a sample of images.

The images are split in two at random, and the variants' PDs on one half are correlated with those on
the other: r. Between PDs on all images and their noise-free values ρ is then √(2r / (1 + r)), by the
formula of Spearman and Brown, here a mean over many splits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ap3.explaining.partial_correlation import partial_correlation
from ap3.explaining.rank_counts import centred_ranks, spearman

SPLITS = 100
_SEED = 0


def ceiling(
    damage: NDArray[Any], absolute: bool = False, groups: NDArray[Any] | None = None
) -> float:
    """Predict ρ between the noise-free PDs of variants and their PDs as measured.

    Parameters
    ----------
    damage : array of shape (V, N)
        What N images lose by each of V variants; PD is the mean over the images.
    absolute
        Whether PD is taken without its sign.
    groups : array of shape (V,), optional
        For the partial ρ that leaves every group's mean rank out.

    Returns
    -------
    float
        Between 0 and 1; NaN where the halves' PDs do not vary, or there is one image.

    Examples
    --------
    >>> ceiling(np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]))  # no noise
    1.0
    """
    images = damage.shape[1]
    if images < 2:
        return float("nan")
    draw = np.random.default_rng(_SEED)
    half = draw.permuted(np.tile(np.arange(images) < images // 2, (SPLITS, 1)), axis=1)
    one, two = (
        side.astype(np.float64) @ damage.T / side[0].sum() for side in (half, ~half)
    )  # (splits, V)
    if absolute:
        one, two = np.abs(one), np.abs(two)
    if groups is not None:
        found = partial_correlation(one, two, groups)
    else:
        found = spearman(centred_ranks(one), centred_ranks(two))
    if not np.isfinite(found).any():
        return float("nan")
    r = max(0.0, float(np.nanmean(found)))
    return float(np.sqrt(2 * r / (1 + r)))
