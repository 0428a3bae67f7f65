"""Two figures of a study over any layers: each layer's sensitivity, and predicted against measured PD."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ap3.explaining.network_ranking import joint
from ap3.figures import look
from ap3.figures.drawing import paper_style
from ap3.measuring.network_catalogue import named

PD = "test_pd_loss"
SHOWN = {
    "ap3_gaussian": ("#0072B2", "o"),
    "ap3_gauss_newton": ("#E69F00", "D"),
    "ap3_calibrated": ("#009E73", "s"),
    "kl_single_layers": ("#CC79A7", "^"),
}
_WIDTH, _HEIGHT = 7.16, 2.3
_LEAST = 1e-4  # nats; what is below is drawn there


def _panels(table: pd.DataFrame) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Give the rows of each panel: of a data set, network, state of BatchNorm, and mode if several."""
    shot = table[table["epoch"] == 0]
    keys = ["dataset", "model", "batch_norm", "mode"][: 4 if len(shot["mode"].unique()) > 1 else 3]
    return [(tuple(map(str, key)), mine) for key, mine in shot.groupby(keys, sort=False)]


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    lines = -(-count // columns)
    figure = Figure(figsize=(_WIDTH, _HEIGHT * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _title(dataset: str, model: str, state: str, mode: str = "") -> str:
    said = state in ("kept", "estimated")
    if not mode:
        return f"{look.name_title(model)}{f', BatchNorm {state}' if said else ''}"
    return f"{look.name_title(model)}, {mode.replace('_', ' ')}{f' ({state})' if said else ''}"


def draw_sensitivity(single: pd.DataFrame) -> Figure:
    """Draw the PD of pruning one layer alone against its ratio: a panel for each network.

    A line is a layer, from the first (dark) to the last (light), the mean over the trainings. Where
    layers were pruned by one ratio only, they stand beside each other in their order.
    Each axes has the gid `data set/network/batch_norm`, with `/` and the mode where there are several,
    and each line that with `/` and the layer.

    Parameters
    ----------
    single
        Rows of layers pruned alone.
    """
    with paper_style():
        panels = _panels(single)
        if not panels:
            return _nothing("No layer was pruned alone: pruning.alone has no ratios.")
        figure, axes = _grid(len(panels))
        for place, (key, mine) in zip(axes, panels, strict=True):
            place.set_gid("/".join(key))
            place.set_title(_title(*key))
            place.set_yscale("log")
            layers = mine.drop_duplicates("layer").sort_values("depth")["layer"].tolist()
            one = len(mine["ratio"].unique()) == 1
            for number, layer in enumerate(layers):
                curve = mine[mine["layer"] == layer].groupby("ratio")[PD].mean()
                place.plot(
                    [number + 1] if one else curve.index,
                    np.maximum(curve.to_numpy(), _LEAST),
                    color=colormaps["viridis"](0.95 * number / max(len(layers) - 1, 1)),
                    linewidth=0.9,
                    marker="o" if one else None,
                    markersize=3,
                    gid=f"{place.get_gid()}/{layer}",
                )
            place.set_xlabel("share of the one layer that is pruned")
            if one:
                place.set_xlabel(f"layer, pruned by {mine['ratio'].iloc[0]:g}")
                place.xaxis.set_major_locator(MaxNLocator(integer=True))
            place.set_ylabel("PD of the test loss, nats")
    return figure


def draw_prediction(table: pd.DataFrame) -> Figure:
    """Draw what measures predict against the PD of the test loss: a panel for each network.

    A point is an allocation of a training; on the line the measure is the PD. Each axes has a gid as
    `draw_sensitivity` gives it, the points that with `/` and the measure.

    Parameters
    ----------
    table
        Rows of all variants.
    """
    with paper_style():
        panels = _panels(joint(table))
        if not panels:
            return _nothing("No variant prunes several layers.")
        figure, axes = _grid(len(panels))
        for place, (key, mine) in zip(axes, panels, strict=True):
            place.set_gid("/".join(key))
            place.set_title(_title(*key))
            place.set_xscale("log")
            place.set_yscale("log")
            measured = np.maximum(mine[PD].to_numpy(float), _LEAST)
            for column, (color, marker) in SHOWN.items():
                if column in mine and mine[column].notna().any():
                    place.plot(
                        np.maximum(mine[column].to_numpy(float), _LEAST),
                        measured,
                        linestyle="none",
                        marker=marker,
                        markersize=1.6,
                        color=color,
                        alpha=0.5,
                        label=named(column).name,
                        gid=f"{place.get_gid()}/{column}",
                        rasterized=True,
                    )
            ends = [measured.min() / 1.5, measured.max() * 1.5]
            place.plot(ends, ends, color="0.4", linewidth=0.6, linestyle=":")
            place.set_xlabel("predicted, nats")
            place.set_ylabel("PD of the test loss, nats")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _nothing(why: str) -> Figure:
    """Make a figure that says why it is empty."""
    figure, (place,) = _grid(1)
    place.set_axis_off()
    place.text(0.5, 0.5, why, ha="center", va="center", transform=place.transAxes)
    return figure
