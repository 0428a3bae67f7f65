"""The one legend of a figure: what the colours say above, what the lines say below."""

from itertools import zip_longest
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ap3.figures import look
from ap3.figures.descriptions import Description
from ap3.figures.measures import Block

_INK = "0.25"


def entries(description: Description, block: Block) -> list[list[Line2D]]:
    """Return the entries in lines that fit the description's width."""
    above, below = _variants(description, block), _lines(description, block)
    across = max(1, int(description.width // _width(above)))
    return [row[i : i + across] for row in (above, below) for i in range(0, len(row), across)]


def add_legend(figure: Figure, lines: list[list[Line2D]], at: tuple[float, float]) -> None:
    """Put the legend with the middle of its lower edge at `at`, in parts of the figure."""
    columns = list(zip_longest(*lines, fillvalue=_entry(" ", linestyle="none")))
    # A legend fills its columns from the top down.
    handles = [handle for column in columns for handle in column]
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=at, ncols=len(columns))


def _variants(description: Description, block: Block) -> list[Line2D]:
    looks: list[look.Look] = []
    if "modes_per_ratio" in description.panels:
        looks += look.mode_looks(block.modes).values()
    if "ratios_per_mode" in description.panels:
        looks += look.ratio_looks(block.ratios).values()
    made = [_entry(each.label, color=each.color, marker=each.marker) for each in looks]
    if block.control:
        style = "--" if description.splits else "-"
        grey = {"color": look.CONTROL.color, "marker": look.CONTROL.marker}
        made.append(_entry(look.CONTROL.label, linestyle=style, **grey))
    return made


def _lines(description: Description, block: Block) -> list[Line2D]:
    several = block.trials > 1
    mean = ", mean" if several else ""
    made = []
    if description.kind == "curves":
        made.append(_entry(look.metric_name(description.metrics[0]) + mean, color=_INK))
        made.append(_entry("PD" + mean, color=_INK, linestyle="--"))
    elif several:
        made.append(_entry("mean", color=_INK))
    if several:
        made.append(_entry("one trial", color=_INK, **look.TRIAL | {"markersize": 2, "alpha": 0.8}))
    return made


def _width(entries: list[Line2D]) -> float:
    """Return about how wide the widest of `entries` is with its handle and spaces, in inches."""
    return 0.42 + 0.045 * max(len(str(entry.get_label())) for entry in entries)


def _entry(label: str, **style: Any) -> Line2D:
    return Line2D([], [], label=label, **style)
