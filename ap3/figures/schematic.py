"""The latent-space picture: a layer's weights, dense and pruned, as the means of two laws.

Drawn in inches on one bare pair of axes; no data. The pruned half is pruned indeed: the cells left
blank are the half of the weights of least magnitude.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle
from numpy.typing import NDArray

Point = tuple[float, float]

_WIDTH, _HEIGHT = 7.16, 2.5
_DENSE, _PRUNED = "#0072B2", "#D55E00"
_INK, _FRAME = "0.15", "0.75"
_CELL = 0.14
_MATRIX_X, _VECTOR_X = 0.12, 1.82
_OMEGA, _OMEGA_PRUNED = (4.4, 1.3), (5.78, 0.93)  # the means, in the latent space


def draw() -> Figure:
    """Draw the schematic, always at the same size."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(0, _HEIGHT), gid="schematic")
    axes.set_axis_off()
    weights = _weights()
    kept = np.abs(weights) > np.median(np.abs(weights))
    _draw_latent_space(axes)
    _draw_law(axes, _OMEGA, _DENSE)
    _draw_law(axes, _OMEGA_PRUNED, _PRUNED)
    _draw_distances(axes)
    dense = np.ones_like(kept)
    _draw_mapping(
        axes, 1.83, weights, dense, _DENSE, r"weights of a layer, $\omega$", _OMEGA, -0.18
    )
    pruned = r"pruned, $\tilde{\omega} = m \odot \omega$"
    _draw_mapping(axes, 0.59, weights, kept, _PRUNED, pruned, _OMEGA_PRUNED, 0.22)
    _draw_names(axes)
    return figure


def _weights() -> NDArray[np.float64]:
    """Return a matrix that looks like weights, the same everywhere: no generator is drawn from."""
    return np.sin(7.3 * np.arange(1, 49) ** 1.5).reshape(6, 8)


def _draw_mapping(
    axes: Axes, y: float, weights: NDArray[np.float64], kept: NDArray[np.bool_], color: str,
    label: str, mean: Point, bend: float,
) -> None:  # fmt: skip
    """Draw a matrix around the height `y`, the vector it is flattened to, and its way to `mean`."""
    rows, columns = weights.shape
    top = y + rows * _CELL / 2
    axes.text(_MATRIX_X, top + 0.06, label, color=color)
    _draw_cells(axes, (_MATRIX_X, top), weights, kept, color, _CELL)
    step = 0.105
    first = slice(8), None  # of the flat vector, as a column
    corner = (_VECTOR_X, y + 4 * step)
    _draw_cells(axes, corner, weights.ravel()[first], kept.ravel()[first], color, step)
    start = _MATRIX_X + columns * _CELL
    _draw_arrow(axes, (start + 0.08, y), (_VECTOR_X - 0.08, y), "0.45")
    axes.text((start + _VECTOR_X) / 2, y + 0.06, "flatten", ha="center", color="0.35", size=6.5)
    axes.text(_VECTOR_X + step / 2, y - 4.1 * step, "⋮", ha="center", va="top", color="0.35")
    axes.text(_VECTOR_X + 3 * step, y + (0.1 if bend < 0 else -0.18), "mean", color=color, size=6.5)
    _draw_arrow(axes, (_VECTOR_X + step + 0.08, y), mean, color, bend)


def _draw_cells(
    axes: Axes,
    corner: Point,
    values: NDArray[np.float64],
    kept: NDArray[np.bool_],
    color: str,
    size: float,
) -> None:
    """Draw `values` as cells down from the upper left `corner`; those not kept stay blank."""
    ramp = LinearSegmentedColormap.from_list("weights", ["white", color])
    for (row, column), value in np.ndenumerate(values):
        face = ramp(0.12 + 0.8 * abs(value)) if kept[row, column] else "white"
        place = (corner[0] + column * size, corner[1] - (row + 1) * size)
        axes.add_patch(
            Rectangle(place, size, size, facecolor=face, edgecolor="0.75", linewidth=0.4)
        )


def _draw_latent_space(axes: Axes) -> None:
    box = FancyBboxPatch(
        (2.78, 0.1), 4.28, 2.3, boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="0.975", edgecolor=_FRAME, linewidth=0.6, zorder=0,
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(2.9, 2.2, r"latent space $\mathcal{Z}$", size=8, weight="bold")


def _draw_law(axes: Axes, mean: Point, color: str) -> None:
    """Draw a Gaussian law as its contours at 0.5, 1, 1.5 and 2 standard deviations."""
    area: dict[str, Any] = {"facecolor": color, "alpha": 0.13, "linewidth": 0}
    line: dict[str, Any] = {"facecolor": "none", "edgecolor": color, "linewidth": 0.5, "alpha": 0.6}
    for sigmas in (2, 1.5, 1, 0.5):
        for style in (area, line):
            axes.add_patch(Ellipse(mean, sigmas, 0.56 * sigmas, angle=22, **style))
    axes.plot(*mean, marker="o", markersize=4, color=color, markeredgecolor="white", zorder=5)


def _draw_distances(axes: Axes) -> None:
    _draw_arrow(axes, _OMEGA, _OMEGA_PRUNED, _INK, style="<|-|>")
    plate = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "linewidth": 0}
    name = r"$\mathbf{AP2} = \Vert\omega - \tilde{\omega}\Vert^2$"
    axes.text(4.5, 0.82, name, color=_INK, bbox=plate)
    _draw_arrow(axes, (4.85, 1.84), (6.0, 1.5), _INK, -0.3)
    axes.text(
        5.66, 1.84, r"$\mathbf{AP3} = \mathrm{KL}(P_{\omega} \Vert P_{\tilde{\omega}})$", color=_INK
    )


def _draw_names(axes: Axes) -> None:
    axes.text(3.62, 1.88, r"$P_{\omega} = G(\omega, \Sigma)$", color=_DENSE)
    name = r"$P_{\tilde{\omega}} = G(\tilde{\omega}, \tilde{\Sigma})$"
    axes.text(6.95, 0.24, name, color=_PRUNED, ha="right")


def _draw_arrow(
    axes: Axes, start: Point, end: Point, color: str, bend: float = 0.0, style: str = "-|>"
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle=style, mutation_scale=6, connectionstyle=f"arc3,rad={bend}",
            color=color, linewidth=0.9, shrinkA=3, shrinkB=4, zorder=4,
        )
    )  # fmt: skip
