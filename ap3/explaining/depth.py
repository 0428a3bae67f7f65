"""How the AP3 of a layer goes with that of the layer before, where all of them are fine-tuned.

Lemma 3.3 and Corollary 3.4 bound the AP3 of a layer by that of the layer before, ε⁽ˡ⁺¹⁾ an
increasing function of ε⁽ˡ⁾, through constants that nothing determines. So no bound is made; whether
ε⁽ˡ⁺¹⁾ goes up and down with ε⁽ˡ⁾ can be counted.
"""

import pandas as pd
from scipy.stats import spearmanr

from ap3.latent.calibration import FULL_PRUNING_KL


def with_ap3(table: pd.DataFrame) -> pd.DataFrame:
    """Add AP3 under Σ = σ²I, σ² = ‖ω‖²/3.8 of each layer; missing for a layer of zeros."""
    known = table["norm2"].where(table["norm2"] > 0)
    return table.assign(ap3_gaussian=FULL_PRUNING_KL * table["ap2"] / known)


def by_variant(table: pd.DataFrame) -> pd.DataFrame:
    """Put the rows in the order of the variants, and those of one variant in that of the baselines."""
    variant = table.groupby(["mode", "ratio"], sort=False).ngroup()
    return table.iloc[variant.argsort(kind="stable")]


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
