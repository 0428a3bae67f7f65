"""A comparison as a figure: a bar for each layer, as long as its AP3, with its sparsity beside it."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from ap3.figures.drawing import paper_style
from ap3.figures.look import mode_looks
from ap3.latent import FULL_PRUNING_KL

_MOST_LAYERS = 40
_LONGEST_NAME = 40
_INCHES_A_BAR, _THINNEST = 0.22, 0.1


def layer_bars(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw the layers of a comparison in the network's order.

    Parameters
    ----------
    table
        As `ap3.compare` returns it, of one pruned version or several.
    title
        Above the figure.

    Returns
    -------
    Figure
        Of more than 40 layers those with the largest AP3, which the figure says.
    """
    table = pd.DataFrame(table)
    versions = list(dict.fromkeys(table["version"])) if "version" in table else [""]
    if "version" not in table:
        table = table.assign(version="")
    layers = list(dict.fromkeys(table["layer"]))
    shown = _largest(table, layers)
    places = {layer: place for place, layer in enumerate(shown)}
    with paper_style():
        height = 1.2 + len(shown) * max(_INCHES_A_BAR, _THINNEST * len(versions))
        figure = Figure(figsize=(6.5, height), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
        looks = mode_looks([str(version) for version in versions])
        thickness = 0.8 / len(versions)
        for number, version in enumerate(versions):
            rows = table[(table["version"] == version) & table["layer"].isin(shown)]
            at = rows["layer"].map(places) + (number - (len(versions) - 1) / 2) * thickness
            look = looks[str(version)]
            for axes, column in ((left, "ap3_gaussian"), (right, "sparsity")):
                values = rows[column].fillna(0)
                axes.barh(at, values, thickness, color=look.color, label=str(version))
        left.set_yticks(range(len(shown)), [_short(layer) for layer in shown], parse_math=False)
        left.set_ylim(len(shown) - 0.5, -0.5)
        left.set_xlim(0, None)
        left.set_xlabel(f"AP3, Gaussian law (all pruned: {FULL_PRUNING_KL})")
        right.set_xlim(0, 1)
        right.set_xlabel("sparsity")
        if len(versions) > 1:
            handles = left.get_legend_handles_labels()
            figure.legend(*handles, loc="outside lower center", ncols=min(3, len(versions)))
        more = len(layers) - len(shown)
        lines = [title, f"the {len(shown)} layers of {len(layers)} with the largest AP3"]
        figure.suptitle("\n".join(filter(None, lines if more else lines[:1])), parse_math=False)
    return figure


def _largest(table: pd.DataFrame, layers: Sequence[str]) -> list[str]:
    """Take the layers with the largest AP3 in any version, in the network's order."""
    most = table.groupby("layer", sort=False)["ap3_gaussian"].max().fillna(0)
    chosen = set(most.nlargest(_MOST_LAYERS).index)
    return [layer for layer in layers if layer in chosen]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME + 1 :]}"
