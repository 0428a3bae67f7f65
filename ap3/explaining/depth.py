"""How far every layer of a network has moved, layer by layer, where all of them are fine-tuned.

Lemma 3.3 and Corollary 3.4 bound the AP3 of a layer by that of the layer before, ε⁽ˡ⁺¹⁾ an
increasing function of ε⁽ˡ⁾, through constants that nothing determines. So no bound is made; whether
ε⁽ˡ⁺¹⁾ goes up and down with ε⁽ˡ⁾ can be counted.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from ap3.latent.calibration import FULL_PRUNING_KL


@torch.no_grad()
def distances(baseline: nn.Module, tuned: nn.Module) -> list[dict[str, Any]]:
    """AP2 of every layer's weights, tensors of two or more dimensions, in the network's order.

    Returns
    -------
    list of dict
        `layer`, `depth` (from 1), `weights` (how many), `norm2` (‖ω‖²) and `ap2`.

    Examples
    --------
    >>> one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> _ = nn.init.ones_(one.weight), nn.init.zeros_(two.weight)
    >>> distances(one, two)
    [{'layer': 'weight', 'depth': 1, 'weights': 4, 'norm2': 4.0, 'ap2': 4.0}]
    """
    others = dict(tuned.named_parameters())
    return [
        {
            "layer": name.removesuffix(".weight"),
            "depth": depth,
            "weights": weight.numel(),
            "norm2": _norm2(weight.double()),
            "ap2": _norm2(others[name].double() - weight.double()),
        }
        for depth, (name, weight) in enumerate(_weights(baseline), start=1)
    ]


def with_ap3(table: pd.DataFrame) -> pd.DataFrame:
    """Add AP3 under Σ = σ²I, σ² = ‖ω‖²/3.8 of each layer; missing for a layer of zeros."""
    known = table["norm2"].where(table["norm2"] > 0)
    return table.assign(ap3_gaussian=FULL_PRUNING_KL * table["ap2"] / known)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Compare each layer's AP3 with that of the layer before, after fine-tuning has begun.

    Returns a row per data set, network, trial and layer but the first: `n` variants × epochs,
    Spearman's `rho` between the two AP3, and `larger`, the share in which this layer's is larger.
    """
    moved = table[table["epoch"] > 0]
    rows = []
    for about, mine in moved.groupby(["dataset", "model", "trial"], sort=False):
        wide = mine.pivot_table("ap3_gaussian", ["mode", "ratio", "epoch"], "depth")
        names = mine.drop_duplicates("depth").set_index("depth")["layer"]
        for before, depth in zip(wide.columns[:-1], wide.columns[1:], strict=True):
            rows.append(
                dict(zip(("dataset", "model", "trial"), about, strict=True))
                | {"layer": names[depth], "depth": depth, "n": len(wide)}
                | {"rho": spearmanr(wide[before], wide[depth]).statistic}
                | {"larger": (wide[depth] > wide[before]).mean()}
            )
    return pd.DataFrame(rows)


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and "weight" in name.rpartition(".")[2]:
            yield name, parameter


def _norm2(values: Tensor) -> float:
    return values.square().sum().item()
