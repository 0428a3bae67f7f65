"""The figure of masks of one ratio: how every measure ranks them, beside how their PDs do."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ap3.figures import look
from ap3.figures.drawing import paper_style
from ap3.measuring.catalogue import SEES

PDS = {"test_pd_loss": "|PD|", "test_pd_loss_signed": "signed PD"}
_ALL = "all"
_WIDTH, _LEFT, _RIGHT, _GAP = 7.16, 1.4, 0.08, 0.1
_ROW, _HEADING, _LINE, _TOP, _BOTTOM = 0.125, 0.5, 0.24, 0.02, 0.5


def draw(summary: pd.DataFrame) -> Figure:
    """Draw Spearman's ρ with the PD of the test loss among the random masks of each ratio.

    A row of panels for each network, or one for all networks of a data set where there are several:
    |PD| and the signed PD, before fine-tuning and at its end, from the baseline. Each axes has the gid
    `data set/network/phase/PD`; the means in it, from the bottom measure to the top one, that with `/`
    and the ratio behind it. Bars are Student's intervals over the trials.
    """
    chosen = summary[(summary["statistic"] == "rho") & (summary["among"] == "masks")]
    chosen = chosen[(chosen["reference"] == "baseline") & chosen["pd"].isin(PDS)]
    pooled = chosen.groupby("dataset")["model"].transform(lambda models: (models == _ALL).any())
    chosen = chosen[~pooled | (chosen["model"] == _ALL)]
    first, last = chosen["epoch"].min(), chosen["epoch"].max()
    phases = {"before fine-tuning": first, f"epoch {last}": last}
    measures = SEES | dict(zip(chosen["measure"], chosen["sees"], strict=True))
    kinds = list(dict.fromkeys(SEES.values()))
    there = [name for name in measures if (chosen["measure"] == name).any()]
    rows = dict(sorted(((n, measures[n]) for n in there), key=lambda row: kinds.index(row[1])))
    ratios = look.ratio_looks(sorted(set(chosen["ratio"])))
    lowest = -0.53 if chosen["low"].fillna(chosen["mean"]).min() > -0.5 else -1.03
    panel, block = _ROW * len(rows), _ROW * len(rows) + _HEADING + _LINE
    blocks = list(chosen.groupby(["dataset", "model"], sort=False))
    height = _TOP + block * len(blocks) + _BOTTOM
    width = (_WIDTH - _LEFT - _RIGHT + _GAP) / (len(phases) * len(PDS)) - _GAP
    with paper_style():
        figure = Figure(figsize=(_WIDTH, height))
        for row, ((dataset, model), mine) in enumerate(blocks):
            bottom = height - _TOP - block * row - _HEADING - panel
            whose = "all networks" if model == _ALL else look.name_title(model)
            name = f"{whose} on {look.name_title(dataset)}"
            figure.text(0.02 / _WIDTH, (bottom + panel + 0.37) / height, name, weight="bold")
            columns = ((phase, pd_name) for phase in phases for pd_name in PDS)
            for column, (phase, pd_name) in enumerate(columns):
                left = _LEFT + (width + _GAP) * column
                if column % len(PDS) == 0:
                    middle = (left + width + _GAP / 2) / _WIDTH
                    figure.text(middle, (bottom + panel + 0.2) / height, phase, ha="center")
                place = (left / _WIDTH, bottom / height, width / _WIDTH, panel / height)
                axes = figure.add_axes(place, gid=f"{dataset}/{model}/{phase}/{PDS[pd_name]}")
                axes.set_title(PDS[pd_name])
                seen = mine[(mine["epoch"] == phases[phase]) & (mine["pd"] == pd_name)]
                _draw_panel(axes, seen, rows, ratios, lowest, named=column == 0)
        middle = (_LEFT + (_WIDTH - _LEFT) / 2) / _WIDTH
        label = "Spearman's ρ with the PD of the test loss, among random masks of one ratio"
        figure.text(middle, (_BOTTOM - 0.12) / height, label, ha="center", va="top")
        figure.legend(handles=_legend(ratios), loc="lower center", ncols=5)
    return figure


def _draw_panel(
    axes: Axes,
    seen: pd.DataFrame,
    rows: dict[str, str],
    ratios: dict[float, look.Look],
    left: float,
    named: bool,
) -> None:
    places = {name: float(place) for place, name in enumerate(reversed(rows))}
    axes.axvline(0.0, color="0.45", linewidth=0.6, linestyle=":", zorder=1)
    offsets = np.linspace(0.22, -0.22, len(ratios)) if len(ratios) > 1 else [0.0]
    for offset, (ratio, style) in zip(offsets, ratios.items(), strict=True):
        mine = seen[seen["ratio"] == ratio]
        mine = mine.iloc[mine["measure"].map(places).argsort()]
        heights = mine["measure"].map(places).to_numpy() + offset
        ends = (mine[end].to_numpy() for end in ("low", "high"))
        axes.hlines(heights, *ends, color=style.color, linewidth=0.8, zorder=2)
        axes.plot(
            mine["mean"].to_numpy(),
            heights,
            linestyle="none",
            marker=style.marker,
            color=style.color,
            markersize=2.8,
            clip_on=False,
            zorder=3,
            gid=f"{axes.get_gid()}/{ratio:g}",
        )
    sees = list(rows.values())[::-1]
    for edge in (i + 0.5 for i, (one, two) in enumerate(pairwise(sees)) if one != two):
        axes.axhline(edge, color="0.75", linewidth=0.5)
    names = [look.measure_name(name) for name in places]
    axes.set_yticks(list(places.values()) if named else [], names if named else [])
    axes.set_ylim(-0.5, len(places) - 0.5)
    axes.set_xlim(left, 1.03)
    axes.set_xticks(
        [-1.0, -0.5, 0.0, 0.5, 1.0][left > -1 :], ["−1", "−½", "0", "½", "1"][left > -1 :]
    )
    axes.grid(axis="y", visible=False)


def _legend(ratios: dict[float, look.Look]) -> list[Line2D]:
    marks = [
        Line2D([], [], color=style.color, marker=style.marker, ls="", label=style.label)
        for style in ratios.values()
    ]
    none = Line2D([], [], color="0.45", linewidth=0.6, linestyle=":", label="no order")
    bar = Line2D([], [], color="0.25", linewidth=0.8, label="95 % interval over trials")
    return [*marks, bar, none]
