"""Whether damage adds up over layers: what several layers do together, beside the sum of each alone.

Both are the KL of the predictions on the same training images, so no sampling of images stands between
them. Pairs of allocations of one total ratio are counted: additivity errs where the sum orders a pair
otherwise than what was measured.
"""

from itertools import pairwise

import numpy as np
import pandas as pd

from ap3.explaining.network_ranking import joint, with_all_networks
from ap3.explaining.rank_counts import order

EDGES = (0.0, 0.01, 0.1, 1.0, np.inf)
"""Of the damage of the worse of a pair, in nats."""

_KEYS = ["dataset", "model", "trial", "mode", "batch_norm"]


def additivity(table: pd.DataFrame) -> pd.DataFrame:
    """Count pairs by the damage of the worse of the two, for each training, one shot.

    Parameters
    ----------
    table
        Rows of `ap3 evaluate`, of all baselines.

    Returns
    -------
    DataFrame
        A row per training, mode, state of BatchNorm and interval of damage (`from`, `to`, nats):
        `pairs`, `wrong` (how many the sum orders otherwise), `variants`, and of the variants in the
        interval the median of log10 (together ÷ sum). Variants without a sum are left out.
    """
    shot = joint(table[table["epoch"] == 0])
    rows = []
    for key, mine in shot.groupby(_KEYS, sort=False):
        mine = mine[mine["kl_single_layers"].notna()]
        if mine.empty:
            continue
        damage, total = mine["kl_predictions"].to_numpy(), mine["kl_single_layers"].to_numpy()
        ratios = mine["ratio"].to_numpy()
        pairs = np.array(np.triu_indices(len(mine), 1)).T
        pairs = pairs[ratios[pairs[:, 0]] == ratios[pairs[:, 1]]]
        worse = damage[pairs].max(axis=1)
        wrong = order(damage, pairs) * order(total, pairs) < 0
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(damage / total)
        for low, high in pairwise(EDGES):
            within, some = (worse >= low) & (worse < high), (damage >= low) & (damage < high)
            rows.append(
                dict(zip(_KEYS, key, strict=True))
                | {"from": low, "to": high, "pairs": int(within.sum())}
                | {"wrong": int(wrong[within].sum()), "variants": int(some.sum())}
                | {
                    "log10_together_to_sum": float(np.median(decades[some]))
                    if some.any()
                    else np.nan
                }
            )
    found = ["from", "to", "pairs", "wrong", "variants", "log10_together_to_sum"]
    return pd.DataFrame(rows, columns=[*_KEYS, *found])


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Add up the pairs over the trainings of a network, and over all networks.

    `share_wrong` is over all pairs, `share_low` and `share_high` its range over the trainings;
    `log10_together_to_sum` is the mean over trainings of their medians.
    """
    keys = ["dataset", "model", "mode", "batch_norm", "from", "to"]
    rows = []
    for key, mine in with_all_networks(table).groupby(keys, sort=False):
        seen = mine[mine["pairs"] > 0]
        shares = seen["wrong"] / seen["pairs"]
        pairs = int(mine["pairs"].sum())
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"n": len(seen), "pairs": pairs}
            | {"share_wrong": mine["wrong"].sum() / pairs if pairs else np.nan}
            | {"share_low": shares.min(), "share_high": shares.max()}
            | {"log10_together_to_sum": mine["log10_together_to_sum"].mean()}
        )
    found = ["n", "pairs", "share_wrong", "share_low", "share_high", "log10_together_to_sum"]
    return pd.DataFrame(rows, columns=[*keys, *found])
