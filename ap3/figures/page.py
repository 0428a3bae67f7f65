"""Where things stand on the page, in inches: blocks of rows of panels, headings, one legend.

Explicit numbers and no layout engine: rows line up across blocks whatever their tick labels are,
and the same figure comes out to the byte wherever it is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Rectangle = tuple[float, float, float, float]  # left, bottom, width, height as parts of the figure

LEFT, RIGHT, TOP = 0.52, 0.08, 0.06
HEADING, HEADING_LINE = 0.17, 0.13
TITLE, TICKS = 0.19, 0.21
GAP = 0.13
BLOCK_GAP = 0.1
AXIS_LABEL, LEGEND, LEGEND_LINE, BOTTOM = 0.17, 0.06, 0.145, 0.05
NARROWEST = 1.2
COLUMN = 5.0  # a page less wide than this is one column of a paper's two
ROW_LABEL = 0.36  # left of the panels, clear of any tick label


@dataclass(frozen=True)
class Page:
    """A page's size in inches, its rectangles by block and row, and its marks' heights."""

    width: float
    height: float
    blocks: list[list[list[Rectangle]]]
    headings: list[float]
    axis_label: float
    legend: float

    @property
    def narrow(self) -> bool:
        """Whether the page is one column wide: a heading's two parts then stand in two lines."""
        return self.width < COLUMN

    @property
    def left(self) -> float:
        """The left edge of the panels."""
        return LEFT / self.width

    @property
    def right(self) -> float:
        """The right edge of the panels."""
        return 1 - RIGHT / self.width

    @property
    def center(self) -> float:
        """The middle of the panels."""
        return (self.left + self.right) / 2


def arrange(blocks: Sequence[Sequence[int]], width: float, panel: float, legend_lines: int) -> Page:
    """Lay out blocks of rows, a row given by its number of panels, each `panel` inches high.

    The page is `width` inches wide. A row whose panels would be narrower than 1.2 inches goes on in a second line.
    """
    heading = HEADING + (HEADING_LINE if width < COLUMN else 0)
    lines = sum(len(_lines(panels, width)) for block in blocks for panels in block)
    line = TITLE + panel + TICKS
    below = AXIS_LABEL + LEGEND + LEGEND_LINE * legend_lines + BOTTOM
    height = TOP + len(blocks) * heading + (len(blocks) - 1) * BLOCK_GAP + lines * line + below
    y, headings, placed = height - TOP, [], []
    for block in blocks:
        headings.append(y / height)
        y -= heading
        rows = []
        for panels in block:
            row = []
            for xs, panel_width in _lines(panels, width):
                bottom = y - TITLE - panel
                row += [
                    (x / width, bottom / height, panel_width / width, panel / height) for x in xs
                ]
                y -= line
            rows.append(row)
        placed.append(rows)
        y -= BLOCK_GAP
    return Page(width, height, placed, headings, (below - 0.02) / height, BOTTOM / height)


def _lines(panels: int, width: float) -> list[tuple[list[float], float]]:
    """Return the lines that `panels` break into: the left edges and the width of each panel."""
    room = width - LEFT - RIGHT + GAP
    across = max(1, min(panels, int(room // (NARROWEST + GAP))))
    step = room / across
    starts = range(0, panels, across)
    return [
        ([LEFT + step * i for i in range(min(across, panels - start))], step - GAP)
        for start in starts
    ]
