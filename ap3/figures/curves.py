"""Figures of curves: metrics beside the PD along fine-tuning, a block per network and data set.

The way of the data: measures → blocks → panels of lines → a scale over the lines → axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ap3.config.variants import CONTROL
from ap3.figures import legend, look, page
from ap3.figures.descriptions import Description, Row
from ap3.figures.look import Look
from ap3.figures.measures import Block, blocks
from ap3.figures.roles import Roles
from ap3.figures.scale import Scale

_MARKERS = 7  # about so many on a line, staggered from line to line


@dataclass(frozen=True)
class Line:
    """One curve as it is drawn: `epochs` (E,), `trials` (trials, E) in the units of the axis."""

    gid: str
    look: Look
    dashed: bool
    epochs: NDArray[np.int64]
    trials: NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One panel: its title, its name among the panels of the figure, and its lines."""

    title: str
    gid: str
    lines: list[Line]


def draw(description: Description, measures: pd.DataFrame, roles: Roles) -> Figure:
    """Draw a figure of kind `curves` or `comparison`; see `ap3.figures.drawing.draw`."""
    made = blocks(description, measures, roles)
    rows = description.rows()
    content = [[_panels(row, block) for row in rows] for block in made]
    entries = legend.entries(description, made[0])
    counts = [[len(panels) for panels in block] for block in content]
    layout = page.arrange(counts, description.width, description.height, len(entries))
    figure = Figure(figsize=(layout.width, layout.height))
    for index, block in enumerate(made):
        _add_heading(figure, layout, layout.headings[index], block, description.metrics)
        scales = _scales(description, content[index])
        drawn = zip(rows, content[index], scales, layout.blocks[index], strict=True)
        for row, panels, scale, places in drawn:
            _draw_row(figure, _row_label(row), panels, scale, places)
    figure.text(layout.center, layout.axis_label, "fine-tuning epoch", ha="center", va="top")
    legend.add_legend(figure, entries, (0.5, layout.legend))
    return figure


def _panels(row: Row, block: Block) -> list[Panel]:
    """Return the panels of a row: one per mode with a curve per ratio, or the other way round."""
    modes, ratios = look.mode_looks(block.modes), look.ratio_looks(block.ratios)
    if row.panels == "ratios_per_mode":
        content = {
            modes[mode].label: {(mode, ratio): ratios[ratio] for ratio in ratios} for mode in modes
        }
    else:
        content = {look.ratio_title(r): {(mode, r): modes[mode] for mode in modes} for r in ratios}
    place = "/".join([block.data_set, block.network, row.split or row.metric])
    return [
        Panel(title, f"{place}/{title}", _lines(row, block, variants))
        for title, variants in content.items()
    ]


def _lines(row: Row, block: Block, variants: dict[tuple[str, float], Look]) -> list[Line]:
    """Return the lines of a panel; of the control only the PD is drawn, where there is one.

    The control's metric is the drift of fine-tuning alone, decades below the others.
    """
    drawn = [(*variant, style, c) for variant, style in variants.items() for c in row.columns]
    if block.control:
        drawn.insert(0, (CONTROL, 0.0, look.CONTROL, row.columns[-1]))
    return [_line(block, *line, dashed=line[-1] == row.pd) for line in drawn]


def _line(block: Block, mode: str, ratio: float, style: Look, column: str, dashed: bool) -> Line:
    gid = "/".join([block.data_set, block.network, mode, str(ratio), column])
    epochs, trials = block.curve(mode, ratio, column)
    return Line(gid, style, dashed, epochs, trials * look.factor(column))


def _scales(description: Description, rows: Sequence[Sequence[Panel]]) -> list[Scale]:
    """Return each row's scale: one for the whole block, that its panels may be read together.

    A comparison has a scale per metric. All span the same number of decades, so that a ratio
    between two curves is the same height under either metric.
    """
    if description.kind == "curves":
        return [Scale.over(_values([panel for row in rows for panel in row]))] * len(rows)
    own = [Scale.over(_values(row)) for row in rows]
    return [scale.with_decades(max(other.decades for other in own)) for scale in own]


def _values(panels: Sequence[Panel]) -> NDArray[np.float64]:
    return np.concatenate([line.trials.ravel() for panel in panels for line in panel.lines])


def _draw_row(
    figure: Figure,
    label: str,
    panels: Sequence[Panel],
    scale: Scale,
    places: Sequence[page.Rectangle],
) -> None:
    for panel, place in zip(panels, places, strict=True):
        axes = figure.add_axes(place)
        _draw_panel(axes, panel, scale)
        if place[0] == places[0][0]:
            axes.set_ylabel(label)
            axes.yaxis.set_label_coords(-page.ROW_LABEL / (place[2] * figure.get_figwidth()), 0.5)
        else:
            axes.tick_params(labelleft=False)


def _draw_panel(axes: Axes, panel: Panel, scale: Scale) -> None:
    axes.set_gid(panel.gid)
    axes.set_title(panel.title)
    scale.apply(axes)
    lanes = _lanes(panel.lines)
    for index, line in enumerate(panel.lines):
        if len(line.trials) > 1:
            _draw_trials(axes, line, scale, lanes[line.gid])
        _draw_mean(axes, line, scale, lanes[line.gid], index)
    _epoch_axis(axes, panel.lines[0].epochs)


def _lanes(lines: Sequence[Line]) -> dict[str, float]:
    """Give each line that is ever zero a lane of the floor's strip, from the top down."""
    zero = [line.gid for line in lines if (line.trials == 0).any()]
    room = np.linspace(0.12, 0.88, len(zero)) if len(zero) > 1 else [0.5]
    return dict.fromkeys((line.gid for line in lines), 0.5) | dict(zip(zero, room, strict=False))


def _draw_mean(axes: Axes, line: Line, scale: Scale, lane: float, index: int) -> None:
    """Draw the arithmetic mean over the trials.

    It is zero only where every trial is; the geometric mean does not exist where one is.
    """
    step = -(-len(line.epochs) // _MARKERS)
    axes.plot(
        line.epochs,
        scale.place(line.trials.mean(axis=0), lane),
        linestyle="--" if line.dashed else "-",
        color=line.look.color,
        marker=line.look.marker,
        markerfacecolor="white" if line.dashed else line.look.color,
        markevery=(index % step, step),
        zorder=2 if line.look is look.CONTROL else 3,
        clip_on=False,  # a marker at the very edge is whole
        gid=line.gid,
    )


def _draw_trials(axes: Axes, line: Line, scale: Scale, lane: float) -> None:
    axes.plot(
        np.tile(line.epochs, len(line.trials)),
        scale.place(line.trials.ravel(), lane),
        color=line.look.color,
        gid=f"{line.gid}/trials",
        **look.TRIAL,
    )


def _epoch_axis(axes: Axes, epochs: NDArray[np.int64]) -> None:
    first, last = int(epochs[0]), int(epochs[-1])
    margin = 0.03 * max(last - first, 1)
    axes.set_xlim(first - margin, last + margin)
    step = max(1, round((last - first) / 4))
    axes.set_xticks(sorted({first, last, *range(step, last - step // 2, step)}))


def _add_heading(
    figure: Figure, layout: page.Page, top: float, block: Block, metrics: Sequence[str]
) -> None:
    name = f"{look.name_title(block.network)} on {look.name_title(block.data_set)}"
    laws = "  ·  ".join(look.metric_title(metric) for metric in metrics)
    figure.text(layout.left, top, name, va="top", size=8, weight="bold")
    if layout.narrow:
        figure.text(layout.left, top - page.HEADING_LINE / layout.height, laws, va="top", size=8)
    else:
        figure.text(layout.right, top, laws, va="top", ha="right", size=8)


def _row_label(row: Row) -> str:
    metric = look.metric_name(row.metric)
    return f"{metric}, PD {row.split} ({look.pd_unit(row.pd)})" if row.pd else metric
