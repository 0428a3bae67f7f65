"""The figure of a scan: damage of each layer pruned alone against its ratio."""

from typing import Any

import pandas as pd

_NAMED = 8  # curves with a colour and a name; the others are grey


def draw(table: pd.DataFrame, quantity: str = "kl_predictions", unit: str = "weights") -> Any:
    """Draw a curve for each layer; those of the largest damage have a name.

    Parameters
    ----------
    table
        Of a scan.
    quantity
        The column that is drawn.
    unit
        What was pruned, weights or channels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    order = table.groupby("layer", sort=False)[quantity].max().sort_values(ascending=False)
    for place, layer in enumerate(order.index):
        mine = table[table["layer"] == layer]
        named = place < _NAMED
        axes.plot(
            [0, *mine["ratio"]],
            [0, *mine[quantity]],
            color=None if named else "0.8",
            label=str(layer) if named else None,
            zorder=2 if named else 1,
            marker="o" if named else None,
            markersize=3,
        )
    axes.set_xlabel(f"share of the layer's {unit} that is pruned")
    axes.set_ylabel(
        {"kl_predictions": "KL of the predictions / nats", "pd_loss": "PD of the loss / nats"}.get(
            quantity, quantity
        )
    )
    axes.legend(frameon=False, fontsize="small")
    return figure
