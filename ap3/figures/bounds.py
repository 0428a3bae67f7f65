"""The figure of the bounds: each bound of the isotropic Gaussian law against the PD it bounds."""

from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ap3.config.variants import mode_order
from ap3.figures import look
from ap3.figures.drawing import paper_style
from ap3.measuring.bounds import BOUNDS

LAW = "gaussian"
_WIDTH, _HEIGHT = 7.16, 7.4
_ROWS, _COLUMNS = 4, 4
_ROOM = 0.3
"""Of a panel's height, that of its points, below them for words."""
_PHASES = {"before fine-tuning": "o", "after": "^"}
_FAILS: dict[str, Any] = {"marker": "x", "color": "black", "linestyle": "none", "markersize": 4}


def draw(bounds: pd.DataFrame) -> Figure:
    """Draw the table of bounds of a study: pruned variants at the first and the last epoch.

    Each axes has the gid of its bound's column; the crossed points in it, where the bound fails,
    the same with `/fails` behind it.
    """
    pruned = bounds[(bounds["law"] == LAW) & (bounds["mode"] != "control")]
    first, last = pruned["epoch"].min(), pruned["epoch"].max()
    pruned = pruned[pruned["pd_loss"] > 0]
    phases = [pruned[pruned["epoch"] == epoch] for epoch in (first, last)]
    looks = look.mode_looks(sorted(set(pruned["mode"]), key=mode_order))
    with paper_style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        panels = figure.subplots(_ROWS, _COLUMNS, sharex=True, sharey="row")
        figure.subplots_adjust(
            left=0.075, right=0.99, top=0.97, bottom=0.09, wspace=0.06, hspace=0.2
        )
        for axes, name in zip_longest(panels.flat, BOUNDS):
            if name is None:
                axes.remove()
            else:
                _draw_panel(axes, name, phases, looks)
        for axes in panels[:, 0]:
            axes.set_ylabel("bound (nats)")
            low, high = np.log10(axes.get_ylim())
            axes.set_ylim(10 ** (low - _ROOM * (high - low)), 10**high)
        for column in panels.T:
            lowest = [axes for axes in column if axes.get_gid()][-1]
            lowest.set_xlabel("PD, training loss (nats)")
            lowest.tick_params(labelbottom=True)
        figure.legend(handles=_legend(looks), loc="lower center", ncols=7)
    return figure


def _draw_panel(
    axes: Axes, name: str, phases: list[pd.DataFrame], looks: dict[str, look.Look]
) -> None:
    axes.set_gid(name)
    axes.set_title(BOUNDS[name])
    axes.set_xscale("log")
    axes.set_yscale("log")
    for rows, marker in zip(phases, _PHASES.values(), strict=True):
        for mode, style in looks.items():
            mine = rows[rows["mode"] == mode]
            axes.plot(mine["pd_loss"], mine[name], marker, color=style.color, alpha=0.6, mew=0)
    drawn = pd.concat(phases)
    fails = drawn[drawn[name] < drawn["pd_loss"]]
    axes.plot(fails["pd_loss"], fails[name], gid=f"{name}/fails", **_FAILS)
    ends = np.array([drawn["pd_loss"].min(), drawn["pd_loss"].max()])
    axes.plot(ends, ends, color="0.25", linewidth=0.8, zorder=1)
    finite = drawn[name][np.isfinite(drawn[name])]
    silent = len(drawn) - len(finite)
    said = (
        f"{len(fails)} fail, {silent} silent of {len(drawn)}\nmedian {_times(finite, drawn)} × PD"
    )
    axes.text(0.97, 0.04, said, transform=axes.transAxes, ha="right")


def _times(bound: pd.Series, drawn: pd.DataFrame) -> str:
    median = (bound / drawn["pd_loss"].reindex(bound.index)).median()
    return f"{float(f'{median:.2g}'):g}" if median < 1000 else rf"$10^{{{np.log10(median):.1f}}}$"


def _legend(looks: dict[str, look.Look]) -> list[Line2D]:
    modes = [
        Line2D([], [], color=style.color, marker="s", ls="", label=style.label)
        for style in looks.values()
    ]
    phases = [
        Line2D([], [], color="0.4", marker=marker, ls="", label=label)
        for label, marker in _PHASES.items()
    ]
    line = Line2D([], [], color="0.25", linewidth=0.8, label="bound = PD")
    return [*modes, *phases, line, Line2D([], [], label="bound below PD", **_FAILS)]
