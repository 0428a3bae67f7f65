"""The calibrated law of a network, and the sum of what single layers do, from layers pruned alone.

Every layer l is pruned alone at a few ratios, and the KL of the predictions is taken on training
images. From that at the middle ratio follows the **calibrated law**: independent Gaussian laws with
variances σ_l²/a_l, a_l the layer's KL of predictions ÷ its AP3 under N(ω, σ_l²I), so that AP3 of the
network is Σ a_l AP3_l. And if damage adds up over layers, that of a variant is the **sum of the layers'
curves** at its ratios, between which they are taken as straight lines.

Neither sees a variant in which several layers are pruned.
"""

import numpy as np
import pandas as pd

GROUP = ["mode", "batch_norm"]
SUM = "kl_single_layers"
CALIBRATED = "ap3_calibrated"


def sensitivity(rows: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Take what pruning each layer alone does: a row per mode, state of BatchNorm, layer and ratio.

    Parameters
    ----------
    rows, layers
        Of one baseline, as `Evaluator` gathers them.

    Returns
    -------
    DataFrame
        The rows of the layers pruned alone, with `layer`, `depth` (its place, from 1), `layer_ratio`,
        and `calibration`, the a_l of that layer.
    """
    alone = rows[rows["allocation"].str.startswith("only ")].copy()
    if alone.empty:
        return alone.assign(layer="", depth=0, layer_ratio=0.0, calibration=np.nan)
    alone.insert(6, "layer", alone["allocation"].str.removeprefix("only "))
    order = {name: place for place, name in enumerate(layers["layer"].drop_duplicates(), 1)}
    alone.insert(7, "depth", alone["layer"].map(order))
    keys = ["mode", "ratio", "allocation"]
    shares = layers.set_index(keys)["layer_ratio"]
    own = [shares.loc[[tuple(row)]].max() for row in alone[keys].to_numpy().tolist()]
    alone.insert(8, "layer_ratio", own)
    alone["calibration"] = np.nan
    for _, mine in alone.groupby([*GROUP, "layer"], sort=False):
        at = mine.sort_values("ratio").iloc[len(mine) // 2]
        if at["ap3_gaussian"] > 0:
            alone.loc[mine.index, "calibration"] = at["kl_predictions"] / at["ap3_gaussian"]
    return alone


def with_calibrated(rows: pd.DataFrame, layers: pd.DataFrame, single: pd.DataFrame) -> pd.DataFrame:
    """Add AP3 under the calibrated law, and the sum of the single layers' curves, to every row.

    Both are missing where a layer that changed was not pruned alone, and the sum after fine-tuning.

    Parameters
    ----------
    rows, layers
        Of one baseline, as `Evaluator` gathers them.
    single
        What `sensitivity` made of them.
    """
    scales = dict(iter(single.groupby(GROUP, sort=False)))
    keys = ["mode", "ratio", "allocation", "epoch"]
    changed = dict(iter(layers.groupby(keys, sort=False)))
    made = []
    for row in rows[[*keys, "batch_norm"]].itertuples(index=False):
        mine = changed.get((row.mode, row.ratio, row.allocation, row.epoch))
        statistics = row.batch_norm
        known = scales.get((row.mode, statistics))
        if known is None and row.epoch:  # tuned: calibrated as the network was before
            known = next((part for (mode, _), part in scales.items() if mode == row.mode), None)
        made.append(_of_variant(mine, known, row.epoch == 0))
    return rows.assign(**{CALIBRATED: [a for a, _ in made], SUM: [b for _, b in made]})


def _of_variant(
    mine: pd.DataFrame | None, known: pd.DataFrame | None, one_shot: bool
) -> tuple[float, float]:
    if mine is None:
        return 0.0, 0.0  # nothing changed
    if known is None:
        return np.nan, np.nan
    factors = known.drop_duplicates("layer").set_index("layer")["calibration"]
    calibrated = float((mine["layer"].map(factors) * mine["ap3_gaussian"]).sum(skipna=False))
    if not one_shot:
        return calibrated, np.nan
    curves = {layer: part.sort_values("layer_ratio") for layer, part in known.groupby("layer")}
    total = 0.0
    for layer, ratio in zip(mine["layer"], mine["layer_ratio"], strict=True):
        if layer not in curves:
            return calibrated, np.nan
        curve = curves[layer]
        total += on_curve(
            ratio, curve["layer_ratio"].to_numpy(), curve["kl_predictions"].to_numpy()
        )
    return calibrated, total


def on_curve(ratio: float, ratios: np.ndarray, values: np.ndarray) -> float:
    """Read a curve that begins at (0, 0): straight lines between its points, the last one prolonged.

    Examples
    --------
    >>> ratios, values = np.array([0.5, 1.0]), np.array([1.0, 3.0])
    >>> [on_curve(ratio, ratios, values) for ratio in (0.0, 0.25, 0.75, 1.0)]
    [0.0, 0.5, 2.0, 3.0]
    >>> on_curve(0.9, np.array([0.4, 0.8]), np.array([1.0, 2.0]))
    2.25
    """
    x, y = np.concatenate([[0.0], ratios]), np.concatenate([[0.0], values])
    if ratio <= x[-1]:
        return float(np.interp(ratio, x, y))
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return float(y[-1] + max(slope, 0.0) * (ratio - x[-1]))
