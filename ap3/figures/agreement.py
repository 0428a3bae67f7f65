"""The figure of the agreement: how often a measure orders two pruned networks as their PDs."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ap3.explaining import yardsticks
from ap3.figures import look
from ap3.figures.drawing import paper_style
from ap3.measuring.catalogue import SEES

PD = "test_pd_loss"
PDS = {PD: "|PD|", f"{PD}_signed": "signed PD"}
_WIDTH, _LEFT, _RIGHT, _GAP = 7.16, 1.4, 0.08, 0.1
_ROW, _HEADING, _LINE, _TOP, _BOTTOM = 0.125, 0.5, 0.24, 0.02, 0.5

_AMONG = {
    "modes": look.Look("modes at one ratio", "#0072B2", "o"),
    "ratios": look.Look("ratios at one mode", "#E69F00", "D"),
    "all": look.Look("any two", "#333333", "s"),
}


def draw(table: pd.DataFrame) -> Figure:
    """Draw the agreement with the PD of the test loss: a row of six panels for each network.

    Each phase has a panel for |PD| and one for the signed PD. Each axes has the gid
    `data set/network/phase/PD`; the means in it, from the bottom measure to the top one, that with `/` and
    the kind of pair behind it, and the single trials `/trials` more.
    """
    chosen = table[table["pd"].isin(PDS)]
    first, last = chosen["epoch"].min(), chosen["epoch"].max()
    phases = {
        "before fine-tuning": ("baseline", first),
        f"epoch {last}, from the baseline": ("baseline", last),
        f"epoch {last}, from the control": ("control", last),
    }
    blocks = list(chosen.groupby(["dataset", "model"], sort=False))
    rows = _rows(chosen)
    panel, block = _ROW * len(rows), _ROW * len(rows) + _HEADING + _LINE
    height = _TOP + block * len(blocks) + _BOTTOM
    width = (_WIDTH - _LEFT - _RIGHT + _GAP) / (len(phases) * len(PDS)) - _GAP
    with paper_style():
        figure = Figure(figsize=(_WIDTH, height))
        for row, ((dataset, model), mine) in enumerate(blocks):
            bottom = height - _TOP - block * row - _HEADING - panel
            name = f"{look.name_title(model)} on {look.name_title(dataset)}"
            top = (bottom + panel + 0.37) / height  # above the titles of the phases
            figure.text(0.02 / _WIDTH, top, name, weight="bold")
            columns = ((phase, pd_name) for phase in phases for pd_name in PDS)
            for column, (phase, pd_name) in enumerate(columns):
                reference, epoch = phases[phase]
                left = _LEFT + (width + _GAP) * column
                if column % len(PDS) == 0:
                    middle = (left + width + _GAP / 2) / _WIDTH
                    figure.text(middle, (bottom + panel + 0.2) / height, phase, ha="center")
                place = (left / _WIDTH, bottom / height, width / _WIDTH, panel / height)
                axes = figure.add_axes(place, gid=f"{dataset}/{model}/{phase}/{PDS[pd_name]}")
                axes.set_title(PDS[pd_name])
                seen = mine[(mine["reference"] == reference) & (mine["epoch"] == epoch)]
                _draw_panel(axes, seen[seen["pd"] == pd_name], rows, named=column == 0)
        middle = (_LEFT + (_WIDTH - _LEFT) / 2) / _WIDTH
        label = "share of pairs in which the smaller measure has the smaller PD (test loss)"
        figure.text(middle, (_BOTTOM - 0.12) / height, label, ha="center", va="top")
        figure.legend(handles=_legend(), loc="lower center", ncols=5)
    return figure


def _rows(table: pd.DataFrame) -> dict[str, str]:
    """Return the measures, from the top one down, and what each sees; the yardsticks last."""
    measures = SEES | dict(zip(table["measure"], table["sees"], strict=True)) | yardsticks.SEES
    kinds = list(dict.fromkeys([*SEES.values(), *yardsticks.SEES.values()]))
    return dict(sorted(measures.items(), key=lambda entry: kinds.index(entry[1])))


def _draw_panel(axes: Axes, seen: pd.DataFrame, rows: dict[str, str], named: bool) -> None:
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
    names = [look.measure_name(name) for name in places]
    axes.set_yticks(list(places.values()) if named else [], names if named else [])
    axes.set_ylim(-0.5, len(places) - 0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0.0, 0.5, 1.0], ["0", "½", "1"])
    axes.grid(axis="y", visible=False)


def _edges(rows: dict[str, str]) -> list[float]:
    """Heights between measures that see different things."""
    sees = ["yardstick" if name in yardsticks.SEES else kind for name, kind in rows.items()][::-1]
    return [i + 0.5 for i, (one, two) in enumerate(pairwise(sees)) if one != two]


def _legend() -> list[Line2D]:
    kinds = [
        Line2D([], [], color=style.color, marker=style.marker, ls="", label=style.label)
        for style in _AMONG.values()
    ]
    trial = look.TRIAL | {"markersize": 2.2, "alpha": 0.8}
    chance = Line2D([], [], color="0.45", linewidth=0.6, linestyle=":", label="chance")
    return [*kinds, Line2D([], [], color="0.25", label="one trial", **trial), chance]
