"""The figure of the agreement: how often a measure orders two pruned networks as their PDs."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ap3.figures import look
from ap3.figures.drawing import paper_style
from ap3.measuring.catalogue import SEES

PD = "test_pd_loss"
_WIDTH, _LEFT, _RIGHT, _GAP = 7.16, 1.45, 0.08, 0.14
_ROW, _HEADING, _LINE, _TOP, _BOTTOM = 0.125, 0.38, 0.24, 0.02, 0.5

_AMONG = {
    "modes": look.Look("modes at one ratio", "#0072B2", "o"),
    "ratios": look.Look("ratios at one mode", "#E69F00", "D"),
    "all": look.Look("any two", "#333333", "s"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draw the agreement with the PD of the test loss: a row of three panels for each network.

    Each axes has the gid `data set/network/phase`; the means in it, from the bottom measure to the
    top one, that with `/` and the kind of pair behind it, and the single trials `/trials` more.
    """
    chosen = table[table["pd"] == PD]
    first, last = chosen["epoch"].min(), chosen["epoch"].max()
    phases = {
        "before fine-tuning": ("baseline", first),
        f"epoch {last}, from the baseline": ("baseline", last),
        f"epoch {last}, from the control": ("control", last),
    }
    blocks = list(chosen.groupby(["dataset", "model"], sort=False))
    measures = SEES | dict(zip(chosen["measure"], chosen["sees"], strict=True))
    kinds = list(SEES.values())
    rows = dict(sorted(measures.items(), key=lambda entry: kinds.index(entry[1])))
    panel, block = _ROW * len(rows), _ROW * len(rows) + _HEADING + _LINE
    height = _TOP + block * len(blocks) + _BOTTOM
    width = (_WIDTH - _LEFT - _RIGHT + _GAP) / len(phases) - _GAP
    with paper_style():
        figure = Figure(figsize=(_WIDTH, height))
        for row, ((dataset, model), mine) in enumerate(blocks):
            bottom = height - _TOP - block * row - _HEADING - panel
            name = f"{look.name_title(model)} on {look.name_title(dataset)}"
            top = (bottom + panel + 0.23) / height  # above the titles of the panels
            figure.text(0.02 / _WIDTH, top, name, weight="bold")
            for column, (phase, (reference, epoch)) in enumerate(phases.items()):
                left = _LEFT + (width + _GAP) * column
                place = (left / _WIDTH, bottom / height, width / _WIDTH, panel / height)
                axes = figure.add_axes(place, gid=f"{dataset}/{model}/{phase}")
                axes.set_title(phase)
                axes.tick_params(labelleft=column == 0)
                seen = mine[(mine["reference"] == reference) & (mine["epoch"] == epoch)]
                _draw_panel(axes, seen, rows)
        middle = (_LEFT + (_WIDTH - _LEFT) / 2) / _WIDTH
        label = "share of pairs in which the smaller measure has the smaller PD (test loss)"
        figure.text(middle, (_BOTTOM - 0.12) / height, label, ha="center", va="top")
        figure.legend(handles=_legend(), loc="lower center", ncols=5)
    return figure


def _draw_panel(axes: Axes, seen: pd.DataFrame, rows: dict[str, str]) -> None:
    places = {name: float(place) for place, name in enumerate(reversed(rows))}
    axes.axvline(0.5, color="0.45", linewidth=0.6, linestyle=":", zorder=1)
    for offset, (among, style) in zip((0.25, 0.0, -0.25), _AMONG.items(), strict=True):
        mine = seen[seen["among"] == among]
        means = mine.groupby("measure")["agreement"].mean()
        heights = np.array([places[name] for name in mine["measure"]]) + offset
        axes.plot(
            mine["agreement"],
            heights,
            gid=f"{axes.get_gid()}/{among}/trials",
            color=style.color,
            **look.TRIAL | {"markersize": 1.8},
        )
        axes.plot(
            means.to_numpy(),
            [places[name] + offset for name in means.index],
            linestyle="none",
            marker=style.marker,
            color=style.color,
            markersize=2.8,
            clip_on=False,
            zorder=3,
            gid=f"{axes.get_gid()}/{among}",
        )
    for edge in _edges(rows):
        axes.axhline(edge, color="0.75", linewidth=0.5)
    axes.set_yticks(list(places.values()), [look.measure_name(name) for name in places])
    axes.set_ylim(-0.5, len(places) - 0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "¼", "½", "¾", "1"])
    axes.grid(axis="y", visible=False)


def _edges(rows: dict[str, str]) -> list[float]:
    """Heights between measures that see different things."""
    sees = list(reversed(rows.values()))
    return [i + 0.5 for i, (one, two) in enumerate(pairwise(sees)) if one != two]


def _legend() -> list[Line2D]:
    kinds = [
        Line2D([], [], color=style.color, marker=style.marker, ls="", label=style.label)
        for style in _AMONG.values()
    ]
    trial = look.TRIAL | {"markersize": 2.2, "alpha": 0.8}
    chance = Line2D([], [], color="0.45", linewidth=0.6, linestyle=":", label="chance")
    return [*kinds, Line2D([], [], color="0.25", label="one trial", **trial), chance]
